# SPDX-License-Identifier: GPL-3.0-or-later
"""The square round the face that the network sees: chosen once for a shot, cut out, and measured in its own coordinates.

Picture coordinates are continuous pixels: the centre of the first pixel is at .5, as MediaPipe counts. Crop coordinates
run from 0 to 1 over the square.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import REGIONS

FACE_SHARE = 1.6  # side of the crop over the longer side of the face's landmark box
MOTION_MARGIN = 0.08  # room, as a share of the side, between the landmarks' furthest excursion and the border
LARGEST_GROWTH = 1.5  # a track that leaves the portrait further than this is clipped rather than shrinking the face


@dataclass(frozen=True)
class Crop:
    """A square of the portrait in whole pixels; it may reach beyond the picture's border."""

    left: int
    top: int
    side: int

    def to_unit(self, landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Landmarks (..., 2) in picture pixels to crop coordinates."""
        origin = np.array([self.left, self.top], np.float32)
        return ((np.asarray(landmarks, np.float32) - origin) / self.side).astype(np.float32)

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(side, side, 3) uint8; beyond the picture its border pixels are repeated."""
        height, width = picture.shape[:2]
        right, bottom = self.left + self.side, self.top + self.side
        inside = picture[max(self.top, 0) : min(bottom, height), max(self.left, 0) : min(right, width)]
        beyond = (max(-self.top, 0), max(bottom - height, 0), max(-self.left, 0), max(right - width, 0))
        if not any(beyond):
            return np.ascontiguousarray(inside)
        return np.asarray(cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REPLICATE), np.uint8)


def shot_crop(portrait_landmarks: NDArray[np.float32], landmarks: NDArray[np.float32]) -> Crop:
    """The crop for a whole shot.

    ``portrait_landmarks``: (162, 2) pixels. ``landmarks``: (frames, 162, 2) pixels. The square is centred on the portrait's
    face and grows, within limits, until it holds the whole track.
    """
    low, high = portrait_landmarks.min(0), portrait_landmarks.max(0)
    centre = (low + high) / 2
    side = float((high - low).max()) * FACE_SHARE
    if len(landmarks):
        furthest = float(np.abs(landmarks - centre).max())
        side = min(max(side, 2 * furthest / (1 - 2 * MOTION_MARGIN)), side * LARGEST_GROWTH)
    whole = max(int(round(side)), 16)
    left, top = np.rint(centre - whole / 2).astype(int)
    return Crop(int(left), int(top), whole)


def resized(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A square picture at another side, without aliasing when it shrinks."""
    if picture.shape[0] == side:
        return picture
    method = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=method), np.uint8)


def region_box(points: NDArray[np.float32], regions: tuple[str, ...], margin: float) -> NDArray[np.float32]:
    """(left, top, right, bottom) round some regions' landmarks, grown by ``margin`` of the box's longer side."""
    chosen = points[[index for region in regions for index in REGIONS[region]]]
    low, high = chosen.min(0), chosen.max(0)
    grown = float((high - low).max()) * margin
    return np.concatenate([low - grown, high + grown]).astype(np.float32)
