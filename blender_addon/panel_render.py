# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Render": the render and its choices."""

from __future__ import annotations

import bpy

from . import takes_state
from .panel_drawing import TabPanel, draw_text
from .quality import draw_quality

MARKS = "Every movie says that it is synthetic: content credentials and notes in the file"


class RenderPanel(TabPanel):
    """The render and its choices."""

    bl_label = "Render"
    bl_order = 5

    def draw(self, context: bpy.types.Context) -> None:
        """Button first, choices below."""
        layout, settings = self.layout, context.scene.autter
        row = layout.row()
        row.scale_y = 1.4
        row.operator("autter.render", icon="RENDER_ANIMATION")
        state = takes_state.current(context)
        row = layout.row(align=True)
        row.operator("autter.preview_frame")
        row.prop(settings, "live_picture", toggle=True)
        row.operator("autter.show_portrait", text="", icon="USER")
        if state.previewed:
            layout.label(text=state.previewed, icon="IMAGE_DATA")
        header, body = layout.panel("autter_quality", default_closed=True)
        header.label(text="Quality and Output")
        if body is not None:
            body.use_property_split = True
            body.use_property_decorate = False
            draw_quality(body, context, settings)
            body.prop(settings, "output_folder")
            draw_text(body, context, MARKS, "INFO")
