# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Predict": the prediction and its knobs."""

from __future__ import annotations

import bpy

from . import actors, panel_state
from .actor_state import ActorState
from .panel_drawing import TabPanel, draw_text


class PredictPanel(TabPanel):
    """The prediction and its knobs."""

    bl_label = "Predict"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        """Button first, knobs below."""
        layout, state, settings = self.layout, panel_state.current(context), context.scene.autter
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("autter.predict", icon="GRAPH")
        row.operator("autter.another_take", text="", icon="FILE_REFRESH")
        row.prop(settings, "live", icon="REC", toggle=True)
        if state.live_trouble:
            draw_text(layout, context, state.live_trouble, "INFO")
        _draw_range(layout, context, state.range_text)
        actor = actors.find_actor(context)
        if actor is not None:
            row = layout.row(align=True)
            row.label(text=state.actor.predicted_text or "Not predicted yet", icon="NLA")
            row.operator("autter.clear_prediction", text="", icon="TRASH")
            layout.prop(actor.autter, "seed")
            _draw_pins(layout, state.actor)
        header, body = layout.panel("autter_motion", default_closed=True)
        header.label(text="Motion")
        if body is not None:
            _draw_knobs(body, settings)


def _draw_range(layout: bpy.types.UILayout, context: bpy.types.Context, told: str) -> None:
    """Blender's own preview range says which frames."""
    scene = context.scene
    row = layout.row(align=True)
    row.prop(scene, "use_preview_range", text="", icon="PREVIEW_RANGE")
    if not scene.use_preview_range:
        row.label(text=f"All frames, {scene.frame_start} to {scene.frame_end}")
        return
    row.prop(scene, "frame_preview_start", text="")
    row.prop(scene, "frame_preview_end", text="")
    row.prop(scene.autter, "range_fade")
    draw_text(layout, context, told)


def _draw_pins(layout: bpy.types.UILayout, state: ActorState) -> None:
    header, body = layout.panel("autter_pins", default_closed=True)
    parts = [f"{state.pinned_count} landmarks"] * bool(state.pinned_count) + [f"{first}-{last}" for first, last in state.pinned_spans]
    header.label(text="Pins: " + ", ".join(parts) if parts else "Pins")
    if body is None:
        return
    row = body.row(align=True)
    row.operator("autter.pin_landmarks", text="Pin Selected", icon="PINNED")
    row.operator("autter.unpin_landmarks", text="Unpin", icon="UNPINNED")
    row = body.row(align=True)
    row.operator("autter.pin_range", text="Pin Frames", icon="PINNED")
    row.operator("autter.unpin_range", text="Unpin", icon="UNPINNED")


def _draw_knobs(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    layout.use_property_split = True
    layout.use_property_decorate = False
    groups = (
        ("au_strength", "lip_strength", "variation"),
        ("upper_smoothing", "lower_smoothing"),
        ("lip_offset", "lid_offset", "time_shift"),
        ("idle_head", "mouth_only", "blinks"),
    )
    for names in groups:
        column = layout.column(align=True)
        for name in names:
            column.prop(settings, name)
    row = layout.row()
    row.enabled = settings.blinks
    row.prop(settings, "blinks_per_minute")
