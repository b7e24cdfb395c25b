# SPDX-License-Identifier: GPL-3.0-or-later
"""The live picture: the portrait in the viewport follows the playhead and every edit, as fast as the machine can.

One frame at a time is asked for, in the small tier with one step. Frames once made are kept with a digest of the rig that they show:
while playing they appear at once, and an edit of the rig makes them anew.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent
from numpy.typing import NDArray

from . import actors, backdrop, backend_link, pictures, reports, shots
from .bridge.client import BackendState
from .bridge.faults import Fault
from .bridge.shot import RenderSettings, Shot, Track
from .jobs import Job
from .rig_layout import BONE_NAMES, PREDICTED_KEYS, ROOT_BONE

DRAFT = RenderSettings(tier="small", steps=1, crop_size=256)
NAME = "AUtter Live"
MOST_BYTES = 400_000_000
Place = tuple[int, int]  # the actor's session_uid and a frame


class Cache:
    """Frames once made: digest of the rig and picture by place; the oldest go where there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Place, tuple[bytes, NDArray[np.uint8]]] = OrderedDict()
        self._bytes = 0

    def put(self, place: Place, digest: bytes, picture: NDArray[np.uint8]) -> None:
        """Keeps a frame in place of a former one."""
        self.drop(place)
        self._kept[place] = digest, picture
        self._bytes += picture.nbytes
        while self._bytes > MOST_BYTES and len(self._kept) > 1:
            self.drop(next(iter(self._kept)))

    def drop(self, place: Place) -> None:
        """Forgets a frame."""
        _, picture = self._kept.pop(place, (b"", None))
        self._bytes -= picture.nbytes if picture is not None else 0

    def get(self, place: Place) -> tuple[bytes, NDArray[np.uint8]] | None:
        """Digest and picture of a frame."""
        return self._kept.get(place)

    def count(self) -> int:
        """Number of frames kept."""
        return len(self._kept)

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()
        self._bytes = 0


cache = Cache()
_shown: tuple[Place, bytes] | None = None  # what the backdrop shows


def is_on() -> bool:
    """Whether the window's scene wants a live picture."""
    return bool(bpy.context.window_manager.windows) and bpy.context.scene.autter.live_picture


def tick() -> None:
    """Uses an answer that has come, and asks for the frame under the playhead where it is not known. Never waits."""
    for job in [job for job in backend_link.book.finished if job.kind == "live_picture"]:
        _take(job)
    if not is_on() or bpy.app.is_job_running("RENDER"):
        return
    backdrop.be_alert()
    actor = actors.find_actor(bpy.context)
    if actor is None or backend_link.book.running("live_picture") is not None:
        return
    try:
        _follow(bpy.context, actor)
    except Fault as fault:
        bpy.context.scene.autter.live_picture = False
        reports.note_fault(fault)


def _follow(context: bpy.types.Context, actor: bpy.types.Object) -> None:
    place = (actor.session_uid, context.scene.frame_current)
    landmarks, aus = current_rig(context, actor)
    digest = digest_of(landmarks, aus)
    kept = cache.get(place)
    if kept is not None and kept[0] == digest:
        show(actor, place)
    elif backend_link.state() is not BackendState.BUSY:  # never in the way of a render
        _ask(context, actor, place, digest, landmarks, aus)


def _ask(
    context: bpy.types.Context,
    actor: bpy.types.Object,
    place: Place,
    digest: bytes,
    landmarks: NDArray[np.float32],
    aus: NDArray[np.float32],
) -> None:
    shot, track = one_frame(context, actor, place[1], landmarks, aus)
    details = {"place": place, "digest": digest}
    where = backend_link.origin(context.scene, actor)
    backend_link.start_job("live_picture", lambda client: client.preview_frame(shot, track, 0, small=True), where, details)


def one_frame(
    context: bpy.types.Context, actor: bpy.types.Object, frame: int, landmarks: NDArray[np.float32], aus: NDArray[np.float32]
) -> tuple[Shot, Track]:
    """A shot and track of one frame."""
    shot = replace(shots.still_shot(context, actor, range(frame, frame + 1)), render=DRAFT)
    rest = actors.rest_landmarks(actor)
    size = (int(actor.autter.portrait_size[0]), int(actor.autter.portrait_size[1]))
    return shot, Track(landmarks[None], np.zeros_like(landmarks[None]), shot.fps, size, rest, aus[None]).checked()


