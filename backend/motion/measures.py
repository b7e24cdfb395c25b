# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures on landmarks: lip gap, lid opening, and the one measure by which each Action Unit is told.

All take canonical landmarks (..., 162, 2 or 3), y down, in inter-ocular units, and give arrays of shape (...).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import (
    CHIN,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    MOUTH_CORNER_LEFT,
    MOUTH_CORNER_RIGHT,
    OF_MEDIAPIPE,
    REGIONS,
)

Array = NDArray[np.float32]

# Upper and lower lid points that face each other, from the outer to the inner third of the eye.
_LID_PAIRS = {
    "left": tuple((OF_MEDIAPIPE[a], OF_MEDIAPIPE[b]) for a, b in ((387, 373), (386, 374), (385, 380))),
    "right": tuple((OF_MEDIAPIPE[a], OF_MEDIAPIPE[b]) for a, b in ((160, 144), (159, 145), (158, 153))),
}
_BROW_INNER = tuple(OF_MEDIAPIPE[point] for point in (55, 107, 285, 336))
_BROW_OUTER = tuple(OF_MEDIAPIPE[point] for point in (46, 70, 53, 63, 276, 300, 283, 293))


def _y(points: Array, indices: tuple[int, ...]) -> Array:
    return np.asarray(points[..., list(indices), 1].mean(axis=-1), np.float32)


def lip_gap(points: Array) -> Array:
    """Distance of the inner lips at their middle."""
    return np.asarray(np.linalg.norm(points[..., LIP_INNER_LOWER, :2] - points[..., LIP_INNER_UPPER, :2], axis=-1), np.float32)


def lid_height(points: Array, side: str) -> Array:
    """Opening of one eye (``left`` or ``right``): mean over three lid pairs, lower minus upper."""
    return np.asarray(np.mean([points[..., low, 1] - points[..., up, 1] for up, low in _LID_PAIRS[side]], axis=0), np.float32)


def lid_opening(points: Array) -> Array:
    """Mean opening of both eyes."""
    return np.asarray((lid_height(points, "left") + lid_height(points, "right")) / 2, np.float32)


def mouth_width(points: Array) -> Array:
    """Distance of the mouth corners."""
    return np.asarray(np.linalg.norm(points[..., MOUTH_CORNER_LEFT, :2] - points[..., MOUTH_CORNER_RIGHT, :2], axis=-1), np.float32)


def brow_distance(points: Array) -> Array:
    """Height of the brows over the eye corners."""
    return np.asarray(-(_y(points, REGIONS["brow_left"]) + _y(points, REGIONS["brow_right"])) / 2, np.float32)


def chin_drop(points: Array) -> Array:
    """Height of the chin under the eye corners."""
    return points[..., CHIN, 1]


def inner_brow_height(points: Array) -> Array:
    """Height of the inner brow ends."""
    return -_y(points, _BROW_INNER)


def outer_brow_height(points: Array) -> Array:
    """Height of the outer brow ends."""
    return -_y(points, _BROW_OUTER)


def corner_height(points: Array) -> Array:
    """Height of the mouth corners."""
    return -_y(points, (MOUTH_CORNER_LEFT, MOUTH_CORNER_RIGHT))
