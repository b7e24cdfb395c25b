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

FloatArray = NDArray[np.float32]

# MediaPipe's reading of resting faces scatters up to the first number; the second is a full expression.
_READINGS: dict[str, tuple[tuple[str, ...], float, float]] = {
    "AU01": (("browInnerUp",), 0.30, 0.95),
    "AU02": (("browOuterUpLeft", "browOuterUpRight"), 0.30, 0.95),
    "AU04": (("browDownLeft", "browDownRight"), 0.35, 0.95),
    "AU05": (("eyeWideLeft", "eyeWideRight"), 0.15, 0.5),
    "AU10": (("mouthUpperUpLeft", "mouthUpperUpRight"), 0.25, 0.9),
    "AU12": (("mouthSmileLeft", "mouthSmileRight"), 0.25, 1.0),
    "AU15": (("mouthFrownLeft", "mouthFrownRight"), 0.08, 0.4),
    "AU20": (("mouthStretchLeft", "mouthStretchRight"), 0.25, 0.8),
}
# A full smile in a picture is seldom the reference face's fullest: only this share of a field is taken off.
_SHARE = 0.75
_RESTING_GAP = 0.022  # inter-ocular units: lips nearer than this are at rest
_CLOSED_GAP = 0.008
_RESTING_LID = 0.05  # lids nearer than this are half shut


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
    shift = shift + _opening(canonical + shift, face, scale)
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
    return shift


def _opening(points: FloatArray, face: ReferenceFace, scale: FloatArray) -> FloatArray:
    """The shift that opens eyes that are half shut in the picture, each by itself."""
    shift = np.zeros_like(points)
    blink = face.fields[AU_INDEX["AU45"]]
    for side, of_side in (("left", points[:, 0] > 0), ("right", points[:, 0] <= 0)):
        height = float(lid_height(points, side))
        if height < _RESTING_LID:
            amount = (0.085 - height) / max(float(lid_height(face.neutral, side)), 1e-3)
            shift[of_side] -= amount * blink[of_side]
    return shift


def _scale3(canonical: FloatArray) -> FloatArray:
    return np.concatenate([region_scale(canonical), np.ones((len(canonical), 1), np.float32)], axis=1)