def current_rig(context: bpy.types.Context, actor: bpy.types.Object) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Landmarks (162, 2) in portrait pixels and AUs (18,) as the viewport shows them now."""
    seen = actor.evaluated_get(context.evaluated_depsgraph_get())
    bones = seen.pose.bones
    names = bones.keys()
    matrices = np.empty(16 * len(names), np.float32)
    bones.foreach_get("matrix", matrices)
    posed = matrices.reshape(-1, 4, 4).transpose(0, 2, 1)
    place = {name: row for row, name in enumerate(names)}
    points = posed[[place[name] for name in BONE_NAMES], :, 3]
    if ROOT_BONE in place:  # where the whole actor stands in the scene is no motion of the face
        rest = np.array(actor.data.bones[ROOT_BONE].matrix_local)
        points = points @ np.linalg.inv(posed[place[ROOT_BONE]].astype(np.float64) @ np.linalg.inv(rest)).T
    units = np.ascontiguousarray(points[:, (0, 2)], np.float32)
    aus = [_intensity(seen, key) for key in PREDICTED_KEYS]
    return actors.frame_of(actor).to_pixels(units).astype(np.float32), np.array(aus, np.float32)


def _intensity(seen: bpy.types.Object, predicted: str) -> float:
    """The larger of what is keyed and what the prediction fills in."""
    values = [seen.get(key) for key in (predicted, predicted.removeprefix("predicted_"))]
    return float(np.clip(max((value for value in values if isinstance(value, (int, float))), default=0.0), 0.0, 5.0))


def digest_of(landmarks: NDArray[np.float32], aus: NDArray[np.float32]) -> bytes:
    """Tells one rig from another, to a fiftieth of a pixel."""
    exact = np.concatenate([np.round(landmarks.ravel() * 50), np.round(aus * 50)]).astype(np.int32)
    return hashlib.blake2b(exact.tobytes(), digest_size=16).digest()


def _take(job: Job) -> None:
    backend_link.book.remove([job])
    if job.fault is not None:
        if job.fault.code != "cancelled":
            reports.note_fault(job.fault)
            for scene in bpy.data.scenes:
                scene.autter.live_picture = False
        return
    place = job.details["place"]
    cache.put(place, job.details["digest"], np.asarray(job.result.arrays["image"], np.uint8))
    actor = next((found for found in bpy.data.objects if found.session_uid == place[0]), None)
    if is_on() and actor is not None:
        show(actor, place)


def show(actor: bpy.types.Object, place: Place) -> None:
    """Puts a kept frame behind the rig, unless it is there already."""
    global _shown
    kept = cache.get(place)
    if kept is None or (_shown == (place, kept[0]) and backdrop.shown_frame(actor) == place[1]):
        return
    backdrop.show(actor, pictures.show(NAME, kept[1]), place[1])
    _shown = place, kept[0]


@persistent
def after_frame_change(scene: bpy.types.Scene, *_: Any) -> None:
    """While playing: what is kept for this frame appears at once. A single previewed frame gives way to the portrait."""
    if not backdrop.alert or bpy.app.is_job_running("RENDER"):
        return
    backdrop.alert = any(found.autter.live_picture for found in bpy.data.scenes) or backdrop.shows_any()
    actor = actors.find_actor(bpy.context) if backdrop.alert and bpy.context.scene == scene else None
    if actor is None:
        return
    if scene.autter.live_picture:
        show(actor, (actor.session_uid, scene.frame_current))
    elif backdrop.shown_frame(actor) not in (None, scene.frame_current):
        backdrop.restore(actor)


@persistent
def after_change(*_: Any) -> None:
    """Another file, or a step of undo: a rendered frame may be shown that was not."""
    backdrop.be_alert()


@persistent
def before_save(*_: Any) -> None:
    """The file keeps the portrait, not a rendered frame."""
    global _shown
    _shown = None
    for candidate in bpy.data.objects:
        if actors.is_actor(candidate):
            backdrop.restore(candidate)


def register() -> None:
    """Adds the handlers once."""
    for functions, ours in _pairs():
        if ours not in functions:
            functions.append(ours)


def unregister() -> None:
    """Takes them away again, and every picture with them."""
    cache.clear()
    for functions, ours in _pairs():
        if ours in functions:
            functions.remove(ours)


def _pairs() -> list[tuple[list[Any], Any]]:
    handlers = bpy.app.handlers
    pairs = [(handlers.frame_change_post, after_frame_change), (handlers.save_pre, before_save)]
    return pairs + [(functions, after_change) for functions in (handlers.load_post, handlers.undo_post, handlers.redo_post)]
