# SPDX-License-Identifier: GPL-3.0-or-later
"""What the spline has to know about eyes: lids unfold from a crease.

A spline takes the landmarks for points of one elastic sheet. Lids are not: a shutting lid slides over the eye, and what lies
above it stays. Points of the crease keep brows and glasses from being dragged along. They cost likeness where lids move little,
and so are let go of there. All points are (n, 2) float32 in crop coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import (
    EYE_INNER_LEFT,
    EYE_INNER_RIGHT,
    EYE_OUTER_LEFT,
    EYE_OUTER_RIGHT,
    LID_LOWER_LEFT,
    LID_LOWER_RIGHT,
    LID_UPPER_LEFT,
    LID_UPPER_RIGHT,
    OF_MEDIAPIPE,
    REGIONS,
)

Points = NDArray[np.float32]

# How far above the higher lid of the two faces the crease lies, as a share of the way to the brow.
CREASE_HEIGHT = 0.25
# Openings of the narrower eye, as shares of the wider one, up to which lids are taken to slide, and from which on not at all.
SLIDING, UNMOVED = 0.3, 0.6
# Likewise, between which the irises go over from the lids' to their own motion.
IRIS_HIDDEN, IRIS_SHOWN = 0.2, 0.45


@dataclass(frozen=True)
class _Eye:
    """Landmark rows of an eye. ``lids`` and ``brows``: upper lid points and the brow points above them, inner to outer."""

    inner: int
    outer: int
    upper: int
    lower: int
    lids: tuple[int, ...]
    brows: tuple[int, ...]
    iris: tuple[int, ...]  # its rim, then its centre


def _rows(*mesh_indices: int) -> tuple[int, ...]:
    return tuple(OF_MEDIAPIPE[index] for index in mesh_indices)


_EYES = (
    _Eye(
        EYE_INNER_LEFT, EYE_OUTER_LEFT, LID_UPPER_LEFT, LID_LOWER_LEFT,
        _rows(384, 385, 386, 387, 388), _rows(285, 295, 282, 283, 276), (*REGIONS["iris_left"], OF_MEDIAPIPE[473]),
    ),
    _Eye(
        EYE_INNER_RIGHT, EYE_OUTER_RIGHT, LID_UPPER_RIGHT, LID_LOWER_RIGHT,
        _rows(157, 158, 159, 160, 161), _rows(55, 65, 52, 53, 46), (*REGIONS["iris_right"], OF_MEDIAPIPE[468]),
    ),
)  # fmt: skip


def irises_behind_lids(portrait: Points, frame: Points) -> tuple[Points, Points]:
    """Both faces' landmarks (162, 2), with the irises of the narrower eyes squeezed between lids that are nearly shut.

    Without, the round iris of keyed motion holds the lid open.
    """
    first, second = portrait.copy(), frame.copy()
    for eye in _EYES:
        if _opening(frame, eye) < _opening(portrait, eye):
            second[list(eye.iris)] = _squeezed(portrait, frame, eye)
        else:
            first[list(eye.iris)] = _squeezed(frame, portrait, eye)
    return first, second


def _squeezed(wide: Points, narrow: Points, eye: _Eye) -> Points:
    """The iris points (5, 2) of the narrower eye, squeezed between its lids as far as they cover it."""
    iris = _local(wide, eye, eye.iris)
    upper, lower = _local(wide, eye, (eye.upper, eye.lower))[:, 1]
    upper_narrow, lower_narrow = _local(narrow, eye, (eye.upper, eye.lower))[:, 1]
    span = upper - lower if abs(upper - lower) > 1e-4 else 1e-4
    height = lower_narrow + (iris[:, 1] - lower) / span * (upper_narrow - lower_narrow)
    along, across = _axes(narrow, eye)
    squeezed = narrow[eye.inner] + iris[:, :1] * along + height[:, None] * across
    share = np.clip((_opening(narrow, eye) / max(_opening(wide, eye), 1e-6) - IRIS_HIDDEN) / (IRIS_SHOWN - IRIS_HIDDEN), 0, 1)
    share = share * share * (3 - 2 * share)
    return np.asarray(squeezed + share * (narrow[list(eye.iris)] - squeezed), np.float32)


def crease_points(portrait: Points, frame: Points) -> tuple[Points, Points, Points]:
    """Pairs of points (10, 2) of both creases for the spline, and how softly it is held to them (10,), 0 firmly to 1 not at all."""
    pairs = [_crease(portrait, frame, eye) for eye in _EYES]
    softness = [np.full(len(eye.lids), _softness(portrait, frame, eye), np.float32) for eye in _EYES]
    starts, goals = (np.concatenate(points).astype(np.float32) for points in zip(*pairs, strict=True))
    return starts, goals, np.concatenate(softness)


def _softness(portrait: Points, frame: Points, eye: _Eye) -> float:
    """0 where one of the faces has the eye shut, 1 where both have it about as far open."""
    narrow, wide = sorted((_opening(portrait, eye), _opening(frame, eye)))
    share = np.clip((narrow / max(wide, 1e-6) - SLIDING) / (UNMOVED - SLIDING), 0, 1)
    return float(share * share * (3 - 2 * share))


def _axes(face: Points, eye: _Eye) -> tuple[Points, Points]:
    """The eye's line from inner to outer corner, and the vector of the same length at a right angle to it."""
    along = face[eye.outer] - face[eye.inner]
    return along, np.array([-along[1], along[0]], np.float32)


def _local(face: Points, eye: _Eye, rows: tuple[int, ...]) -> Points:
    """Places of landmarks along and across the eye's line, in units of its length."""
    along, across = _axes(face, eye)
    offset = face[list(rows)] - face[eye.inner]
    return np.asarray(np.stack([offset @ along, offset @ across], -1) / max(float(along @ along), 1e-9), np.float32)


def _opening(face: Points, eye: _Eye) -> float:
    """Between the lids, across the eye's line and in units of its length."""
    along, across = _axes(face, eye)
    return abs(float((face[eye.upper] - face[eye.lower]) @ across)) / max(float(along @ along), 1e-9)


def _crease(portrait: Points, frame: Points, eye: _Eye) -> tuple[Points, Points]:
    """Five points of the upper lid's crease in both faces. It rides on the eye's corners and the brow, not on the lid:

    without it the spline would drag all below the brow along with a closing lid, glasses and the brow's own edge too.
    """
    share = _local(portrait, eye, eye.lids)[:, :1]
    feet, ways, heights = [], [], []
    for face in (portrait, frame):
        foot = face[eye.inner] + share * (face[eye.outer] - face[eye.inner])
        way = face[list(eye.brows)] - foot
        feet.append(foot)
        ways.append(way)
        heights.append(((face[list(eye.lids)] - foot) * way).sum(1) / np.maximum((way * way).sum(1), 1e-9))
    higher = np.clip(np.maximum(*heights), 0, 0.9)[:, None]
    height = higher + CREASE_HEIGHT * (1 - higher)
    return feet[0] + height * ways[0], feet[1] + height * ways[1]
