# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs for a graphics card: all pictures lie in its memory, and are placed, coloured and blurred there.

What follows from landmarks alone (warp, raster, weights) is small and is made on the processor, by several threads at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .cache import FaceClip
from .config import LossWeights
from .losses import Batch, pixel_places
from .pairs import Recipe, Shape, pair_shape

_SIDE = 256
_BLUR_REACH = 4  # pixels; three deviations of the widest blur of ``random_look``


class DeviceFaces:
    """The frames of clips in a device's memory: 196,608 bytes each, so 60,000 of them take 12 GB."""

    def __init__(self, clips: Sequence[FaceClip], losses: LossWeights, device: str, workers: int = 8) -> None:
        self.device, self.losses = device, losses
        starts = np.cumsum([0, *(len(clip.frames) for clip in clips)])
        self._first = {clip.name: int(start) for clip, start in zip(clips, starts, strict=False)}
        self._frames = torch.empty((int(starts[-1]), 3, _SIDE, _SIDE), dtype=torch.uint8, device=device)
        for clip in clips:
            first = self._first[clip.name]
            for row in range(len(clip.frames)):  # one by one: the clips are mapped from disk and may be larger than memory
                self._frames[first + row] = torch.from_numpy(np.array(clip.frames[row])).permute(2, 0, 1).to(device)
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="pair")

    def batch(self, recipes: Sequence[Recipe]) -> Batch:
        """The pairs of ``recipes``, whose windows are all of one size, as ``stack_pairs`` would give them."""
        shapes = list(self._workers.map(self._shape, recipes))
        portrait = self._pictures(recipes, [recipe.start for recipe in recipes], whole=True)
        target = self._pictures(recipes, [recipe.goal for recipe in recipes])
        before = self._pictures(recipes, [max(recipe.goal - 1, 0) for recipe in recipes])
        shown = torch.tensor([recipe.has_previous for recipe in recipes], device=self.device)
        places = [recipe.view.place for recipe in recipes]
        windows = [portrait[row, :, top : top + height, left : left + width] for row, (left, top, width, height) in enumerate(places)]
        return Batch(
            portrait=portrait,
            portrait_window=torch.stack(windows),
            target=target,
            previous=before * shown[:, None, None, None],
            base=torch.stack([pixel_places(place) for place in places]).to(self.device),
            **{name: self._stacked(shapes, name) for name in ("raster", "field", "geometry", "aus", "importance")},
        )

    def _shape(self, recipe: Recipe) -> Shape:
        first, second = recipe.points()
        return pair_shape(first, second, recipe.aus(), recipe.view.place, self.losses)

    def _stacked(self, shapes: list[Shape], name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(shape, name) for shape in shapes])).to(self.device)

    def _pictures(self, recipes: Sequence[Recipe], rows: Sequence[int], whole: bool = False) -> Tensor:
        """(n, 3, h, w) -1..1: one row of each recipe's clip in its view, the window or the whole picture."""
        indices = torch.tensor([self._first[recipe.clip.name] + row for recipe, row in zip(recipes, rows, strict=True)], device=self.device)
        grids = torch.stack([_source_grid(recipe.view.placing, (0, 0, _SIDE, _SIDE) if whole else recipe.view.place) for recipe in recipes])
        frames = self._frames[indices].float()
        placed = functional.grid_sample(frames, grids.to(self.device), mode="bilinear", padding_mode="reflection", align_corners=False)
        return self._looks(placed, recipes) / 127.5 - 1

    def _looks(self, pictures: Tensor, recipes: Sequence[Recipe]) -> Tensor:
        """Colours 0..255 mixed, curved and blurred as ``Look.apply`` does it."""
        mixing = torch.from_numpy(np.stack([recipe.view.look.mixing for recipe in recipes])).to(self.device)
        curves = torch.from_numpy(np.stack([recipe.view.look.curve for recipe in recipes])).to(self.device).float()
        mixed = torch.einsum("nij,njhw->nihw", mixing[:, :, :3], pictures) + mixing[:, :, 3, None, None]
        levels = mixed.clamp(0, 255).flatten(1)
        lower = levels.floor().clamp(max=254).long()
        curved = torch.lerp(curves.gather(1, lower), curves.gather(1, lower + 1), levels - lower).view_as(mixed)
        blurs = torch.tensor([recipe.view.look.blur for recipe in recipes], device=self.device)
        return _blurred(curved, blurs)


def _source_grid(placing: np.ndarray, place: tuple[int, int, int, int]) -> Tensor:
    """(h, w, 2) for ``grid_sample``: where the pixels of the window ``place`` of a placed picture come from."""
    matrix = torch.from_numpy(placing.astype(np.float64))
    ours = pixel_places(place).double() * _SIDE
    sources = (ours - matrix[:, 2]) @ torch.linalg.inv(matrix[:, :2]).T
    return (sources / _SIDE * 2 - 1).float()


def _blurred(pictures: Tensor, deviations: Tensor) -> Tensor:
    """Each picture of (n, 3, h, w) under a Gaussian of its own deviation in pixels; 0: as it is."""
    count, channels, height, width = pictures.shape
    offsets = torch.arange(-_BLUR_REACH, _BLUR_REACH + 1, device=pictures.device)
    kernels = torch.exp(-0.5 * (offsets / deviations.clamp(min=1e-2)[:, None]).square())
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = functional.pad(pictures.reshape(1, count * channels, height, width), [_BLUR_REACH] * 4, mode="reflect")
    across = functional.conv2d(flat, kernels[:, None, None, :], groups=count * channels)
    return functional.conv2d(across, kernels[:, None, :, None], groups=count * channels).view_as(pictures)
