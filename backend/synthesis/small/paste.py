# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting the network's picture back into the portrait at the portrait's own size.

The portrait is warped once more at its own resolution and only the change that the network made is added to it, so skin and
hair keep their detail; where the network painted something new, the old detail fades.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .crop import Crop
from .warp import apply_field

FEATHER = 0.06  # of the crop's side, from the portrait at the border to the picture inside
_PAINTED = 0.12  # change (of the range -1..1) at which two thirds of the old fine detail are gone


class Paste:
    """Pastes the frames of one shot. The feathered border and the portrait stay the same throughout."""

    def __init__(self, portrait: NDArray[np.uint8], crop: Crop, detail: NDArray[np.uint8]) -> None:
        """``portrait``: (h, w, 3) uint8. ``detail``: (d, d, 3) uint8, the crop at the resolution to work in."""
        self.portrait, self.crop, self.detail = portrait, crop, detail
        height, width = portrait.shape[:2]
        self.rows = slice(max(crop.top, 0), min(crop.top + crop.side, height))
        self.columns = slice(max(crop.left, 0), min(crop.left + crop.side, width))
        inner_rows = slice(self.rows.start - crop.top, self.rows.stop - crop.top)
        inner_columns = slice(self.columns.start - crop.left, self.columns.stop - crop.left)
        self.inner = (inner_rows, inner_columns)
        self.weight = self._feather()
        self.background = portrait[self.rows, self.columns].astype(np.float32)

    def __call__(self, field: NDArray[np.float32], warped: NDArray[np.float32], picture: NDArray[np.float32]) -> NDArray[np.uint8]:
        """One frame (h, w, 3) uint8.

        ``field``: whole-crop backward field; ``warped`` and ``picture``: (3, s, s) float32 -1..1, the network's input and output.
        """
        square = self.sharp(field, warped, picture)
        if square.shape[0] != self.crop.side:
            square = cv2.resize(square, (self.crop.side, self.crop.side), interpolation=cv2.INTER_CUBIC)
        inside = square[self.inner]
        mixed = self.background + (inside - self.background) * self.weight
        frame = self.portrait.copy()
        frame[self.rows, self.columns] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
        return frame

    def sharp(self, field: NDArray[np.float32], warped: NDArray[np.float32], picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """The crop (d, d, 3) float32 0..255 at the detail resolution."""
        side, small = self.detail.shape[0], picture.shape[-1]
        if side == small:
            return (picture.transpose(1, 2, 0) + 1) * np.float32(127.5)
        change = np.ascontiguousarray((picture - warped).transpose(1, 2, 0))
        painted = cv2.GaussianBlur(np.abs(change).max(-1), (5, 5), 0)
        keep = np.exp(-np.square(painted / np.float32(_PAINTED)))
        method = cv2.INTER_LINEAR if side > small else cv2.INTER_AREA
        # OpenCV resizes four channels at a time.
        added = cv2.resize(np.dstack([change, keep]), (side, side), interpolation=method)
        plain = cv2.resize(np.ascontiguousarray((warped + 1).transpose(1, 2, 0)), (side, side), interpolation=method)
        sharp = apply_field(self.detail, field).astype(np.float32) * np.float32(1 / 127.5)
        fine = (sharp - plain) * added[..., 3:]
        return (plain + added[..., :3] + fine) * np.float32(127.5)

    def _feather(self) -> NDArray[np.float32]:
        """(rows, columns, 1) float32 weight of the picture: 0 at the crop's border, also where the portrait ends there only outside it."""
        side = self.crop.side
        distance = np.minimum(np.arange(side), np.arange(side)[::-1]) / (FEATHER * side)
        ramp = np.clip(distance, 0, 1)
        smooth = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
        return (smooth[self.inner[0]][:, None] * smooth[self.inner[1]][None, :])[..., None]
