# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches as they are drawn on processors for pairs that are made on a device: numbers and small pictures, no frames.

Several processes draw at once (torch's ``DataLoader``): one draws some 400 pairs a second, a graphics card learns from thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from backend.synthesis.small.conditions import au_vector
from backend.synthesis.small.device_warp import SplinePoints
from backend.synthesis.small.raster import landmark_raster

from .cache import FaceClip
from .config import LossWeights, TrainingConfig
from .importance import beside_face, importance_map
from .pairs import PairSampler, Recipe

_SIDE = 256
_WORKER_SEED = 7_368_787


@dataclass(frozen=True)
class DrawnBatch:
    """n pairs yet to be made, with windows of one size w.

    ``rows`` (n, 3): frames of portrait, target and the one before, counted through all clips. ``shown`` (n,): whether that one is shown.
    ``unplace`` (n, 2, 3): matrix from new to old pixels; ``bend`` (n, 4, 5). ``mixing`` (n, 3, 4), ``curve`` (n, 256), ``blur`` (n,),
    ``shade`` (n, 3, 4): the looks. ``place`` (n, 2): left and top of the windows, pixels. ``raster`` (n, 3, w, w) uint8. ``importance``
    and ``beside`` (n, 1, w, w) float16. ``aus`` (n, 19). ``held`` (n,). ``points``: of the spline. ``window``: w.
    """

    rows: Tensor
    shown: Tensor
    unplace: Tensor
    bend: Tensor
    mixing: Tensor
    curve: Tensor
    blur: Tensor
    shade: Tensor
    place: Tensor
    raster: Tensor
    importance: Tensor
    beside: Tensor
    aus: Tensor
    held: Tensor
    points: SplinePoints
    window: int
    any_shown: bool

    def to(self, device: str | torch.device) -> DrawnBatch:
        """The same on a device."""
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items() if hasattr(value, "to")}
        return replace(self, **moved)

    def pin_memory(self) -> DrawnBatch:
        """The same in memory that a graphics card reads by itself; called by ``DataLoader``."""
        tensors = {name: value.pin_memory() for name, value in vars(self).items() if isinstance(value, Tensor)}
        points = SplinePoints(*(value.pin_memory() for value in vars(self.points).values()))
        return replace(self, points=points, **tensors)


def first_rows(clips: Sequence[FaceClip]) -> dict[str, int]:
    """Where each clip's frames begin when those of all clips are counted through."""
    starts = np.cumsum([0, *(len(clip.points) for clip in clips)])
    return {clip.name: int(start) for clip, start in zip(clips, starts, strict=False)}


def drawn_batch(recipes: Sequence[Recipe], first: dict[str, int], losses: LossWeights) -> DrawnBatch:
    """The numbers of ``recipes``, whose windows are all of one size. ``first``: of ``first_rows``."""
    points = [recipe.points() for recipe in recipes]
    places = [recipe.view.place for recipe in recipes]
    rasters, weights, beside = [], [], []
    for (_, target), (left, top, width, height) in zip(points, places, strict=True):
        rows, columns = slice(top, top + height), slice(left, left + width)
        rasters.append(landmark_raster(target, _SIDE)[rows, columns].transpose(2, 0, 1))
        weights.append(importance_map(target, losses)[None, rows, columns].astype(np.float16))
        beside.append(beside_face(target)[None, rows, columns].astype(np.float16))

    def stacked(values: list[Any], kind: type = np.float32) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(value, kind) for value in values]))

    looks, placings = [recipe.view.look for recipe in recipes], [recipe.view.placing for recipe in recipes]
    return DrawnBatch(
        rows=stacked(
            [[first[drawn.clip.name] + row for row in (drawn.start, drawn.goal, max(drawn.goal - 1, 0))] for drawn in recipes], np.int64
        ),
        shown=stacked([recipe.has_previous for recipe in recipes]),
        unplace=stacked([_inverse(placing.matrix) for placing in placings]),
        bend=stacked([placing.bend for placing in placings]),
        mixing=stacked([look.mixing for look in looks]),
        curve=stacked([look.curve for look in looks]),
        blur=stacked([look.blur for look in looks]),
        shade=stacked([look.shade for look in looks]),
        place=stacked([place[:2] for place in places], np.int64),
        raster=torch.from_numpy(np.stack(rasters)),
        importance=torch.from_numpy(np.stack(weights)),
        beside=torch.from_numpy(np.stack(beside)),
        aus=stacked([au_vector(recipe.aus()) for recipe in recipes]),
        held=stacked([recipe.held for recipe in recipes]),
        points=SplinePoints.of(points),
        window=places[0][2],
        any_shown=any(recipe.has_previous for recipe in recipes),
    )


def _inverse(matrix: np.ndarray) -> np.ndarray:
    linear = np.linalg.inv(matrix[:, :2].astype(np.float64))
    return np.concatenate([linear, (-linear @ matrix[:, 2])[:, None]], 1)


class _Draws(IterableDataset):
    """Batches without end; every worker draws its own."""

    def __init__(self, clips: list[FaceClip], config: TrainingConfig, window: int, count: int, seed: int) -> None:
        self.first = first_rows(clips)
        # Workers need no pictures.
        self.clips = [replace(clip, frames=np.empty((0, 0, 0, 3), np.uint8)) for clip in clips]
        self.config, self.window, self.count, self.seed = config, window, count, seed

    def __iter__(self) -> Iterator[DrawnBatch]:
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        worker = get_worker_info()
        sampler = PairSampler(self.clips, self.config, self.seed + _WORKER_SEED * (worker.id + 1 if worker else 0))
        while True:
            yield drawn_batch([sampler.recipe(self.window) for _ in range(self.count)], self.first, self.config.losses)


def batches(
    clips: list[FaceClip], config: TrainingConfig, window: int, count: int, seed: int, workers: int, pinned: bool
) -> Iterator[DrawnBatch]:
    """Batches of ``count`` pairs with windows of ``window`` pixels without end, drawn by ``workers`` processes (0: by this one)."""
    draws = _Draws(clips, config, window, count, seed)
    return iter(DataLoader(draws, batch_size=None, num_workers=workers, pin_memory=pinned, prefetch_factor=3 if workers else None))
