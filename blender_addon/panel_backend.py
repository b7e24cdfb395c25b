# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Backend": state, device, memory, the job under way, the last problem."""

from __future__ import annotations

import bpy

from . import panel_state
from .panel_drawing import TabPanel, draw_text
from .panel_state import PanelState


class BackendPanel(TabPanel):
    """State, device, memory, the job under way, the last problem."""

    bl_label = "Backend"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        """Top of the tab."""
        layout, state = self.layout, panel_state.current(context)
        row = layout.row(align=True)
        row.label(text="  ".join(part for part in (state.backend_word, state.device, state.memory) if part), icon=state.backend_icon)
        row.operator("autter.free_memory", text="", icon="TRASH")
        if state.backend_word in ("Off", "Error"):
            row.operator("autter.backend_start", text="", icon="PLAY")
        else:
            row.operator("autter.backend_stop", text="", icon="QUIT")
        if state.backend_missing:
            _draw_missing(layout, context, state)
        if state.setup_text:
            row = layout.row(align=True)
            row.progress(factor=state.setup_share, text=state.setup_text)
            row.operator("autter.cancel_setup", text="", icon="X")
        if state.job_title:
            _draw_job(layout, state)
        if state.problem is not None:
            _draw_problem(layout, context, state)
        for number, words in state.lost:
            row = layout.row(align=True)
            row.label(text=words, icon="RECOVER_LAST")
            row.operator("autter.run_again").job = number
            row.operator("autter.forget_lost", text="", icon="X").job = number
        for line in state.parked:
            layout.label(text=line, icon="TIME")


def _draw_missing(layout: bpy.types.UILayout, context: bpy.types.Context, state: PanelState) -> None:
    box = layout.box()
    draw_text(box, context, state.backend_missing, "INFO")
    if not state.setup_text:
        box.operator("autter.setup_backend", icon="IMPORT")
    box.operator("preferences.addon_show", text="Choose It in the Preferences", icon="PREFERENCES").module = __package__


def _draw_job(layout: bpy.types.UILayout, state: PanelState) -> None:
    row = layout.row(align=True)
    row.progress(factor=state.job_fraction, text=state.job_text)
    cancel = row.row(align=True)
    cancel.enabled = not state.cancelling
    cancel.operator("autter.cancel", text="", icon="X").job = state.job_number


def _draw_problem(layout: bpy.types.UILayout, context: bpy.types.Context, state: PanelState) -> None:
    box = layout.box()
    draw_text(box, context, state.problem.sentence, "ERROR" if state.problem.level == "ERROR" else "INFO")
    if state.problem.hint:
        draw_text(box, context, state.problem.hint)
    row = box.row(align=True)
    row.operator("autter.copy_report", icon="COPYDOWN")
    row.operator("autter.clear_report", text="", icon="X")
