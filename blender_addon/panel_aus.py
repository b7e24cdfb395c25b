# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels "Action Units": upper face, lower face, head."""

from __future__ import annotations

import bpy

from . import actors, panel_state
from .panel_drawing import ActorTabPanel
from .panel_state import Channel


class UnitsPanel(ActorTabPanel):
    """Parent of the AU groups and the head."""

    bl_label = "Action Units"
    bl_order = 5

    def draw(self, context: bpy.types.Context) -> None:
        """What the signs beside the sliders mean."""
        row = self.layout.row(align=True)
        row.label(text="Keyed leads, free follows")
        row.operator("autter.import_aus", text="", icon="IMPORT")
        row.operator("autter.neutral", text="", icon="LOOP_BACK")


class ChannelPanel(ActorTabPanel):
    """A group of AUs or head channels."""

    group = "upper"

    def draw(self, context: bpy.types.Context) -> None:
        """A row a channel."""
        actor, state = actors.find_actor(context), panel_state.current(context)
        column = self.layout.column(align=True)
        for channel in getattr(state, self.group):
            _draw_channel(column, actor, channel)


def _draw_channel(column: bpy.types.UILayout, actor: bpy.types.Object, channel: Channel) -> None:
    row = column.row(align=True)
    if channel.key not in actor:
        row.label(text=f"{channel.label}: property deleted", icon="ERROR")
        return
    row.prop(actor, f'["{channel.key}"]', text=channel.label, slider=channel.key.startswith("AU"))
    note = row.row(align=True)
    note.ui_units_x = 1.6
    note.alignment = "CENTER"
    note.label(text=channel.letter if channel.keyed or not channel.filled_in else channel.filled_in)
    row.operator("autter.key_au", text="", icon="KEYFRAME_HLT" if channel.keyed else "KEYFRAME", emboss=False).key = channel.key
    free = row.row(align=True)
    free.enabled = channel.keyed
    free.operator("autter.free_au", text="", icon="X" if channel.keyed else "BLANK1", emboss=False).key = channel.key
