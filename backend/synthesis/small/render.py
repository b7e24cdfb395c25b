# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a shot: portrait and landmark track in, pictures of the portrait's own size out, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from backend import au_scale

from .conditions import frame_conditions, to_signed
from .crop import resized, shot_crop
from .gates import face_gates
from .held_back import HeldBack
from .mouth import MouthInterior
from .ordered import in_order
from .paste import Paste
from .runtime import NETWORK_SIDE, Runtime, TorchRuntime, default_runtime
from .sampler import shot_noise
from .steady import steadied
from .turn import SafePoints, within_limits
from .warp import apply_field, landmark_warp, look_through

PREROLL = 4  # frames rendered before the first one asked for, so that a range agrees with the whole
_DETAIL = 2  # the portrait's detail is kept up to this many times the crop size

Picture = NDArray[np.uint8]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class CropFrame:
    """One rendered crop. ``picture``, ``warped``: (3, s, s) float32 -1..1; ``field``: (nodes, nodes, 2); ``kept``: see ``Warp``.

    ``painted``: the picture before a mouth interior was drawn into it. ``turn``: the landmarks shown, see ``within_limits``.
    """

    picture: Array
    warped: Array
    field: Array
    kept: float
    painted: Array
    turn: SafePoints


class CropRenderer:
    """Renders the square crop of one shot frame after frame, each conditioned on the one before where the network was trained for that."""

    def __init__(
        self,
        portrait: Picture,
        portrait_points: Array,
        *,
        steps: int = 2,
        seed: int = 0,
        runtime: Runtime | None = None,
        mouth_interior: float = 1.0,
    ) -> None:
        """``portrait``: (256, 256, 3) uint8 crop; ``portrait_points``: (162, 2) crop coordinates.

        ``mouth_interior``: strength of the drawn interior, see ``MouthInterior``.
        """
        self.runtime = runtime or default_runtime()
        self.portrait, self.points, self.steps = portrait, portrait_points, steps
        self.signed = to_signed(portrait)
        self.noise = shot_noise(seed, portrait.shape[0])
        self.previous: Array | None = None
        self.mouth = MouthInterior(portrait, portrait_points, mouth_interior)
        # The portrait driven by its own landmarks should not move at all: what flow the network adds to it then is its mistake on this
        # face, and is taken off every frame's. Matters for people unlike those trained on.
        still = landmark_warp(portrait_points, portrait_points, led=True)
        conditions = frame_conditions(still, look_through(self.signed, still.field), self.signed, portrait_points, None, None)
        self.mistake = np.ascontiguousarray(self.runtime.trunk(conditions)[2].transpose(1, 2, 0))

    def __call__(self, points: Array, intensities: Array | None) -> CropFrame:
        """The next frame at landmarks ``points`` (162, 2), crop coordinates, and AU ``intensities`` (18,) 0..5 or None."""
        frame = self.frame(points, intensities, self.previous)
        self.previous = frame.painted if self.runtime.uses_previous else None
        return frame

    def frame(self, points: Array, intensities: Array | None, previous: Array | None = None) -> CropFrame:
        """One frame after ``previous`` (3, 256, 256), or after none; leaves the renderer as it is, so threads may share it."""
        turn = within_limits(self.points, points)
        points = turn.points
        warp = landmark_warp(self.points, points, led=True)
        first = look_through(self.signed, warp.field)
        conditions = frame_conditions(warp, first, self.signed, points, intensities, previous)
        fine, coarse, flow, mask = self.runtime.trunk(conditions)
        may_paint, may_move = face_gates(points)
        mask = mask * cv2.resize(may_paint, mask.shape[-2:])
        added = flow.transpose(1, 2, 0) - _carried(self.mistake, warp.field)
        field = warp.field + added * may_move[..., None]
        warped = look_through(self.signed, field)
        picture = np.clip(self.runtime.sample(self.noise, self.steps, warped, mask, fine, coarse), -1, 1)
        return CropFrame(self.mouth(picture, points), warped, field, warp.kept, picture, turn)


