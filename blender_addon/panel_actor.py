# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Actor": which one, its portrait, the fit of its rig, its handles, and the ways to get one."""

from __future__ import annotations

import bpy

from . import actors, panel_state
from .actor_state import ActorState
from .handle_layout import REGION_TITLES
from .panel_drawing import TabPanel, draw_text


class ActorPanel(TabPanel):
    """The actor and its rig."""

    bl_label = "Actor"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        """Choice of the actor, or the ways to get one."""
        layout, state = self.layout, panel_state.current(context).actor
        if state is not None:
            layout.prop(context.scene.autter, "actor", text="")
            actor = actors.find_actor(context)
            layout.prop(actor.autter, "portrait", text="")
            layout.label(text=state.landmarks_text, icon="IMAGE_DATA")
            _draw_fit(layout, context, state)
            _draw_handles(layout, state)
        row = layout.row(align=True)
        row.operator("autter.new_actor", text="New Actor" if state is not None else "New Actor from Portrait", icon="USER")
        if state is None:
            layout.operator("autter.new_sample_scene", icon="SCENE_DATA")


def _draw_fit(layout: bpy.types.UILayout, context: bpy.types.Context, state: ActorState) -> None:
    if not state.fitting:
        row = layout.row(align=True)
        row.operator("autter.fit_rig", icon="SNAP_ON")
        row.operator("autter.find_landmarks", text="", icon="VIEWZOOM")
        return
    box = layout.box()
    draw_text(box, context, "Drag the dots onto the face with G. Handles help to move a region at once.", "SNAP_ON")
    row = box.row(align=True)
    row.operator("autter.keep_fit", icon="CHECKMARK")
    row.operator("autter.cancel_fit", text="Cancel", icon="X")


def _draw_handles(layout: bpy.types.UILayout, state: ActorState) -> None:
    row = layout.row(align=True)
    row.label(text="", icon="MOD_LATTICE")
    for region, title in REGION_TITLES.items():
        on = region in state.handle_regions
        button = row.operator("autter.handles", text=title, depress=on)
        button.regions, button.on = {region}, not on
