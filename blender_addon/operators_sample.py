# SPDX-License-Identifier: GPL-3.0-or-later
"""New sample scene: the shipped actor, a line of speech and keyed AUs, predicted and rendered."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty

from . import sample_scene, use_results
from .operators_actor import request_landmarks
from .operators_base import WaitingOperator, job_running, no_backend
from .reports import reporting, tell


class AUTTER_OT_new_sample_scene(WaitingOperator, bpy.types.Operator):
    """Make a scene with the actor and the line of speech that come with AUtter, keyed, predicted and rendered"""

    bl_idname = "autter.new_sample_scene"
    bl_label = "New Sample Scene"
    bl_options = {"REGISTER", "UNDO"}

    predict: BoolProperty(name="Predict", description="Predict the face's motion at once", default=True, options={"SKIP_SAVE"})
    render: BoolProperty(name="Render", description="Render the movie too", default=True, options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs the backend, one at a time."""
        return no_backend() or job_running()

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Starts with the portrait; each finished step starts the next."""
        portrait = sample_scene.sample_file(sample_scene.PORTRAITS)
        sample_scene.new_scene(context)
        steps = ("predict", "render")[: 0 if not self.predict else 1 + self.render]
        job = request_landmarks(bpy.context, portrait, "Sample Actor")
        job.details.update(sample=True, steps=steps)
        while job is not None and self.waits():
            tell(self, use_results.use(bpy.context, self.finish(bpy.context, job)))
            job = job.details.pop("following", None)
        return {"FINISHED"}


CLASSES = (AUTTER_OT_new_sample_scene,)
