# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns of the head that go beyond what one picture of a face can show.

A warp moves the skin that the portrait shows; the far cheek of a head that turns further is not in it, and the jaw shears.
The turn between two sets of landmarks is found as a shift that grows with each landmark's depth, and held back past a limit;
the expression, the place, the size and the roll of the head stay as asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import EYE_LEFT, EYE_RIGHT, OF_MEDIAPIPE

Points = NDArray[np.float32]

# Degrees up to which a turn is shown as it is asked for, and which no turn goes beyond. Chosen on people spared for choosing, by what
# landmarks are found and how the far cheek looks.
FREE_TURN, LARGEST_TURN = 20.0, 30.0
# Depth towards the viewer of each landmark of a resting face, thousandths of the distance of the outer eye corners: the mean of
# 24 of the project's synthetic people.
# fmt: off
_DEPTH = np.array([
    78, 99, 127, 156, 179, 194, 180, 157, 128, 99, 79, 117, 152, 202, 236, 249, 235, 201, 151, 116, 67, 94, 121, 151, 172, 171,
    172, 151, 121, 95, 67, 114, 141, 159, 171, 178, 171, 158, 140, 113, -45, -15, 12, 30, 37, 31, 19, 13, 13, 20, 34, 39, 37,
    23, 2, -17, -45, -15, 12, 29, 36, 30, 18, 13, 12, 21, 34, 39, 36, 23, 1, -18, -79, 16, 80, 110, 106, 159, 138, 79, -28,
    -132, -80, 16, 79, 110, 106, 159, 138, 78, -29, -133, 132, 120, 62, -54, -208, -436, -624, -694, -702, -720, -694, -517,
    -478, -436, -309, -224, -253, -303, -258, -303, -253, -224, -309, -437, -479, -517, -695, -720, -701, -693, -624, -436,
    -209, -55, 61, 119, 154, 197, 247, 296, 350, 389, 365, 296, 240, 234, 197, 123, 93, 99, 235, 317, 368, 368, 317, 234, 99,
    94, 123, 197, 18, 32, 22, 10, 22, 31, 17, 9, 33, 32,
], np.float64) / 1000
# fmt: on
# Shift per unit of depth over the sine of the angle, across (yaw) and down (pitch): fitted on rendered people whose angles are
# known (r .99 and .95).
_ACROSS, _DOWN = 1.11, 0.77
_LEFT, _RIGHT = OF_MEDIAPIPE[EYE_LEFT[0]], OF_MEDIAPIPE[EYE_RIGHT[0]]


@dataclass(frozen=True)
class SafePoints:
    """``points``: (162, 2) to show. ``asked``, ``shown``: degrees of turn away from the portrait, before and after the limit."""

    points: Points
    asked: float
    shown: float


def landmark_depth() -> NDArray[np.float64]:
    """(162,) depth of a resting face's landmarks towards the viewer, in eye distances. Not to be written to."""
    return _DEPTH


def within_limits(portrait: Points, points: Points) -> SafePoints:
    """Landmarks ``points`` (162, 2) of a frame with their turn away from ``portrait`` (162, 2) held back past the limit."""
    shift, unit = _depth_shift(portrait, points)
    asked = _degrees(shift, unit)
    shown = limited(asked)
    if shown >= asked:
        return SafePoints(points, asked, asked)
    surplus = 1 - np.sin(np.radians(shown)) / np.sin(np.radians(asked))
    held = points - _DEPTH[:, None] * (surplus * shift)[None, :]
    return SafePoints(held.astype(np.float32), asked, shown)


def turned(portrait: Points, points: Points) -> float:
    """Degrees of turn of the landmarks ``points`` (162, 2) away from ``portrait`` (162, 2)."""
    return _degrees(*_depth_shift(portrait, points))


def limited(angle: float) -> float:
    """Degrees shown for degrees asked for: the same at first, then ever less, never more than ``LARGEST_TURN``."""
    if angle <= FREE_TURN:
        return angle
    room = LARGEST_TURN - FREE_TURN
    return FREE_TURN + room * float(np.tanh((angle - FREE_TURN) / room))


def _degrees(shift: NDArray[np.float64], unit: float) -> float:
    sines = np.clip(shift / unit / (_ACROSS, _DOWN), -1, 1)
    return float(np.degrees(np.arcsin(min(float(np.linalg.norm(sines)), 1.0))))


def _depth_shift(portrait: Points, points: Points) -> tuple[NDArray[np.float64], float]:
    """The shift (2,) of a landmark one unit nearer to the viewer, beside the best similarity; and the unit, the eyes' distance."""
    start, goal = portrait.astype(np.float64), points.astype(np.float64)
    unit = max(float(np.linalg.norm(start[_LEFT] - start[_RIGHT])), 1e-6)
    x, y = (start - start.mean(0)).T
    zeros, ones = np.zeros_like(x), np.ones_like(x)
    across = np.stack([x, -y, ones, zeros, _DEPTH, zeros], 1)
    down = np.stack([y, x, zeros, ones, zeros, _DEPTH], 1)
    solution = np.linalg.lstsq(np.concatenate([across, down]), np.concatenate([goal[:, 0], goal[:, 1]]), rcond=None)[0]
    scale = max(float(np.hypot(solution[0], solution[1])), 1e-6)
    return solution[4:], unit * scale
