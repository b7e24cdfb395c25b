# SPDX-License-Identifier: GPL-3.0-or-later
"""Lids and lips in the picture: once the head has turned they still meet where they should and never pass through each other.

Landmarks that touch in front of the camera may lie at different depths, so that a turn would lay one over the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER, OF_MEDIAPIPE

FloatArray = NDArray[np.float32]
_SHORTEST_AXIS = 0.05  # inter-ocular units: a ring seen from its side has no up and down


@dataclass(frozen=True)
class _Facing:
    """Points that must stay above others, (pairs,) each. ``share``: how much of a correction the upper ones take."""

    upper: list[int]
    lower: list[int]
    corners: tuple[int, int]  # image left, image right of a face seen from the front
    turned: bool  # the points run from the right to the left
    share: float


def _halves(ring: tuple[int, ...]) -> tuple[list[int], list[int], tuple[int, int], bool]:
    """Upper and lower points that face each other, and the corners, left in the image first."""
    half = len(ring) // 2
    lower, upper = ring[1:half], tuple(reversed(ring[half + 1 :]))
    first, last = OF_MEDIAPIPE[ring[0]], OF_MEDIAPIPE[ring[half]]
    turned = ring is EYE_LEFT  # it begins at the outer corner
    return (
        [OF_MEDIAPIPE[point] for point in upper],
        [OF_MEDIAPIPE[point] for point in lower],
        (last, first) if turned else (first, last),
        turned,
    )


def _facings() -> tuple[_Facing, ...]:
    inner_upper, inner_lower, inner_corners, _ = _halves(LIPS_INNER)
    outer_upper, outer_lower, *_ = _halves(LIPS_OUTER)
    eyes = [_Facing(*_halves(ring), share=1.0) for ring in (EYE_LEFT, EYE_RIGHT)]  # the upper lid stops at the lower
    lips = [
        _Facing(inner_upper, inner_lower, inner_corners, False, 0.5),
        _Facing(outer_upper, inner_upper, inner_corners, False, 1.0),
        _Facing(inner_lower, outer_lower, inner_corners, False, 0.0),
    ]
    return (*eyes, *lips)


_FACINGS = _facings()


def settled(points: FloatArray, rest: FloatArray, unit: float) -> FloatArray:
    """Landmarks (frames, 162, 2) in pixels with crossed lids and lips brought together again.

    ``rest``: (162, 2) the portrait's own; what crosses there may cross as far. ``unit``: pixels per inter-ocular distance. Frames in
    which nothing crosses come back as they are.
    """
    result = points
    for facing in _FACINGS:
        allowed = [np.maximum(over, 0.0) for over in _overlaps(rest[None], facing, unit)[:2]]
        *overlaps, down = _overlaps(result, facing, unit)
        for over, most, group, share in zip(
            overlaps, allowed, (facing.upper, facing.lower), (-facing.share, 1 - facing.share), strict=True
        ):
            excess = share * np.maximum(over - most, 0.0)
            frames = np.flatnonzero(excess.any(axis=1))
            if len(frames):
                result = points.copy() if result is points else result
                result[frames[:, None], np.array(group)] += excess[frames, :, None] * down[frames, None]
    return result


def _overlaps(points: FloatArray, facing: _Facing, unit: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """How far each upper point lies under the lower line, and each lower point over the upper line, both (frames, points) in pixels
    and positive where they cross; and the way down (frames, 2)."""
    axis = points[:, facing.corners[1]] - points[:, facing.corners[0]]
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = axis / np.maximum(length, 1e-6)
    down = np.stack([-axis[:, 1], axis[:, 0]], axis=1)
    left, right = facing.corners
    upper, lower = (points[:, [left, *_rightwards(group, facing), right]] for group in (facing.upper, facing.lower))
    upper, lower = (np.stack([np.einsum("fpc,fc->fp", line, way) for way in (axis, down)], axis=2) for line in (upper, lower))
    seen = length > _SHORTEST_AXIS * unit
    under = np.where(seen, upper[:, 1:-1, 1] - _height(lower, upper[:, 1:-1, 0]), 0.0)
    over = np.where(seen, _height(upper, lower[:, 1:-1, 0]) - lower[:, 1:-1, 1], 0.0)
    if facing.turned:
        under, over = under[:, ::-1], over[:, ::-1]
    return under.astype(np.float32), over.astype(np.float32), down.astype(np.float32)


def _rightwards(group: list[int], facing: _Facing) -> list[int]:
    return group[::-1] if facing.turned else group


def _height(line: FloatArray, places: FloatArray) -> FloatArray:
    """Second coordinate of lines (frames, points, 2) at the first coordinates ``places`` (frames, n), their ends held."""
    start, step = line[:, None, :-1], np.diff(line, axis=1)[:, None]
    share = np.clip((places[..., None] - start[..., 0]) / np.maximum(step[..., 0], 1e-6), 0.0, 1.0)
    return np.asarray(line[:, :1, 1] + (share * step[..., 1]).sum(axis=2), np.float32)
