# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture from Video: a clip of a face drives the actor's AUs."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import actors, au_keys, backend_link, capture, compat, use_results
from .operators_actor import existing_file
from .operators_base import WaitingOperator, job_running, no_actor, no_backend
from .reports import reporting, tell

MOVIES = "*.mp4;*.mov;*.mkv;*.webm;*.avi;*.m4v;*.mpg;*.mpeg;*.mts;*.ogv"
SPOKEN = frozenset(("AU25", "AU26"))  # what speech moves anyway


class AUTTER_OT_capture(WaitingOperator, bpy.types.Operator, ImportHelper):
    """Read the AUs of a face from a video, such as a clip of yourself, and key them on the actor"""

    bl_idname = "autter.capture"
    bl_label = "Capture from Video"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default=MOVIES, options={"HIDDEN"})
    frame_start: IntProperty(
        name="Frame", description="Frame at which the clip begins; without it the scene's first", options={"SKIP_SAVE"}
    )
    speech: BoolProperty(
        name="Lips and Jaw Too",
        description="Key the opening of lips and jaw as well; leave it off where a voice moves them",
        default=False,
        options={"SKIP_SAVE"},
    )
    smoothing: FloatProperty(
        name="Smoothing", description="Seconds over which readings are evened out", default=capture.SMOOTHING_SECONDS, min=0, max=1
    )
    tolerance: FloatProperty(
        name="Tolerance", description="Intensity by which the keys may miss the readings; more gives fewer keys", default=0.1, min=0, max=1
    )

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor and a backend, one video at a time."""
        return no_actor(context) or no_backend() or job_running("capture")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """The backend watches; the keys are set when it has seen everything."""
        actor = actors.require_actor(context)
        path = existing_file(self.filepath, "video-missing", "video")
        first = self.frame_start if self.properties.is_property_set("frame_start") else context.scene.frame_start
        details = {
            "frame_start": first,
            "fps": compat.frame_rate(context.scene),
            "smoothing": self.smoothing,
            "tolerance": max(self.tolerance, 1e-4) if self.tolerance else au_keys.TOLERANCE,
            "keep": frozenset() if self.speech else SPOKEN,
        }
        where = backend_link.origin(context.scene, actor)
        job = backend_link.start_job("capture", lambda client: client.capture(path), where, details)
        if self.waits():
            tell(self, use_results.use(context, self.finish(context, job)))
        return {"FINISHED"}


CLASSES = (AUTTER_OT_capture,)
