# SPDX-License-Identifier: GPL-3.0-or-later
"""Region handles: which landmarks each one moves, and how much of its own way. No bpy.

A handle's weight falls off smoothly along its contour, and the handles of a contour share it out between them: moving
both mouth corners and both lips by the same way moves the whole mouth by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bridge import landmarks as table

HANDLE_PREFIX = "Handle "
HANDLE_COLLECTION = "Handles"
HANDLE_COLOUR = (0.98, 0.92, 0.55)
LEAST_WEIGHT = 0.02  # below this a landmark is left alone
LIP_SHARE_OF_JAW = 0.85  # how far the middle of the lower lip goes along with the jaw
CORNER_SHARE_OF_JAW = 0.3
REGION_TITLES = {"mouth": "Mouth", "jaw": "Jaw", "brows": "Brows", "lids": "Lids", "gaze": "Gaze"}
Weights = dict[int, float]
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Handle:
    """``name``: of its bone. ``region``: a key of REGION_TITLES. ``place``: its rest, armature x and z. ``weights``: by landmark.
    ``anchor``: the landmark beside which it is drawn, also when a prediction has moved that; ``aside``: how far from it.
    """

    name: str
    region: str
    place: tuple[float, float]
    weights: Weights
    anchor: int
    aside: tuple[float, float]


@dataclass(frozen=True)
class _Sketch:
    name: str
    region: str
    place: tuple[float, float]
    weights: Weights


def handles(rest: Points) -> tuple[Handle, ...]:
    """All handles of a face at rest, (162, 2) armature units."""
    sketches = (*_mouth(rest), _jaw(rest), *_brows(rest), *_lids(rest), *_gaze(rest))
    return tuple(_anchored(sketch, rest) for sketch in sketches)


def _anchored(sketch: _Sketch, rest: Points) -> Handle:
    """Beside the landmark that goes along most; among equals the nearest."""
    place = np.float32(sketch.place)
    weights = sketch.weights or dict.fromkeys(range(len(rest)), 0.0)  # a face laid out like none, of which it moves nothing
    anchor = min(weights, key=lambda point: (-round(weights[point], 2), float(np.hypot(*(rest[point] - place)))))
    aside = place - rest[anchor]
    return Handle(sketch.name, sketch.region, sketch.place, sketch.weights, anchor, (float(aside[0]), float(aside[1])))


_NAMES_BY_REGION = {
    "mouth": ("Mouth Corner.L", "Mouth Corner.R", "Upper Lip", "Lower Lip"),
    "jaw": ("Jaw",),
    "brows": ("Inner Brow.L", "Outer Brow.L", "Inner Brow.R", "Outer Brow.R"),
    "lids": ("Upper Lid.L", "Lower Lid.L", "Upper Lid.R", "Lower Lid.R"),
    "gaze": ("Gaze.L", "Gaze.R"),
}
REGION_OF: dict[str, str] = {HANDLE_PREFIX + name: region for region, names in _NAMES_BY_REGION.items() for name in names}
HANDLE_NAMES: tuple[str, ...] = tuple(REGION_OF)


def _smooth(t: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 below 0, 1 above 1, level at both ends."""
    t = np.clip(t, 0.0, 1.0)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _handle(name: str, region: str, place: NDArray[np.float32], points: list[int], weights: NDArray[np.float32]) -> _Sketch:
    kept = {point: float(weight) for point, weight in zip(points, weights) if weight >= LEAST_WEIGHT}
    return _Sketch(HANDLE_PREFIX + name, region, (float(place[0]), float(place[1])), kept)


def _lip_rows() -> tuple[list[int], list[int]]:
    """Landmarks of the upper and of the lower lip, without the corners; the rings run from the right corner along the lower lip."""
    upper, lower = [], []
    for region in ("lips_outer", "lips_inner"):
        ring = list(table.REGIONS[region])
        lower += ring[1:10]
        upper += ring[11:]
    return upper, lower


def _lip_corners() -> list[int]:
    """The corners of the outer and of the inner contour."""
    return [table.REGIONS[region][place] for region in ("lips_outer", "lips_inner") for place in (0, 10)]


def _across_mouth(rest: Points, points: list[int]) -> NDArray[np.float32]:
    """-1 at the subject's right mouth corner, 1 at the left, along the line between them."""
    right, left = rest[table.MOUTH_CORNER_RIGHT], rest[table.MOUTH_CORNER_LEFT]
    half = (left - right) / 2
    return ((rest[points] - (left + right) / 2) @ half / max(float(half @ half), 1e-9)).astype(np.float32)


