# SPDX-License-Identifier: GPL-3.0-or-later
"""Live prediction: after an edit of a keyed AU, of the voice or of a knob the rig follows by itself.

Blender tells that something changed; the tick then reads the shot and asks for the rows that differ. Answers are written
without a step of undo of their own: they follow from the edit, and undoing the edit brings the former ones back.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import actors, backend_link, predicting, prediction, shots, voices
from .bridge.edits import changed_rows
from .bridge.faults import Fault
from .bridge.shot import Shot
from .jobs import Job

trouble = ""  # why Live waits, in one sentence, for the panel
_changed = True
_asked: tuple[Job, Shot] | None = None  # the last live job, under way or not


def is_on(scene: bpy.types.Scene | None = None) -> bool:
    """Whether a scene (any scene of the file, if none is given) predicts live."""
    return scene.autter.live if scene is not None else any(scene.autter.live for scene in bpy.data.scenes)


def look(context: bpy.types.Context) -> bool:
    """Called by the tick: asks for what an edit has changed. Whether a request went off. Never waits."""
    global _changed, trouble, _asked
    if not _changed or not is_on(context.scene):
        return False
    _changed = False
    actor = actors.find_actor(context)
    if reason := _waits_for(context, actor):
        trouble = reason
        return False
    try:
        shot = shots.make_shot(context, actor, _frames(context, actor))
        trouble = _failed(shot)
        if trouble or _is_under_way(shot) or predicting.answers(actor, shot):
            return False
        job = predicting.request_edit(context, actor, shot)
    except Fault as fault:
        trouble = fault.sentence
        return False
    if job is not None:
        _asked = (job, shot)
    return job is not None


def note_change() -> None:
    """Something may have changed: the next tick looks."""
    global _changed
    _changed = True


def _frames(context: bpy.types.Context, actor: bpy.types.Object) -> range:
    """The prediction's own frames, so that an edit asks for little; the scene's before the first one or when it has grown."""
    span = prediction.predicted_range(actor)
    scene = context.scene
    whole = range(scene.frame_start, scene.frame_end + 1)
    if span is None or span[0] > whole.start or span[1] < whole.stop - 1:
        return shots.frame_range(scene, whole.start, whole.stop - 1)
    return range(span[0], span[1] + 1)


def _waits_for(context: bpy.types.Context, actor: bpy.types.Object | None) -> str:
    if actor is None:
        return "Live waits for an actor."
    if actor.autter.fitting:
        return "Live waits until the fit is kept or cancelled."
    if not voices.describe(context):
        return "Live waits for a voice."
    return backend_link.backend_missing()


def _is_under_way(shot: Shot) -> bool:
    return _asked is not None and _asked[0].number in backend_link.book.open and _is_same(_asked[1], shot)


def _failed(shot: Shot) -> str:
    """Why just this shot could not be predicted: asking again would not help before something else changes."""
    if _asked is None or _asked[0].fault is None or not _is_same(_asked[1], shot):
        return ""
    return f"{_asked[0].fault.sentence} Live asks again after the next change."


def _is_same(one: Shot, other: Shot) -> bool:
    return one.frame_start == other.frame_start and changed_rows(one, other) == (0, 0)


@persistent
def after_update(*_: Any) -> None:
    """Blender evaluated something: a key, a strip, a setting may be another."""
    note_change()


_HANDLERS = ("depsgraph_update_post", "undo_post", "redo_post", "load_post")


def register() -> None:
    """Listens to Blender."""
    for name in _HANDLERS:
        functions = getattr(bpy.app.handlers, name)
        if after_update not in functions:
            functions.append(after_update)


def unregister() -> None:
    """Stops listening."""
    global _asked, trouble
    for name in _HANDLERS:
        functions = getattr(bpy.app.handlers, name)
        if after_update in functions:
            functions.remove(after_update)
    _asked, trouble = None, ""
