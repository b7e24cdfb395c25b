# SPDX-License-Identifier: GPL-3.0-or-later
"""What the spline has to know about hair, neck and chest, where there are no landmarks.

With landmarks and a still border alone the spline lets everything between them follow the face like rubber: the chest sways
with the chin, and the hair lags behind the forehead. Measured on people trained on, more than half of the square's error lay
there. Two rows of points below the chin move the chest as a body does, and an arc above the forehead moves with the skull.
All points are crop coordinates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import EYE_INNER_LEFT, EYE_INNER_RIGHT, EYE_OUTER_LEFT, EYE_OUTER_RIGHT, REGIONS

from .turn import landmark_depth, turned

Points = NDArray[np.float32]
Motion = Callable[[NDArray[np.float64], float], NDArray[np.float64]]

# All chosen on people trained on: one real man, one real woman, rendered people.
_HAIR_REACH = 1.2  # how far out the arc lies, from the middle of the face, over the face's outline
_HAIR_DEPTH = -0.4  # in eye distances, as the landmarks' depths
_HAIR_HELD, _HAIR_FREE = 4.0, 10.0  # degrees of turn from which the arc is let go, and fully: there another part of the hair is seen
_NECK_DEPTH = -0.8
_CHEST_ROWS = (0.15, 0.35)  # below the chin, in face heights
# Shares of the neck's shift, across and down, that the chest goes along: whoever moves the head moves the body. Down it is less, for nods
# pass for shifts. Chosen on two real people, where optical flow at the edges of clothes says the same; rendered ones hold still.
_CHEST_SHARE = np.array([0.7, 0.2])
_CHEST_POINTS, _CHEST_REACH = 9, 1.1  # points of a row, and its half length in face widths
_INSIDE = 0.02  # points nearer to the border than this are left to the anchors there
_OVAL = list(REGIONS["face_oval"])
_CORNERS = [EYE_INNER_LEFT, EYE_INNER_RIGHT, EYE_OUTER_LEFT, EYE_OUTER_RIGHT]


def surrounding_points(portrait: Points, frame: Points) -> tuple[Points, Points, Points]:
    """Further pairs of points (n, 2) for the spline from ``portrait`` (162, 2) to ``frame`` (162, 2), and how softly it is held to
    them (n,), 0 firmly to 1 not at all; n depends on the portrait alone."""
    oval = portrait[_OVAL].astype(np.float64)
    middle, low, high = oval.mean(0), oval.min(0), oval.max(0)
    width, height = high - low
    upper = [row for row in _OVAL if portrait[row, 1] < middle[1] - 0.05 * height]
    if len(upper) < 4:  # upside down or degenerate: nothing can be said of hair and chest
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    skull = _skull_motion(portrait, frame, upper + _CORNERS)
    arc = _inside(middle + (portrait[[row for row in upper if portrait[row, 1] < middle[1] - 0.1 * height]] - middle) * _HAIR_REACH)
    starts, goals = [arc], [skull(arc, _HAIR_DEPTH)]
    foot = np.array([[middle[0], high[1]]])
    sway = skull(foot, _NECK_DEPTH) - foot
    across = middle[0] + np.linspace(-_CHEST_REACH, _CHEST_REACH, _CHEST_POINTS) * width
    for below in _CHEST_ROWS:
        row = _inside(np.stack([across, np.full(_CHEST_POINTS, high[1] + below * height)], 1))
        starts.append(row)
        goals.append(row + _CHEST_SHARE * sway)
    softness = np.zeros(sum(map(len, starts)), np.float32)
    softness[: len(arc)] = np.clip((turned(portrait, frame) - _HAIR_HELD) / (_HAIR_FREE - _HAIR_HELD), 0, 1)
    return np.concatenate(starts).astype(np.float32), np.concatenate(goals).astype(np.float32), softness


def _inside(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return places[((places > _INSIDE) & (places < 1 - _INSIDE)).all(1)]


def _skull_motion(portrait: Points, frame: Points, rows: list[int]) -> Motion:
    """How places at a depth move with the skull: a similarity and a shift that grows with depth, fitted on points that no muscle moves."""
    depth = landmark_depth()
    start, goal = portrait[rows].astype(np.float64), frame[rows].astype(np.float64)
    middle, deep = start.mean(0), depth[rows]
    x, y = (start - middle).T
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    across = np.stack([x, -y, ones, zeros, deep, zeros], 1)
    down = np.stack([y, x, zeros, ones, zeros, deep], 1)
    a, b, *rest = np.linalg.lstsq(np.concatenate([across, down]), np.concatenate([goal[:, 0], goal[:, 1]]), rcond=None)[0]
    turn, shift, slope = np.array([[a, -b], [b, a]]), np.array(rest[:2]), np.array(rest[2:])
    return lambda places, deepness: (places - middle) @ turn.T + shift + deepness * slope