def _mouth(rest: Points) -> list[_Sketch]:
    upper, lower = _lip_rows()
    everything = [*table.REGIONS["lips_outer"], *table.REGIONS["lips_inner"]]
    across = _across_mouth(rest, everything)
    corners = {"L": _smooth(across), "R": _smooth(-across)}
    middle = 1 - _smooth(np.abs(across))
    share = dict(zip(everything, middle))
    place = {"L": rest[table.MOUTH_CORNER_LEFT], "R": rest[table.MOUTH_CORNER_RIGHT]}
    found = [
        _handle(f"Mouth Corner.{side}", "mouth", place[side] + (0.12 if side == "L" else -0.12, 0), everything, corners[side])
        for side in "LR"
    ]
    for name, row, inner, away in (("Upper Lip", upper, table.LIP_INNER_UPPER, 0.16), ("Lower Lip", lower, table.LIP_INNER_LOWER, -0.18)):
        # The contours' own corners belong to neither lip: half of what the mouth corners leave of them goes with each.
        points, part = row + _lip_corners(), [1.0] * len(row) + [0.5] * 4
        weights = np.array([share[point] * half for point, half in zip(points, part)], np.float32)
        found.append(_handle(name, "mouth", rest[inner] + (0, away), points, weights))
    return found


def _jaw(rest: Points) -> _Sketch:
    """The chin and the jaw line below the nose, the lower lip with it, the mouth corners a little."""
    oval, (_, lower) = list(table.REGIONS["face_oval"]), _lip_rows()
    top, chin = float(rest[table.OF_MEDIAPIPE[2]][1]), float(rest[table.CHIN][1])
    fall = _smooth((top - rest[oval][:, 1]) / max(top - chin, 1e-6))
    corners = _lip_corners()
    middle = 1 - _smooth(np.abs(_across_mouth(rest, lower)))
    lips = CORNER_SHARE_OF_JAW + (LIP_SHARE_OF_JAW - CORNER_SHARE_OF_JAW) * middle
    points = oval + lower + corners
    weights = np.concatenate([fall, lips, np.full(len(corners), CORNER_SHARE_OF_JAW)]).astype(np.float32)
    return _handle("Jaw", "jaw", rest[table.CHIN] + (0, -0.15), points, weights)


def _brows(rest: Points) -> list[_Sketch]:
    found = []
    for side, region in (("L", "brow_left"), ("R", "brow_right")):
        points = list(table.REGIONS[region])
        from_middle = np.abs(rest[points][:, 0] - (rest[table.EYE_INNER_LEFT][0] + rest[table.EYE_INNER_RIGHT][0]) / 2)
        outward = _smooth((from_middle - from_middle.min()) / max(float(np.ptp(from_middle)), 1e-6))
        above = float(rest[points][:, 1].max()) + 0.12
        ends = {"Inner": rest[points[int(from_middle.argmin())]][0], "Outer": rest[points[int(from_middle.argmax())]][0]}
        for end, weights in (("Inner", 1 - outward), ("Outer", outward)):
            found.append(_handle(f"{end} Brow.{side}", "brows", np.float32([ends[end], above]), points, weights))
    return found


def _lids(rest: Points) -> list[_Sketch]:
    """The rings run from the outer corner along the lower lid to the inner corner; corners stay."""
    found = []
    for side, region in (("L", "eye_left"), ("R", "eye_right")):
        ring = list(table.REGIONS[region])
        outer, inner = rest[ring[0]], rest[ring[8]]
        along = inner - outer
        for lid, points, away in (("Upper", ring[9:], 0.1), ("Lower", ring[1:8], -0.1)):
            t = np.clip((rest[points] - outer) @ along / max(float(along @ along), 1e-9), 0.0, 1.0)
            found.append(
                _handle(f"{lid} Lid.{side}", "lids", (outer + inner) / 2 + (0, away), points, np.sin(np.pi * t).astype(np.float32))
            )
    return found


def _gaze(rest: Points) -> list[_Sketch]:
    found = []
    for side, region, centre in (("L", "iris_left", 473), ("R", "iris_right", 468)):
        points = [*table.REGIONS[region], table.OF_MEDIAPIPE[centre]]
        found.append(_handle(f"Gaze.{side}", "gaze", rest[points[-1]], points, np.ones(len(points), np.float32)))
    return found
