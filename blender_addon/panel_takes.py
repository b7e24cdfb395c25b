# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels "Takes" and "Queue": what has been rendered, what is being rendered, and what waits."""

from __future__ import annotations

import bpy

from . import takes_state
from .panel_drawing import TabPanel, draw_text

SHORTEST_NAMES = 3  # finished jobs shown


class TakesPanel(TabPanel):
    """The takes of the sequencer."""

    bl_label = "Takes"
    bl_order = 6

    def draw(self, context: bpy.types.Context) -> None:
        """A row a take, the buttons work on the active one."""
        layout, state = self.layout, takes_state.current(context)
        if not state.takes:
            draw_text(layout, context, "Render to Sequencer makes the first take.", "INFO")
        column = layout.column(align=True)
        for row in state.takes:
            line = column.row(align=True)
            line.operator("autter.choose_take", text=row.label, icon=row.icon, emboss=row.active).take = row.name
            note = line.row(align=True)
            note.alignment = "RIGHT"
            note.label(text=row.details)
        if state.more_takes:
            layout.label(text=f"and {state.more_takes} more")
        if state.takes:
            _draw_buttons(layout, state)
        row = layout.row(align=True)
        row.operator("autter.add_take", text="Add Job", icon="IMPORT")
        row.operator("autter.export_job", icon="EXPORT")


def _draw_buttons(layout: bpy.types.UILayout, state: takes_state.TakesState) -> None:
    column = layout.column(align=True)
    row = column.row(align=True)
    row.scale_y = 1.2
    row.operator("autter.render_edited", icon="SEQUENCE").take = state.active
    row = column.row(align=True)
    row.operator("autter.redo_take", text="Redo", icon="FILE_REFRESH").take = state.active
    row.operator("autter.restore_take", text="Settings", icon="RECOVER_LAST").take = state.active
    row = column.row(align=True)
    row.operator("autter.open_take_folder", text="Folder", icon="FILE_FOLDER").take = state.active
    row.operator("autter.compare_takes", text="Compare", icon="ARROW_LEFTRIGHT", depress=state.comparing)


class QueuePanel(TabPanel):
    """Jobs that wait and run, results of other files, what has finished."""

    bl_label = "Queue"
    bl_order = 7
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Open jobs first."""
        layout, state = self.layout, takes_state.current(context)
        for job in state.jobs:
            row = layout.row(align=True)
            row.progress(factor=job.fraction, text=job.text)
            cancel = row.row(align=True)
            cancel.enabled = not job.cancelling
            cancel.operator("autter.cancel", text="", icon="X").job = job.number
        if not state.jobs:
            layout.label(text="Nothing is being rendered")
        layout.operator("autter.render_all", icon="RENDERLAYERS")
        for parked in state.parked:
            box = layout.box()
            draw_text(box, context, parked.text, "TIME")
            row = box.row(align=True)
            if parked.usable:
                row.operator("autter.use_parked", icon="IMPORT").job = parked.number
            row.operator("autter.forget_parked", icon="X").job = parked.number
        for ending in state.endings[:SHORTEST_NAMES]:
            draw_text(layout, context, ending.sentence, "CHECKMARK" if ending.good else "ERROR")
