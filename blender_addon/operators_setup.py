# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that set the backend up, mend it and take it away. Nothing is installed into Blender's own Python."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, FloatProperty, StringProperty

from . import backend_setup
from .bridge.faults import Fault
from .operators_base import AutterOperator
from .reports import reporting, tell_fault

LONGEST_SETUP = 4 * 3600.0


def setup_running() -> str:
    """Reason shared by what cannot happen meanwhile."""
    return "The backend is being set up; wait for it or cancel it" if backend_setup.is_running() else ""


class SetupOperator(AutterOperator):
    """Mixin: starts a task of the set-up; in background mode, or with ``wait``, returns at its end."""

    task = "install"
    wait: BoolProperty(name="Wait", description="Return only when it is done", default=False, options={"SKIP_SAVE"})
    source: StringProperty(
        name="Offline Folder",
        description="Folder with downloaded packages (.whl) to install from without a network; empty: from where pip is configured to look",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    longest_wait: FloatProperty(name="Longest Wait", description="Seconds", default=LONGEST_SETUP, min=1, options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """One at a time."""
        return setup_running()

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Starts it; the panel shows how it goes."""
        return self.begin()

    def begin(self, extras: tuple[str, ...] = ()) -> set[str]:
        """Starts the task; waits for it where asked, or where no timer runs. Raises Fault."""
        backend_setup.start(self.task, bpy.path.abspath(self.source) if self.source else "", extras)
        if self.wait or bpy.app.background:
            backend_setup.wait(self.longest_wait)
        return {"FINISHED"}


class AUTTER_OT_setup_backend(SetupOperator, bpy.types.Operator):
    """Install AUtter's backend into a folder of its own, outside Blender; shows size, time and place first, goes on where it stopped"""

    bl_idname = "autter.setup_backend"
    bl_label = "Set Up Backend"

    stable_diffusion: BoolProperty(
        name="Stable Diffusion",
        description="Also the packages of the tier Stable Diffusion 1.5, 150 MB more on disk; its weights are fetched separately",
        default=False,
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Shows place, size and why this build, and asks."""
        try:
            plan = backend_setup.plan()
        except Fault as fault:
            tell_fault(self, fault)
            return {"CANCELLED"}
        size = f"Download about {plan.download} MB, on disk about {plan.disk} MB"
        self.shown = (f"Place: {plan.folder}", plan.reason, size, backend_setup.time_words(plan))
        return context.window_manager.invoke_props_dialog(self, width=460)

    def draw(self, context: bpy.types.Context) -> None:
        """What ``invoke`` found out."""
        for line in self.shown:
            self.layout.label(text=line)
        self.layout.prop(self, "stable_diffusion")
        self.layout.prop(self, "source")
        if not self.source and not bpy.app.online_access:
            self.layout.label(text="Blender is set to stay offline: choose a folder, or allow online access", icon="ERROR")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Starts it, unless Blender is to stay offline and there is no folder to install from."""
        if not self.source and not bpy.app.online_access:
            hint = "Choose an offline folder, or tick Allow Online Access in Preferences > System."
            raise Fault("online-access", "Blender is set to stay offline, so nothing can be downloaded.", hint)
        return self.begin(("sd15",) if self.stable_diffusion else ())


class AUTTER_OT_repair_backend(SetupOperator, bpy.types.Operator):
    """Look for files that are missing from the backend's environment and install what misses them again"""

    bl_idname = "autter.repair_backend"
    bl_label = "Repair Backend"
    task = "repair"


class AUTTER_OT_uninstall_backend(SetupOperator, bpy.types.Operator):
    """Remove the backend's environment, models, logs, keys and caches from this computer; takes and .blend files stay"""

    bl_idname = "autter.uninstall_backend"
    bl_label = "Uninstall Backend"
    task = "uninstall"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Asks first."""
        return context.window_manager.invoke_confirm(self, event)


class AUTTER_OT_cancel_setup(AutterOperator, bpy.types.Operator):
    """Stop setting the backend up; what is done is kept for the next time"""

    bl_idname = "autter.cancel_setup"
    bl_label = "Cancel Set-Up"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only with something to stop."""
        return "" if backend_setup.is_running() else "Nothing is being set up"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Stops it."""
        backend_setup.cancel()
        return {"FINISHED"}


CLASSES = (AUTTER_OT_setup_backend, AUTTER_OT_repair_backend, AUTTER_OT_uninstall_backend, AUTTER_OT_cancel_setup)
