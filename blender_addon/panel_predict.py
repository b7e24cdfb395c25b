# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Predict": the prediction and its knobs."""

from __future__ import annotations

import bpy

from . import actors, panel_state
from .panel_drawing import TabPanel


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
        if state.predicted_text:
            layout.label(text=state.predicted_text, icon="NLA")
        actor = actors.find_actor(context)
        if actor is not None:
            layout.prop(actor.autter, "seed")
        header, body = layout.panel("autter_motion", default_closed=True)
        header.label(text="Motion")
        if body is not None:
            _draw_knobs(body, settings)


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
