# SPDX-License-Identifier: GPL-3.0-or-later
"""``Paste`` for several frames at once, on the device that made them: only finished pixels of the crop's square leave it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .device_blur import blurred
from .device_pictures import enlarged, on_device, planes, seen_through
from .paste import PAINTED, TOUCHED_REACH, UNTOUCHED, Paste
from .runtime import NETWORK_SIDE

_PIXELS = 2 << 20  # of the larger of crop and detail that are worked on together: keeps memory under 200 MB


class DevicePaste:
    """Gives the pixels of the crop inside the portrait that ``Paste`` would put there."""

    def __init__(self, paste: Paste, device: str) -> None:
        self.device = device
        self.detail, self.side, self.inner = planes(paste.detail, device), paste.crop.side, paste.inner
        self.shape = (paste.rows.stop - paste.rows.start, paste.columns.stop - paste.columns.start, 3)
        self._borders = [
            (place, on_device(weight.transpose(2, 0, 1), device), on_device(ground.transpose(2, 0, 1), device))
            for place, weight, ground in paste.borders
        ]
        own = paste.detail.shape[0]
        self._cover = on_device(_cover(own, NETWORK_SIDE), device)
        self._together = max(1, _PIXELS // max(own, self.side) ** 2)

    def __call__(self, fields: Tensor, warped: Tensor, pictures: Tensor) -> Tensor:
        """(n, rows, columns, 3) uint8. ``fields``: (n, 2, nodes, nodes); ``warped``, ``pictures``: (n, 3, 256, 256) -1..1."""
        pixels = torch.empty((len(pictures), *self.shape), dtype=torch.uint8, device=pictures.device)
        for start in range(0, len(pictures), self._together):
            part = slice(start, start + self._together)
            pixels[part] = self._pasted(fields[part], warped[part], pictures[part]).permute(0, 2, 3, 1)
        return pixels

    def _pasted(self, fields: Tensor, warped: Tensor, pictures: Tensor) -> Tensor:
        """(n, 3, rows, columns) whole grey levels."""
        squares = self._sharp(fields, warped, pictures)
        if squares.shape[-1] != self.side:
            squares = functional.interpolate(squares, (self.side, self.side), mode="bicubic", align_corners=False)
            squares = squares.round_().clamp_(0, 255)
        inside = squares[(slice(None), slice(None), *self.inner)]
        for place, weight, ground in self._borders:
            strip = inside[(slice(None), slice(None), *place)]
            strip.copy_((ground + (strip - ground) * weight).round_())
        return inside

    def _sharp(self, fields: Tensor, warped: Tensor, pictures: Tensor) -> Tensor:
        """(n, 3, d, d) whole grey levels at the detail's resolution."""
        side = self.detail.shape[-1]
        if side == pictures.shape[-1]:
            return ((pictures + 1) * 127.5).round_().clamp_(0, 255)
        sharp = seen_through(self.detail, fields, side).round_()
        change = pictures - warped
        size = change.abs().amax(1, keepdim=True)
        keep = (blurred(size) / PAINTED).square_().neg_().exp_()
        added = ((warped + 1) * (1 - keep) + change) * 127.5
        large = enlarged(torch.cat([added, keep], 1), side)
        mixed = (sharp * large[:, 3:]).add_(large[:, :3]).round_().clamp_(0, 255)
        return torch.where(self._touched(size), mixed, sharp)

    def _touched(self, size: Tensor) -> Tensor:
        """(n, 1, d, d) bool: the box round all places where the network changed something, from the change's size (n, 1, 256, 256)."""
        near = functional.max_pool2d((size > UNTOUCHED).float(), TOUCHED_REACH, 1, TOUCHED_REACH // 2)
        rows, columns = ((_between(near.amax(axis)) @ self._cover) > 0 for axis in (3, 2))
        return rows[..., :, None] & columns[..., None, :]


def _between(marks: Tensor) -> Tensor:
    """Marks (..., k) 0 or 1, with all between the first and the last one set."""
    return ((marks.cumsum(-1) > 0) & (marks.flip(-1).cumsum(-1).flip(-1) > 0)).float()


def _cover(large: int, small: int) -> np.ndarray:
    """(small, large) float32: 1 where a pixel of the larger side lies at least partly in one of the smaller."""
    ratio, pixels = large / small, np.arange(small)
    first, last = np.floor(pixels * ratio), np.ceil((pixels + 1) * ratio)
    places = np.arange(large)
    return ((places >= first[:, None]) & (places < last[:, None])).astype(np.float32)
