# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for a prediction, of the whole shot or of the frames that matter, and using the answer."""

from __future__ import annotations

import uuid
from collections import OrderedDict

import bpy

from . import backend_link, prediction, shots
from .actors import find_actor
from .bridge.edits import changed_rows
from .bridge.faults import Fault
from .bridge.shot import Shot, Track
from .jobs import Job

MOST_SHOTS_KEPT = 30
SEEDS_APART = 1000  # between takes of a few frames, which leave the actor's own seed alone

_answered: OrderedDict[str, Shot] = OrderedDict()  # by the stamp that the actor carries; undo brings stamps back


def around(actor: bpy.types.Object, frames: range) -> range | None:
    """The frames of the present prediction where it goes on beyond the given ones; None where these are everything."""
    span = prediction.predicted_range(actor)
    if span is None or not (span[0] <= frames.start and frames.stop - 1 <= span[1]) or len(frames) == span[1] - span[0] + 1:
        return None
    return range(span[0], span[1] + 1)


def request(context: bpy.types.Context, actor: bpy.types.Object, frames: range, fade: int, takes_onward: int = 0) -> Job:
    """A prediction under way. Inside a longer prediction only these frames are asked for; they will cross-fade into the rest.

    ``takes_onward``: 1 for another take. A take of the whole moves the actor's seed.
    """
    whole = around(actor, frames)
    if whole is None:
        actor.autter.seed += takes_onward
        actor.autter.range_takes = 0
        return send(context, actor, shots.make_shot(context, actor, frames), details={"fade": fade})
    actor.autter.range_takes += takes_onward
    shot = shots.make_shot(context, actor, whole, seed=actor.autter.seed + SEEDS_APART * actor.autter.range_takes * bool(takes_onward))
    window = (frames.start - whole.start, frames.stop - whole.start)
    return send(context, actor, shot, {"window": window}, {"piece": True, "fade": fade})


def request_edit(context: bpy.types.Context, actor: bpy.types.Object, shot: Shot) -> Job | None:
    """What has changed since the rig was predicted: those rows, or the whole where everything did; None where nothing did."""
    base = _answered.get(actor.autter.prediction_stamp)
    rows = changed_rows(base, shot) if base is not None and base.frame_start == shot.frame_start else None
    if rows == (0, 0):
        return None
    if rows is None:
        return send(context, actor, shot, details={"live": True, "fade": context.scene.autter.range_fade})
    return send(context, actor, shot, {"edited": rows}, {"live": True, "piece": True, "fade": 0})


def answers(actor: bpy.types.Object, shot: Shot) -> bool:
    """Whether the rig's prediction is the shot's already."""
    base = _answered.get(actor.autter.prediction_stamp)
    return base is not None and base.frame_start == shot.frame_start and changed_rows(base, shot) == (0, 0)


def send(
    context: bpy.types.Context,
    actor: bpy.types.Object,
    shot: Shot,
    rows: dict[str, tuple[int, int]] | None = None,
    details: dict[str, object] | None = None,
) -> Job:
    """Sends a shot; the actor's former prediction under way is given up."""
    for former in list(backend_link.book.open.values()):
        if former.kind == "predict" and former.origin.actor_uid == actor.session_uid:
            backend_link.cancel(former.number)
    where = backend_link.origin(context.scene, actor)
    asked = rows or {}
    return backend_link.start_job(
        "predict", lambda client: client.predict(shot, **asked), where, {"shot": shot, **asked, **(details or {})}
    )


def use_answer(actor: bpy.types.Object, job: Job) -> str:
    """Writes a finished prediction to the rig; the sentence to report. Fault ``result-invalid``."""
    track = Track.from_message(job.result.header, job.result.arrays)
    shot: Shot = job.details["shot"]
    piece = bool(job.details.get("piece"))
    count, wanted = len(track.landmarks), job.details.get("window") or job.details.get("edited") or (0, shot.frame_count)
    first, end = track.first_frame, track.first_frame + count
    exact = (first, end) == tuple(wanted) or ("edited" in job.details and first <= wanted[0] and end >= wanted[1])
    if not exact or end > shot.frame_count:
        raise Fault(
            "result-invalid",
            f"The backend predicted frames {first} to {end} of the shot instead of {wanted[0]} to {wanted[1]}.",
            "Predict again; update the backend if it happens again.",
        )
    prediction.write_prediction(actor, track, shot.frame_start, piece, int(job.details.get("fade", 0)))
    _stamp(actor, job, shot, first == 0 and end == shot.frame_count)
    return f"Predicted {count} frames of {actor.name}."


def _stamp(actor: bpy.types.Object, job: Job, shot: Shot, whole: bool) -> None:
    """Remembers which shot the rig now answers. After a take of a few frames it answers none exactly."""
    if "window" in job.details and not whole:
        base = _answered.get(actor.autter.prediction_stamp)
        if base is None:
            return
        shot = base
    stamp = uuid.uuid4().hex[:16]
    actor.autter.prediction_stamp = stamp
    _answered[stamp] = shot
    while len(_answered) > MOST_SHOTS_KEPT:
        _answered.popitem(last=False)


def range_text(context: bpy.types.Context) -> str:
    """What Predict will work on, in a few words for the panel."""
    actor = find_actor(context)
    scene = context.scene
    if not scene.use_preview_range:
        return ""
    frames = range(scene.frame_preview_start, scene.frame_preview_end + 1)
    inside = actor is not None and len(frames) > 0 and around(actor, frames) is not None
    told = f"Frames {frames.start} to {frames.stop - 1} of the preview range"
    return f"{told}, faded into the rest" if inside else told
