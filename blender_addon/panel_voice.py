# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Voice": where the voice comes from."""

from __future__ import annotations

import bpy

from . import panel_state
from .panel_drawing import TabPanel


class VoicePanel(TabPanel):
    """Where the voice comes from."""

    bl_label = "Voice"
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        """The voice and the ways to get one."""
        layout, state = self.layout, panel_state.current(context)
        layout.label(text=state.voice or "No voice yet", icon="OUTLINER_OB_SPEAKER" if state.voice else "INFO")
        row = layout.row(align=True)
        row.operator("autter.add_voice", icon="ADD")
        row.operator("autter.use_strip_as_voice", text="Use Selected")
        if context.scene.autter.voice_file:
            layout.prop(context.scene.autter, "voice_file", text="")
            layout.prop(context.scene.autter, "voice_frame")