def _carried(values: Array, field: Array) -> Array:
    """Values (nodes, nodes, 2) of places of the portrait, where the backward field (nodes, nodes, 2) puts them in the frame."""
    return look_through(values.transpose(2, 0, 1), field).transpose(1, 2, 0)


def render_frames(
    portrait: Picture,
    portrait_landmarks: Array,
    landmarks: Array,
    aus: Array | None,
    *,
    steps: int = 2,
    size: int = 256,
    seed: int = 0,
    first_frame: int = 0,
    frame_count: int | None = None,
    runtime: Runtime | None = None,
    held_back: HeldBack | None = None,
) -> Iterator[Picture]:
    """Pictures (h, w, 3) uint8 of the portrait's size, one for each row of the track, made as they are asked for.

    ``portrait``: (h, w, 3) uint8. ``portrait_landmarks``: (162, 2) pixels, in the track's convention. ``landmarks``:
    (frames, 162, 2) pixels of the whole shot. ``aus``: (frames, 18) 0..5, or None where not known. ``size``: 256 or 512, the
    resolution of the face; the network works at 256, and 512 keeps more of the portrait's own detail.
    ``first_frame``, ``frame_count``: the rows wanted, all by default; the crop is chosen from the whole track and a few rows
    before the first are rendered silently, so a range looks as it does in the whole. ``held_back`` is told of frames whose motion
    could not be shown as asked for.
    Raises Fault ``weights-missing`` or ``weights-mismatch``.
    """
    crop = shot_crop(portrait_landmarks, landmarks)
    landmarks = steadied(landmarks)
    whole = crop.cut(portrait)
    detail = resized(whole, min(crop.side, _DETAIL * size))
    paste = Paste(portrait, crop, detail)
    face, start, chosen = resized(whole, NETWORK_SIDE), crop.to_unit(portrait_landmarks), runtime or default_runtime()
    last = len(landmarks) if frame_count is None else min(first_frame + frame_count, len(landmarks))
    rows, told = range(first_frame, last), None if aus is None else au_scale.told(aus)

    def asked(row: int) -> tuple[Array, Array | None]:
        return crop.to_unit(landmarks[row]), None if told is None else told[row]

    def note(row: int, turn: SafePoints, kept: float) -> None:
        if held_back is not None:
            held_back.note(row, turn.asked, turn.shown, kept)

    if chosen.whole_frames:
        from .device_frames import device_frames
        from .device_render import DeviceRenderer

        drawing = DeviceRenderer(face, start, paste, cast(TorchRuntime, chosen), steps=steps, seed=seed)
        yield from device_frames(drawing, paste, rows, asked, note)
        return
    renderer = CropRenderer(face, start, steps=steps, seed=seed, runtime=chosen)

    def pasted(row: int, frame: CropFrame) -> Picture:
        note(row, frame.turn, frame.kept)
        return paste(frame.field, frame.warped, frame.picture)

    if not chosen.uses_previous:
        yield from in_order(lambda row: pasted(row, renderer.frame(*asked(row))), rows, chosen.frames_at_once)
        return
    for row in range(max(first_frame - PREROLL, 0), last):
        frame = renderer(*asked(row))
        if row >= first_frame:
            yield pasted(row, frame)


def warp_only_frames(portrait: Picture, portrait_landmarks: Array, landmarks: Array) -> Iterator[Picture]:
    """The same without the network: the baseline that it is measured against."""
    crop = shot_crop(portrait_landmarks, landmarks)
    whole = crop.cut(portrait)
    paste = Paste(portrait, crop, whole)
    start = crop.to_unit(portrait_landmarks)
    for row in landmarks:
        field = landmark_warp(start, crop.to_unit(row)).field
        warped = to_signed(apply_field(whole, field))
        yield paste(field, warped, warped)
