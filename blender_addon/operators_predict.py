# SPDX-License-Identifier: GPL-3.0-or-later
"""Predict, and the internal operator that puts finished results into the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
from bpy.props import IntProperty, StringProperty

from . import actors, backend_link, predicting, prediction, shots, use_results, voices
from .operators_base import ActorEdit, AutterOperator, WaitingOperator, is_fitting, no_actor, no_backend
from .reports import reporting, tell


def no_voice(context: bpy.types.Context) -> str:
    """Reason: nothing to listen to."""
    return "" if voices.describe(context) else "Add a voice first"


class RangedOperator(WaitingOperator):
    """An operator on a frame range of an actor."""

    actor: StringProperty(name="Actor", description="Name of the actor; empty: the selected one", options={"SKIP_SAVE"})
    frame_first: IntProperty(
        name="First Frame", description="Without it the first frame of the preview range or scene", options={"SKIP_SAVE"}
    )
    frame_last: IntProperty(name="Last Frame", description="Without it the last frame of the preview range or scene", options={"SKIP_SAVE"})

    def frames(self, context: bpy.types.Context) -> range:
        """The range asked for."""
        given = self.properties.is_property_set
        whole = shots.frame_range(context.scene)
        first = self.frame_first if given("frame_first") else whole.start
        last = self.frame_last if given("frame_last") else whole.stop - 1
        return shots.frame_range(context.scene, first, last)


class PredictOperator(RangedOperator):
    """Mixin: asks for a track; it is written to the rig when it arrives. A prediction under way is replaced."""

    fade: IntProperty(
        name="Fade", description="Frames of cross-fade where the rig is predicted beyond the range; without it the scene's setting",
        min=0, max=100, options={"SKIP_SAVE"},
    )  # fmt: skip
    takes_onward = 0  # how many takes further than the last

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor, a voice and a backend."""
        return no_actor(context) or is_fitting(context) or no_voice(context) or no_backend()

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Samples the scene and sends it off."""
        actor = actors.require_actor(context, self.actor)
        fade = self.fade if self.properties.is_property_set("fade") else context.scene.autter.range_fade
        job = predicting.request(context, actor, self.frames(context), fade, self.takes_onward)
        if self.waits():
            tell(self, use_results.use(context, self.finish(context, job)))
        return {"FINISHED"}


class AUTTER_OT_predict(PredictOperator, bpy.types.Operator):
    """Predict the face's motion from the voice and the keyed AUs; your own keys on the rig are kept"""

    bl_idname = "autter.predict"
    bl_label = "Predict"
    bl_options = {"REGISTER", "UNDO"}


class AUTTER_OT_another_take(PredictOperator, bpy.types.Operator):
    """Predict again with another seed: another take of everything that is free"""

    bl_idname = "autter.another_take"
    bl_label = "Another Take"
    bl_options = {"REGISTER", "UNDO"}
    takes_onward = 1


class PredictionEdit(ActorEdit):
    """Mixin: an edit of the prediction itself."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs a prediction."""
        actor = actors.find_actor(context)
        missing = actor is not None and prediction.predicted_range(actor) is None
        return no_actor(context) or ("There is no prediction yet; make one with Predict" if missing else "")


class AUTTER_OT_clear_prediction(PredictionEdit, bpy.types.Operator):
    """Take the prediction off the rig; your own keys stay"""

    bl_idname = "autter.clear_prediction"
    bl_label = "Clear Prediction"
    bl_options = {"REGISTER", "UNDO"}

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Without its track and action."""
        prediction.remove_prediction(actor)
        return ""


class AUTTER_OT_prediction_to_keys(PredictionEdit, bpy.types.Operator):
    """Give the prediction a key a frame, to be edited in the strip's tweak mode; it then plays slower, and so do predictions to come"""

    bl_idname = "autter.prediction_to_keys"
    bl_label = "Prediction to Keys"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs a prediction without keys."""
        reason = super().disabled_reason(context)
        return reason or ("It has keys already" if actors.find_actor(context).autter.prediction_keyed else "")

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Typed GENERATED."""
        prediction.set_keyed(actor, True)
        return ""


class AUTTER_OT_prediction_to_samples(PredictionEdit, bpy.types.Operator):
    """Let the prediction play as fast as it can again: what its keys show on frames stays, the keys go"""

    bl_idname = "autter.prediction_to_samples"
    bl_label = "Prediction to Samples"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs a prediction with keys."""
        reason = super().disabled_reason(context)
        return reason or ("" if actors.find_actor(context).autter.prediction_keyed else "It has no keys; Prediction to Keys makes them")

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """A sample a frame."""
        prediction.set_keyed(actor, False)
        return ""


class ResultOperator(AutterOperator):
    """Mixin: puts the result of a finished job into the file."""

    job: IntProperty(name="Job", description="Number of the finished job", options={"SKIP_SAVE"})

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Called by the tick, so that each result is one step of undo."""
        job = next((job for job in backend_link.book.finished if job.number == self.job), None)
        if job is None or job.result is None:
            return {"CANCELLED"}
        scene = bpy.data.scenes.get(job.origin.scene) or context.scene
        with shown_scene(context, scene):
            tell(self, use_results.use(context, job))
        return {"FINISHED"}


class AUTTER_OT_use_result(ResultOperator, bpy.types.Operator):
    """Put a finished job's result into the file"""

    bl_idname = "autter.use_result"
    bl_label = "Use Result"
    bl_options = {"UNDO", "INTERNAL"}


class AUTTER_OT_use_live_result(ResultOperator, bpy.types.Operator):
    """Put a live prediction onto the rig; it follows from an edit, so it is no step of undo of its own"""

    bl_idname = "autter.use_live_result"
    bl_label = "Use Live Result"
    bl_options = {"INTERNAL"}


@contextmanager
def shown_scene(context: bpy.types.Context, scene: bpy.types.Scene) -> Iterator[None]:
    """Shows the scene for a moment: building a rig needs edit mode, and that is the window's. Nothing is redrawn between."""
    window, before = context.window, context.scene
    if window is not None and scene != before:
        window.scene = scene
    try:
        yield
    finally:
        if window is not None and window.scene != before:
            window.scene = before


CLASSES = (
    AUTTER_OT_predict,
    AUTTER_OT_another_take,
    AUTTER_OT_clear_prediction,
    AUTTER_OT_prediction_to_keys,
    AUTTER_OT_prediction_to_samples,
    AUTTER_OT_use_result,
    AUTTER_OT_use_live_result,
)
