# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a portrait's own expression off: how far each Action Unit stands in the picture, and the face without it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.motion.canonical import region_scale
from backend.motion.contact import uncrossed
from backend.motion.face import ReferenceFace
from backend.motion.measures import lid_height, lip_gap
from bridge.facs import AU_COUNT, AU_INDEX
from bridge.landmarks import CHIN, OF_MEDIAPIPE

FloatArray = NDArray[np.float32]

# MediaPipe's reading of resting faces scatters up to the first number; the second is a full expression.
_READINGS: dict[str, tuple[tuple[str, ...], float, float]] = {
    "AU01": (("browInnerUp",), 0.12, 0.7),
    "AU02": (("browOuterUpLeft", "browOuterUpRight"), 0.15, 0.8),
    "AU04": (("browDownLeft", "browDownRight"), 0.4, 1.0),
    "AU05": (("eyeWideLeft", "eyeWideRight"), 0.15, 0.5),
    "AU10": (("mouthUpperUpLeft", "mouthUpperUpRight"), 0.25, 0.9),
    "AU12": (("mouthSmileLeft", "mouthSmileRight"), 0.25, 1.0),
    "AU15": (("mouthFrownLeft", "mouthFrownRight"), 0.08, 0.4),
    "AU20": (("mouthStretchLeft", "mouthStretchRight"), 0.25, 0.8),
}
# A full smile in a picture is seldom the reference face's fullest: only this share of a field is taken off.
_SHARE = 0.7
_RESTING_GAP = 0.022  # inter-ocular units: lips nearer than this are at rest
_CLOSED_GAP = 0.012
_RESTING_LID = 0.05  # lids nearer than this are half shut
_OPEN_LID = 0.095
_OPEN_LIDS = (0.07, 0.13)  # eyes of people
_CHIN_PER_GAP = 0.6  # where a speaker's tracked lips part by one the chin sinks by so much: mean of 120 open-mouthed frames of one person
_JAW_LINE = [OF_MEDIAPIPE[point] for point in (361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132)]
_RESTING_BLINK = 0.2
# MediaPipe's reading of a blink, and how much of an eye's height is left at it: medians of 30 real clips and of rendered people agree.
_OPEN_SHARE = np.array([(0.12, 1.0), (0.25, 0.68), (0.35, 0.46), (0.45, 0.3), (0.55, 0.17), (0.65, 0.07)])
_LEAST_SHARE = 0.3


def own_expression(blendshapes: dict[str, float]) -> FloatArray:
    """How strongly the portrait shows each AU, (18,) float32 0..1; zeros for a resting face."""
    shown = np.zeros(AU_COUNT, np.float32)
    for key, (names, resting, full) in _READINGS.items():
        reading = float(np.mean([blendshapes.get(name, 0.0) for name in names]))
        shown[AU_INDEX[key]] = np.clip((reading - resting) / (full - resting), 0.0, 1.0)
    return shown


def neutral_shift(canonical: FloatArray, blendshapes: dict[str, float], face: ReferenceFace) -> FloatArray:
    """What to add to a portrait's canonical landmarks (162, 3) to make them neutral, (162, 3) float32.

    Smile, brows and lids go by MediaPipe's reading, the lip gap by its own size. Exactly zero for a resting face.
    """
    scale = _scale3(canonical)
    shift = -_SHARE * np.einsum("a,apc->pc", own_expression(blendshapes), face.fields) * scale
    shift = shift + _closing(canonical + shift, canonical, face, scale)
    shift = shift + _opening(canonical + shift, blendshapes, face)
    if not shift.any():
        return np.zeros_like(canonical)
    return uncrossed(canonical + shift) - canonical


def _closing(points: FloatArray, original: FloatArray, face: ReferenceFace, scale: FloatArray) -> FloatArray:
    """The shift that shuts an open mouth: parted lips first, then the jaw; then every inner pair to its mean."""
    gap = float(lip_gap(points))
    if gap <= max(_RESTING_GAP, 0.0) and float(lip_gap(original)) <= _RESTING_GAP:
        return np.zeros_like(points)
    shift = np.zeros_like(points)
    for key, most in (("AU25", 1.0), ("AU26", 1.0)):
        field = face.fields[AU_INDEX[key]] * scale
        own = float(lip_gap(face.neutral + field) - lip_gap(face.neutral))
        amount = np.clip((float(lip_gap(points + shift)) - _CLOSED_GAP) / max(own, 1e-3), 0.0, most)
        shift = shift - amount * field
    return shift + _jaw_line(shift, max(gap - _CLOSED_GAP, 0.0), face, scale)


def _jaw_line(shift: FloatArray, gap: float, face: ReferenceFace, scale: FloatArray) -> FloatArray:
    """What the ``shift`` (162, 3) that closed the lips over ``gap`` lacks along the jaw line: a chin that comes up with them."""
    field = face.fields[AU_INDEX["AU26"]] * scale
    lacking = _CHIN_PER_GAP * gap + float(shift[CHIN, 1])
    added = np.zeros_like(shift)
    added[_JAW_LINE] = -lacking / max(float(field[CHIN, 1]), 1e-3) * field[_JAW_LINE]
    return added


def _opening(points: FloatArray, blendshapes: dict[str, float], face: ReferenceFace) -> FloatArray:
    """The shift that opens eyes that are caught in a blink, each by itself: by MediaPipe's reading, or by the height of a narrow eye."""
    shift = np.zeros_like(points)
    blink = face.fields[AU_INDEX["AU45"]]
    for side, of_side in (("left", points[:, 0] > 0), ("right", points[:, 0] <= 0)):
        height = float(lid_height(points, side))
        wanted = _open_height(height, blendshapes.get(f"eyeBlink{side.capitalize()}", 0.0))
        closed = float(lid_height(face.neutral + blink, side)) - float(lid_height(face.neutral, side))
        shift[of_side] += (wanted - height) / min(closed, -1e-3) * blink[of_side]
    return shift


def _open_height(height: float, reading: float) -> float:
    """Height of an eye without the blink that a picture caught, from its height there and MediaPipe's reading of the blink."""
    share = float(np.interp(reading, _OPEN_SHARE[:, 0], _OPEN_SHARE[:, 1]))
    wanted = float(np.clip(height / share, *_OPEN_LIDS)) if share >= _LEAST_SHARE else _OPEN_LID
    certain = float(np.clip((reading - _RESTING_BLINK) / 0.1, 0.0, 1.0))
    opened = height + certain * max(0.0, wanted - height)
    return max(opened, _OPEN_LID) if height < _RESTING_LID else opened


def _scale3(canonical: FloatArray) -> FloatArray:
    return np.concatenate([region_scale(canonical), np.ones((len(canonical), 1), np.float32)], axis=1)
