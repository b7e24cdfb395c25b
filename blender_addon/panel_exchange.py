# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Capture and Exchange": performances from a camera or another program, and to a 3-D character."""

from __future__ import annotations

import bpy

from .panel_drawing import ActorTabPanel


class ExchangePanel(ActorTabPanel):
    """In and out."""

    bl_label = "Capture and Exchange"
    bl_order = 8
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """What comes in, then what goes out."""
        column = self.layout.column(align=True)
        column.operator("autter.capture", icon="CAMERA_DATA")
        column.operator("autter.import_performance", icon="IMPORT")
        column = self.layout.column(align=True)
        column.operator("autter.export_performance", icon="EXPORT")
        column.operator("autter.key_shapes", icon="SHAPEKEY_DATA")
