# SPDX-License-Identifier: GPL-3.0-or-later
"""Lids and lips touch; they never pass through each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import EYE_LEFT, EYE_RIGHT, LIPS_INNER, OF_MEDIAPIPE

FloatArray = NDArray[np.float32]


def _rows(ring: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Lower and upper points of a ring that face each other, corners left out."""
    half = len(ring) // 2
    lower, upper = ring[1:half], tuple(reversed(ring[half + 1 :]))
    return [OF_MEDIAPIPE[point] for point in lower], [OF_MEDIAPIPE[point] for point in upper]


_LIDS = tuple(_rows(ring) for ring in (EYE_LEFT, EYE_RIGHT))
_LIPS = _rows(LIPS_INNER)
# Tracked lids and lips that are shut still lie this far apart (inter-ocular units).
LEAST_LID_GAP = 0.004
LEAST_LIP_GAP = 0.0
_SETTLED = 0.01  # lips that would pass each other by so much lie wholly on the closed line


def _closed_line(pairs: int, degree: int = 3) -> FloatArray:
    """(pairs, pairs) what makes of the middles of the lip pairs, corner to corner, the smooth line on which closed lips meet."""
    powers = np.vander(np.linspace(-1.0, 1.0, pairs), degree + 1)
    return np.asarray(powers @ np.linalg.pinv(powers), np.float32)


_LINE = _closed_line(len(_LIPS[0]))


def uncrossed(points: FloatArray) -> FloatArray:
    """Canonical landmarks (..., 162, 2 or 3) with crossed lids and lips brought together; others are untouched.

    An upper lid stops at the lower one; lips meet half way, on one smooth line where they are pressed together.
    """
    result = np.array(points, np.float32)
    for lower, upper in _LIDS:
        result[..., upper, 1] = np.minimum(result[..., upper, 1], result[..., lower, 1] - LEAST_LID_GAP)
    lower, upper = _LIPS
    overlap = np.maximum(result[..., upper, 1] + LEAST_LIP_GAP - result[..., lower, 1], 0) / 2
    result[..., upper, 1] -= overlap
    result[..., lower, 1] += overlap
    middle = (result[..., upper, 1] + result[..., lower, 1]) / 2
    shift = (middle @ _LINE.T - middle) * np.clip(2 * overlap / _SETTLED, 0, 1)
    result[..., upper, 1] += shift
    result[..., lower, 1] += shift
    return result
