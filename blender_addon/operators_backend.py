# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators on the backend itself: start, stop, cancel, free memory, reports."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty

from . import backend_link, reports
from .bridge.client import BackendState
from .operators_base import AutterOperator, no_backend
from .reports import reporting

OFF_STATES = (BackendState.OFF, BackendState.FAILED)


class AUTTER_OT_backend_start(AutterOperator, bpy.types.Operator):
    """Start the backend now; it also starts by itself when it is needed"""

    bl_idname = "autter.backend_start"
    bl_label = "Start Backend"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only when it is off."""
        return no_backend() or ("" if backend_link.state() in OFF_STATES else "The backend is running")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Returns at once; the panel shows how the start goes."""
        backend_link.require_client().start()
        backend_link.touch()
        return {"FINISHED"}


class AUTTER_OT_backend_stop(AutterOperator, bpy.types.Operator):
    """Stop the backend and give up its jobs; the next job starts it again"""

    bl_idname = "autter.backend_stop"
    bl_label = "Stop Backend"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only when it runs."""
        return "The backend is off" if backend_link.state() is BackendState.OFF else ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ends the process."""
        backend_link.close(wait=False)
        backend_link.collect_faults()
        return {"FINISHED"}


class AUTTER_OT_cancel(AutterOperator, bpy.types.Operator):
    """Cancel the job under way"""

    bl_idname = "autter.cancel"
    bl_label = "Cancel"

    job: IntProperty(name="Job", description="Number of the job; 0 cancels all jobs of this file", default=0, min=0, options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only with something to cancel."""
        return "" if backend_link.book.open else "Nothing is under way"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Asks the backend; the job ends when it says so."""
        for number in [self.job] if self.job else list(backend_link.book.open):
            backend_link.cancel(number)
        return {"FINISHED"}


class AUTTER_OT_free_memory(AutterOperator, bpy.types.Operator):
    """Let the backend give back the memory of its models; the next job loads them again"""

    bl_idname = "autter.free_memory"
    bl_label = "Free Memory"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only while it idles."""
        if backend_link.state() is BackendState.BUSY:
            return "The backend is busy"
        return "" if backend_link.state() is BackendState.READY else "The backend is off and holds no memory"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Asks; the panel shows the new figure."""
        backend_link.require_client().free_memory()
        return {"FINISHED"}


class AUTTER_OT_copy_report(AutterOperator, bpy.types.Operator):
    """Copy the last messages, versions and the end of the backend's log to the clipboard"""

    bl_idname = "autter.copy_report"
    bl_label = "Copy Report"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Puts the text on the clipboard."""
        client = backend_link.current_client()
        facts = {"backend": backend_link.state().value, "backend Python": backend_link.backend_python()}
        if client is not None:
            facts.update(
                device=client.device,
                memory=f"{client.memory_mb:.0f} MB",
                version=client.backend_version,
                log=getattr(client, "log_path", ""),
            )
        context.window_manager.clipboard = reports.as_text(facts, getattr(client, "log_path", None))
        self.report({"INFO"}, "The report is on the clipboard.")
        return {"FINISHED"}


class AUTTER_OT_clear_report(AutterOperator, bpy.types.Operator):
    """Take the message out of the panel"""

    bl_idname = "autter.clear_report"
    bl_label = "Dismiss"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forgets the messages."""
        reports.reports.clear()
        backend_link.touch()
        return {"FINISHED"}


CLASSES = (
    AUTTER_OT_backend_start,
    AUTTER_OT_backend_stop,
    AUTTER_OT_cancel,
    AUTTER_OT_free_memory,
    AUTTER_OT_copy_report,
    AUTTER_OT_clear_report,
)
