# SPDX-License-Identifier: GPL-3.0-or-later
"""Preview Frame: the finished picture of one frame in seconds, before a whole render; and the live picture's switch."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty, StringProperty

from . import actors, backdrop, backend_link, live_picture, shots, use_results
from .jobs import Job
from .operators_base import AutterOperator, WaitingOperator, job_running, no_actor, no_backend
from .reports import reporting, tell


class AUTTER_OT_preview_frame(WaitingOperator, bpy.types.Operator):
    """Render the current frame alone, with the render's own settings, and show it over the portrait and in the image editor"""

    bl_idname = "autter.preview_frame"
    bl_label = "Preview Frame"
    bl_options = {"REGISTER"}

    actor: StringProperty(name="Actor", description="Name of the actor; empty: the selected one", options={"SKIP_SAVE"})
    frame: IntProperty(name="Frame", description="Scene frame; without it the current one", options={"SKIP_SAVE"})
    filepath: StringProperty(name="File", description="PNG to write it to as well; empty: none", subtype="FILE_PATH", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor and a backend, no voice; one at a time."""
        return no_actor(context) or no_backend() or job_running("preview_frame")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Sends the rig of the shot, so that the picture is the one that the whole render would hold there."""
        actor = actors.require_actor(context, self.actor)
        frame = self.frame if self.properties.is_property_set("frame") else context.scene.frame_current
        job = request_preview(context, actor, frame)
        if self.waits():
            sentence = use_results.use(context, self.finish(context, job))
            if self.filepath:
                image = bpy.data.images["AUtter Preview"]
                image.filepath_raw, image.file_format = bpy.path.abspath(self.filepath), "PNG"
                image.save()
            tell(self, sentence)
        return {"FINISHED"}


def request_preview(context: bpy.types.Context, actor: bpy.types.Object, frame: int) -> Job:
    """A preview under way. The crop of the face depends on the whole shot, so its landmarks go along."""
    whole = shots.frame_range(context.scene)
    frames = whole if frame in whole else range(frame, frame + 1)
    shot = shots.still_shot(context, actor, frames)
    track = shots.make_track(context, actor, frames)
    row = frame - frames.start
    where = backend_link.origin(context.scene, actor)
    return backend_link.start_job("preview_frame", lambda client: client.preview_frame(shot, track, row), where, {"frame": frame})


class AUTTER_OT_show_portrait(AutterOperator, bpy.types.Operator):
    """Show the portrait again instead of the rendered frame"""

    bl_idname = "autter.show_portrait"
    bl_label = "Show Portrait"
    bl_options = {"REGISTER"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only while a rendered frame is shown."""
        actor = actors.find_actor(context)
        if actor is None or backdrop.shown_frame(actor) is None:
            return no_actor(context) or "The portrait is shown already"
        return ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Also ends the live picture, which would take its place at once."""
        context.scene.autter.live_picture = False
        backdrop.restore(actors.require_actor(context))
        return {"FINISHED"}


class AUTTER_OT_forget_live_pictures(AutterOperator, bpy.types.Operator):
    """Give back the memory of the live picture's frames; they are made again as they are shown"""

    bl_idname = "autter.forget_live_pictures"
    bl_label = "Forget Live Frames"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only with something to forget."""
        return "" if live_picture.cache.count() else "No live frames are kept"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Empties the cache."""
        live_picture.cache.clear()
        return {"FINISHED"}


CLASSES = (AUTTER_OT_preview_frame, AUTTER_OT_show_portrait, AUTTER_OT_forget_live_pictures)
