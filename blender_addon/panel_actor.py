# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Actor": which one, its portrait, and the ways to get one."""

from __future__ import annotations

import bpy

from . import actors, panel_state
from .panel_drawing import TabPanel


class ActorPanel(TabPanel):
    """The actor and its AUs."""

    bl_label = "Actor"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        """Choice of the actor, or the ways to get one."""
        layout, state = self.layout, panel_state.current(context)
        if state.actor_name:
            layout.prop(context.scene.autter, "actor", text="")
            actor = actors.find_actor(context)
            layout.prop(actor.autter, "portrait", text="")
            layout.label(text=state.landmarks_text, icon="IMAGE_DATA")
        row = layout.row(align=True)
        row.operator("autter.new_actor", text="New Actor" if state.actor_name else "New Actor from Portrait", icon="USER")
        if not state.actor_name:
            layout.operator("autter.new_sample_scene", icon="SCENE_DATA")
