# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting the network's picture back into the portrait at the portrait's own size.

The portrait is warped once more at its own resolution and only the change that the network made is added to it, so skin and
hair keep their detail; where the network painted something new, the old detail fades. With s the sharp warped portrait, w the
network's input, p its picture and k how much old detail stays, the result is k s + (p - k w): two small pictures, enlarged.
Colours match because nothing but differences of one and the same picture are added; where the network changed nothing, the
portrait's own pixels come through untouched.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .crop import Crop
from .warp import apply_field

Array = NDArray[np.float32]
FEATHER = 0.06  # of the crop's side, from the portrait at the border to the picture inside
PAINTED = 0.12  # change (of the range -1..1) at which two thirds of the old fine detail are gone
UNTOUCHED = 1 / 255  # changes below half a grey level need no sum
TOUCHED_REACH = 9  # pixels a side of what is taken along round a change


class Paste:
    """Pastes the frames of one shot. The feathered border and the portrait stay the same throughout; safe in several threads."""

    def __init__(self, portrait: NDArray[np.uint8], crop: Crop, detail: NDArray[np.uint8]) -> None:
        """``portrait``: (h, w, 3) uint8. ``detail``: (d, d, 3) uint8, the crop at the resolution to work in."""
        self.portrait, self.crop, self.detail = portrait, crop, detail
        height, width = portrait.shape[:2]
        self.rows = slice(max(crop.top, 0), min(crop.top + crop.side, height))
        self.columns = slice(max(crop.left, 0), min(crop.left + crop.side, width))
        inner_rows = slice(self.rows.start - crop.top, self.rows.stop - crop.top)
        inner_columns = slice(self.columns.start - crop.left, self.columns.stop - crop.left)
        self.inner = (inner_rows, inner_columns)
        self.borders = self._borders()

    def __call__(self, field: Array, warped: Array, picture: Array) -> NDArray[np.uint8]:
        """One frame (h, w, 3) uint8.

        ``field``: whole-crop backward field; ``warped`` and ``picture``: (3, s, s) float32 -1..1, the network's input and output.
        """
        square = self.sharp(field, warped, picture)
        if square.shape[0] != self.crop.side:
            square = np.asarray(cv2.resize(square, (self.crop.side, self.crop.side), interpolation=cv2.INTER_CUBIC), np.uint8)
        frame = self.portrait.copy()
        inside = frame[self.rows, self.columns]
        inside[:] = square[self.inner]
        for place, weight, ground in self.borders:
            mixed = ground + (inside[place].astype(np.float32) - ground) * weight
            inside[place] = np.rint(mixed).astype(np.uint8)
        return frame

    def sharp(self, field: Array, warped: Array, picture: Array) -> NDArray[np.uint8]:
        """The crop (d, d, 3) uint8 at the detail resolution."""
        side, small = self.detail.shape[0], picture.shape[-1]
        if side == small:
            return _whole_numbers((picture.transpose(1, 2, 0) + 1) * np.float32(127.5))
        sharp = apply_field(self.detail, field)
        change = np.ascontiguousarray((picture - warped).transpose(1, 2, 0))
        size = np.abs(change).max(-1)
        touched = cv2.dilate((size > UNTOUCHED).astype(np.uint8), np.ones((TOUCHED_REACH, TOUCHED_REACH), np.uint8))
        if not touched.any():
            return sharp
        keep = np.exp(-np.square(cv2.GaussianBlur(size, (5, 5), 0) / np.float32(PAINTED)))[..., None]
        plain = warped.transpose(1, 2, 0) + np.float32(1)
        added = (plain * (1 - keep) + change) * np.float32(127.5)
        self._add(sharp, np.concatenate([added, keep], -1), touched)
        return sharp

    @staticmethod
    def _add(sharp: NDArray[np.uint8], small: Array, touched: NDArray[np.uint8]) -> None:
        """Replaces the touched part of ``sharp`` (d, d, 3) by small[..., 3] times itself plus small[..., :3]."""
        left, top, width, height = cv2.boundingRect(touched)
        side, ratio = small.shape[0], sharp.shape[0] / small.shape[0]
        # The part's places in the large picture are whole pixels; a sub-pixel map takes them to the small one.
        first = np.floor(np.array([left, top]) * ratio).astype(int)
        last = np.ceil(np.array([left + width, top + height]) * ratio).astype(int)
        columns, rows = (
            ((np.arange(a, b) + 0.5) / ratio - 0.5).clip(0, side - 1).astype(np.float32) for a, b in zip(first, last, strict=True)
        )
        maps = np.broadcast_to(columns, (len(rows), len(columns))), np.broadcast_to(rows[:, None], (len(rows), len(columns)))
        large = cv2.remap(small, np.ascontiguousarray(maps[0]), np.ascontiguousarray(maps[1]), cv2.INTER_LINEAR)
        part = sharp[first[1] : last[1], first[0] : last[0]]
        kept = cv2.multiply(part, cv2.merge([large[..., 3]] * 3), dtype=cv2.CV_32F)
        part[:] = cv2.add(kept, large[..., :3], dtype=cv2.CV_8U)  # rounds and stays within 0..255

    def _borders(self) -> list[tuple[tuple[slice, slice], Array, Array]]:
        """Four strips of the crop inside the portrait where it is feathered: place, weight (r, c, 1) of the picture, portrait there."""
        side = self.crop.side
        distance = np.minimum(np.arange(side), np.arange(side)[::-1]) / (FEATHER * side)
        ramp = np.clip(distance, 0, 1)
        smooth = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
        down, across = smooth[self.inner[0]], smooth[self.inner[1]]
        strips = []
        rows, columns = _plateau(down), _plateau(across)
        whole = slice(0, len(across))
        for place in (
            (slice(0, rows.start), whole),
            (slice(rows.stop, len(down)), whole),
            (rows, slice(0, columns.start)),
            (rows, slice(columns.stop, len(across))),
        ):
            weight = (down[place[0]][:, None] * across[place[1]][None, :])[..., None]
            if weight.size:
                strips.append((place, weight, self.portrait[self.rows, self.columns][place].astype(np.float32)))
        return strips


def _plateau(weights: Array) -> slice:
    """Where the weights are 1."""
    inside = np.flatnonzero(weights >= 1)
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def _whole_numbers(picture: Array) -> NDArray[np.uint8]:
    return np.asarray(cv2.add(np.ascontiguousarray(picture), np.zeros(4), dtype=cv2.CV_8U), np.uint8)
