# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs for a graphics card: all pictures lie in its memory, and are placed, coloured, blurred and warped there.

What is drawn at random and what follows from a few landmarks comes from processors: see ``drawn.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.synthesis.small.device_warp import geometry_stacks, landmark_warps, node_places
from backend.synthesis.small.warp import GRID

from .augment import INVERSIONS
from .cache import FaceClip
from .drawn import DrawnBatch, first_rows
from .losses import Batch

_SIDE = 256
_CELL = _SIDE // GRID
_BLUR_REACH = 4  # pixels; three deviations of the widest blur of ``random_look``


class DeviceFaces:
    """The frames of clips in a device's memory: 196,608 bytes each, so 60,000 of them take 12 GB."""

    def __init__(self, clips: Sequence[FaceClip], device: str) -> None:
        self.device = device
        first = first_rows(clips)
        self._frames = torch.empty((sum(len(clip.points) for clip in clips), 3, _SIDE, _SIDE), dtype=torch.uint8, device=device)
        for clip in clips:
            start = first[clip.name]
            for row in range(0, len(clip.frames), 64):  # by parts: the clips are mapped from disk and may be larger than memory
                part = torch.from_numpy(np.array(clip.frames[row : row + 64])).to(device)
                self._frames[start + row : start + row + len(part)] = part.permute(0, 3, 1, 2)

    @torch.no_grad()
    def batch(self, drawn: DrawnBatch) -> Batch:
        """The pairs of ``drawn``, as ``stack_pairs`` would give them."""
        drawn = drawn.to(self.device)
        side, cells = drawn.window, drawn.window // _CELL
        whole = torch.zeros_like(drawn.place)
        portrait = self._pictures(drawn, 0, whole, _SIDE)
        field, determinant = landmark_warps(drawn.points, node_places(drawn.place.flip(1) // _CELL, cells, cells))
        base = _pixel_places(drawn.place, side)
        previous = self._pictures(drawn, 2, drawn.place, side) * drawn.shown[:, None, None, None] if drawn.any_shown else None
        return Batch(
            portrait=portrait,
            portrait_window=_windows(portrait, drawn.place, side),
            target=self._pictures(drawn, 1, drawn.place, side),
            raster=drawn.raster.float() / 255,
            previous=portrait.new_zeros(len(portrait), 3, side, side) if previous is None else previous,
            field=field,
            geometry=geometry_stacks(field, determinant),
            aus=drawn.aus,
            importance=drawn.importance.float(),
            beside=drawn.beside.float(),
            points=drawn.points.frame,
            held=drawn.held,
            base=base,
        )

    def _pictures(self, drawn: DrawnBatch, which: int, place: Tensor, side: int) -> Tensor:
        """(n, 3, side, side) -1..1: frame ``which`` of each pair in its view, the window whose left and top are ``place`` (n, 2)."""
        places = _pixel_places(place, side)
        grids = _source_grids(places, drawn.unplace, drawn.bend)
        frames = self._frames[drawn.rows[:, which]].float()
        placed = functional.grid_sample(frames, grids, mode="bilinear", padding_mode="reflection", align_corners=False)
        return _looked(placed, places, drawn) / 127.5 - 1


def _pixel_places(place: Tensor, side: int) -> Tensor:
    """(n, side, side, 2) crop coordinates of the pixel centres of windows, x then y."""
    steps = torch.arange(side, device=place.device) + 0.5
    x, y = (place[:, :1] + steps) / _SIDE, (place[:, 1:] + steps) / _SIDE
    return torch.stack([x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], -1).float()


def _windows(pictures: Tensor, place: Tensor, side: int) -> Tensor:
    """(n, 3, side, side) of pictures (n, 3, h, w) at left and top ``place`` (n, 2)."""
    steps = torch.arange(side, device=place.device)
    rows, columns = (place[:, 1:] + steps)[:, :, None], (place[:, :1] + steps)[:, None, :]
    picked = pictures.permute(0, 2, 3, 1)[torch.arange(len(pictures), device=place.device)[:, None, None], rows, columns]
    return picked.permute(0, 3, 1, 2).contiguous()


def _waves(places: Tensor, waves: Tensor) -> Tensor:
    """Sines (n, h, w, k) of waves (n, k, 3 or more) at places (n, h, w, 2)."""
    count, height, width = places.shape[:3]
    angles = torch.baddbmm(waves[:, None, :, 2], places.reshape(count, -1, 2), waves[..., :2].transpose(1, 2))
    return angles.sin_().view(count, height, width, -1)


def _source_grids(places: Tensor, unplace: Tensor, bend: Tensor) -> Tensor:
    """(n, h, w, 2) for ``grid_sample``: where the pixels at ``places`` of the placed pictures come from."""
    shape = places.shape
    before = places
    for _ in range(INVERSIONS):
        before = places - torch.bmm(_waves(before, bend).flatten(1, 2), bend[..., 3:]).view(shape)
    sources = torch.baddbmm(unplace[:, None, :, 2], before.flatten(1, 2) * _SIDE, unplace[..., :2].transpose(1, 2))
    return (sources / _SIDE * 2 - 1).view(shape)


def _looked(pictures: Tensor, places: Tensor, drawn: DrawnBatch) -> Tensor:
    """Colours 0..255 lit, mixed, curved and blurred as ``Look.apply`` does it."""
    light = torch.bmm(_waves(places, drawn.shade).flatten(1, 2), drawn.shade[..., 3:]).exp().view(len(places), 1, *places.shape[1:3])
    mixed = torch.einsum("nij,njhw->nihw", drawn.mixing[:, :, :3], pictures * light) + drawn.mixing[:, :, 3, None, None]
    levels = mixed.clamp(0, 255).flatten(1)
    lower = levels.floor().clamp(max=254).long()
    curved = torch.lerp(drawn.curve.gather(1, lower), drawn.curve.gather(1, lower + 1), levels - lower).view_as(mixed)
    return _blurred(curved, drawn.blur)


def _blurred(pictures: Tensor, deviations: Tensor) -> Tensor:
    """Each picture of (n, 3, h, w) under a Gaussian of its own deviation in pixels; 0: as it is."""
    count, channels, height, width = pictures.shape
    offsets = torch.arange(-_BLUR_REACH, _BLUR_REACH + 1, device=pictures.device)
    kernels = torch.exp(-0.5 * (offsets / deviations.clamp(min=1e-2)[:, None]).square())
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = functional.pad(pictures.reshape(1, count * channels, height, width), [_BLUR_REACH] * 4, mode="reflect")
    across = functional.conv2d(flat, kernels[:, None, None, :], groups=count * channels)
    return functional.conv2d(across, kernels[:, None, :, None], groups=count * channels).view_as(pictures)
