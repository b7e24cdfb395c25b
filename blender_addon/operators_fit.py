# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit Rig: landmarks dragged to where the finder was wrong, or placed by a script."""

from __future__ import annotations

import bpy
from bpy.props import FloatProperty, StringProperty

from . import actors, backend_link, evaluation, fitting
from .bridge.faults import Fault
from .operators_base import ActorEdit, WaitingOperator, is_fitting, job_running, no_actor, no_backend
from .reports import reporting, tell
from .rig_layout import BONE_NAMES


def not_fitting(context: bpy.types.Context) -> str:
    """Reason: no fit is under way."""
    actor = actors.find_actor(context)
    return "" if actor is not None and actor.autter.fitting else "Start with Fit Rig first"


class AUTTER_OT_fit_rig(ActorEdit, bpy.types.Operator):
    """Put the animation aside for a moment and drag landmarks to where they belong on the portrait"""

    bl_idname = "autter.fit_rig"
    bl_label = "Fit Rig"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor, once."""
        return no_actor(context) or is_fitting(context)

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Rig at rest, in pose mode, in front of the portrait."""
        fitting.begin(actor)
        if not bpy.app.background and context.view_layer.objects.active == actor and actor.mode != "POSE":
            bpy.ops.object.mode_set(mode="POSE")
        return "Drag the dots onto the face with G, then press Keep Fit."


class FitOperator(ActorEdit):
    """Mixin of what ends a fit."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs a fit under way."""
        return no_actor(context) or not_fitting(context)


class AUTTER_OT_keep_fit(FitOperator, bpy.types.Operator):
    """Make the landmarks as they lie now the portrait's own; animation and predictions move them from there"""

    bl_idname = "autter.keep_fit"
    bl_label = "Keep Fit"
    bl_options = {"REGISTER", "UNDO"}

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """The new rest pose."""
        moved = fitting.keep(actor)
        return f"{moved} landmark{'s' if moved != 1 else ''} fitted." if moved else "Nothing was moved."


class AUTTER_OT_cancel_fit(FitOperator, bpy.types.Operator):
    """Put the landmarks back to where they were before Fit Rig"""

    bl_idname = "autter.cancel_fit"
    bl_label = "Cancel Fit"
    bl_options = {"REGISTER", "UNDO"}

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """The old rest pose."""
        fitting.cancel(actor)
        return ""


class AUTTER_OT_place_landmark(ActorEdit, bpy.types.Operator):
    """Put one landmark of the portrait at a pixel, without dragging"""

    bl_idname = "autter.place_landmark"
    bl_label = "Place Landmark"
    bl_options = {"REGISTER", "UNDO"}

    bone: StringProperty(name="Landmark", description="Name of the landmark's bone, e.g. LipOuter.00")
    x: FloatProperty(name="X", description="Portrait pixels from the left edge")
    y: FloatProperty(name="Y", description="Portrait pixels from the top edge")

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """During a fit the landmark is posed; else the rest pose is changed at once."""
        if self.bone not in BONE_NAMES:
            raise Fault("landmark-unknown", f'There is no landmark "{self.bone}".', f"Use a bone's name, e.g. {BONE_NAMES[0]}.")
        point = BONE_NAMES.index(self.bone)
        if actor.autter.fitting:
            landmarks = evaluation.read_pose(actor)
            landmarks[point] = (self.x, self.y)
            evaluation.write_pose(actor, landmarks)
        else:
            landmarks = actors.rest_landmarks(actor)
            landmarks[point] = (self.x, self.y)
            fitting.set_rest(actor, landmarks)
        return ""


class AUTTER_OT_find_landmarks(WaitingOperator, bpy.types.Operator):
    """Let the backend find the portrait's landmarks anew; animation stays, what was fitted by hand is replaced"""

    bl_idname = "autter.find_landmarks"
    bl_label = "Find Landmarks Again"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor that is not being fitted, and the backend."""
        return no_actor(context) or is_fitting(context) or no_backend() or job_running("portrait")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Asks for the landmarks; the rest pose follows when they arrive."""
        from . import use_results

        actor = actors.require_actor(context)
        path = actors.portrait_path(actor)
        where = backend_link.origin(context.scene, actor)
        job = backend_link.start_job("portrait", lambda client: client.find_portrait(path), where, {"path": str(path), "refit": True})
        if self.waits():
            tell(self, use_results.use(context, self.finish(context, job)))
        return {"FINISHED"}


CLASSES = (AUTTER_OT_fit_rig, AUTTER_OT_keep_fit, AUTTER_OT_cancel_fit, AUTTER_OT_place_landmark, AUTTER_OT_find_landmarks)
