# SPDX-License-Identifier: GPL-3.0-or-later
"""The square of the portrait that is rendered, and how it goes back into the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..small.crop import Crop, resized

FACE_SHARE = 2.2  # side of the square over the longer side of the face's landmarks: head and shoulders, as the weights were trained on
LEAST_SHARE = 1.3  # a square that small still holds the face and room to move
NEARLY_ALL = 0.8  # a square of that share of a picture's shorter side grows to all of it: fewer borders to hide
MOTION_MARGIN = 0.04  # room, as a share of the side, between the track and the border
_FEATHER = 0.06  # of the side, over which the square fades into the portrait where it ends inside it

Picture = NDArray[np.uint8]


def portrait_crop(landmarks: NDArray[np.float32], track: NDArray[np.float32], size: tuple[int, int]) -> Crop:
    """The square for a whole shot, inside the picture wherever the face fits there.

    ``landmarks``: (162, 2) pixels of the portrait. ``track``: (frames, 162, 2) pixels. ``size``: (width, height) of the portrait.
    """
    low, high = landmarks.min(0), landmarks.max(0)
    box = float((high - low).max())
    centre = (low + high) / 2
    reach = float(np.abs(track - centre).max()) if len(track) else 0.0
    # Never so far beyond the face that it shrinks to nothing: a track that leaves the portrait is clipped.
    side = max(FACE_SHARE * box, min(2 * reach * (1 + 2 * MOTION_MARGIN), 1.5 * FACE_SHARE * box))
    shorter = min(size)
    if side >= NEARLY_ALL * shorter and shorter >= LEAST_SHARE * box:
        side = shorter
    whole = max(int(round(side)), 16)
    corner = np.rint(centre - whole / 2).astype(int)
    left, top = (_inside(int(corner[axis]), whole, size[axis]) for axis in (0, 1))
    return Crop(left, top, whole)


def _inside(start: int, length: int, limit: int) -> int:
    """``start`` moved so that the span lies inside 0..limit, or centred on it where it is longer."""
    return min(max(start, 0), limit - length) if length <= limit else (limit - length) // 2


class PasteBack:
    """Puts rendered squares back into the portrait."""

    def __init__(self, portrait: Picture, crop: Crop) -> None:
        """``portrait``: (h, w, 3) uint8."""
        self.portrait, self.crop = portrait, crop
        height, width = portrait.shape[:2]
        self._rows = slice(max(crop.top, 0), min(crop.top + crop.side, height))
        self._columns = slice(max(crop.left, 0), min(crop.left + crop.side, width))
        self._mask = _mask(crop, width, height)

    def __call__(self, picture: Picture) -> Picture:
        """(h, w, 3) uint8 with ``picture``, (s, s, 3) uint8, in the crop's place."""
        square = resized(picture, self.crop.side)
        part = square[
            self._rows.start - self.crop.top : self._rows.stop - self.crop.top,
            self._columns.start - self.crop.left : self._columns.stop - self.crop.left,
        ]
        out = self.portrait.copy()
        beneath = out[self._rows, self._columns].astype(np.float32)
        out[self._rows, self._columns] = np.rint(beneath + self._mask * (part - beneath)).astype(np.uint8)
        return out


def _mask(crop: Crop, width: int, height: int) -> NDArray[np.float32]:
    """(h, w, 1) float32 over the part of the crop inside the picture: 1, falling to 0 at borders that lie inside the picture."""

    def ramp(start: int, limit: int) -> NDArray[np.float32]:
        place = np.arange(max(start, 0), min(start + crop.side, limit), dtype=np.float32) + 0.5
        reach = max(crop.side * _FEATHER, 1.0)
        low = np.ones_like(place) if start <= 0 else np.clip((place - start) / reach, 0, 1)
        high = np.ones_like(place) if start + crop.side >= limit else np.clip((start + crop.side - place) / reach, 0, 1)
        return np.asarray(low * high, np.float32)

    mask = ramp(crop.top, height)[:, None] * ramp(crop.left, width)[None]
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.0) * (mask > 0), np.float32)[..., None]
