# SPDX-License-Identifier: GPL-3.0-or-later
"""Render: the rig as it stands, through the backend, to a movie and its sound in the sequencer."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from . import actors, backend_link, compat, outputs, prediction, shots, use_results
from .bridge.faults import Fault
from .jobs import Job
from .operators_base import job_running, no_actor, no_backend
from .operators_predict import RangedOperator, no_voice
from .reports import reporting, tell
from .voices import check_same_rate


class AUTTER_OT_render(RangedOperator, bpy.types.Operator):
    """Render the actor as it moves now, prediction and edits together, and lay movie and voice into the sequencer"""

    bl_idname = "autter.render"
    bl_label = "Render to Sequencer"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(
        name="File", description="Movie to write; empty: a new take in the output folder", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor that moves, a voice and a backend; one render at a time."""
        return no_actor(context) or no_voice(context) or _no_motion(context) or no_backend() or job_running("render")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Samples the rig and sends it off; the strips are made when the movie is finished."""
        actor = actors.require_actor(context, self.actor)
        out = Path(bpy.path.abspath(self.filepath)) if self.filepath else None
        job = request_render(context, actor, self.frames(context), out)
        if self.waits():
            tell(self, use_results.use(context, self.finish(context, job)))
        return {"FINISHED"}


def _no_motion(context: bpy.types.Context) -> str:
    actor = actors.find_actor(context)
    return "" if actor is not None and moves(actor) else "The actor does not move yet; Predict first"


def moves(actor: bpy.types.Object) -> bool:
    """Whether there is a prediction, or keys on bones."""
    if prediction.predicted_action(actor) is not None:
        return True
    data = actor.animation_data
    if data is None:
        return False
    return any(curve.data_path.startswith("pose.bones") for curve in compat.iterate_curves(data.action, compat.assigned_slot(data)))


def request_render(context: bpy.types.Context, actor: bpy.types.Object, frames: range, out: Path | None) -> Job:
    """A render under way."""
    sequencer_scene = compat.sequencer_scene(context)
    check_same_rate(sequencer_scene, context.scene)
    if out is None:
        out = outputs.next_take(outputs.takes_folder(context.scene), actor.name)
    else:
        outputs.writable(out.parent)
        if out.suffix.lower() != ".mp4":
            raise Fault(
                "movie-type", f"A take is an .mp4 file, not {out.suffix or 'a file without ending'}.", "Give a name that ends in .mp4."
            )
    shot = shots.make_shot(context, actor, frames)
    track = shots.make_track(context, actor, frames)
    details = {"shot": shot, "path": str(out), "sequencer_scene": sequencer_scene.name}
    where = backend_link.origin(context.scene, actor)
    return backend_link.start_job("render", lambda client: client.render(shot, track, out), where, details)


CLASSES = (AUTTER_OT_render,)
