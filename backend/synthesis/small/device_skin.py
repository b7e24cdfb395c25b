# SPDX-License-Identifier: GPL-3.0-or-later
"""The correction of ``skin.py`` for many faces at once, on the device that holds them; a test holds the two together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .device_blur import blurred
from .skin import KERNEL, LEAST, REACH


def skin_corrections(start: Tensor, goal: Tensor, landmarks: Tensor, spline: Callable[[Tensor], Tensor], side: int) -> Tensor:
    """(n, side, side, 2) to be added to the displacements at the nodes of whole crops.

    ``start``, ``goal``: (n, 316, 2) skin points of portraits and frames; ``landmarks``: (n, 162, 2) of the frames. ``spline``:
    displacements (n, 1, k, 2) at places (n, 1, k, 2).
    """
    missed = (start - goal) - spline(goal[:, None])[:, 0]
    places = torch.cat([goal, landmarks], 1)
    values = torch.cat([missed, torch.zeros_like(landmarks)], 1)
    sums = _splatted(places, torch.cat([values, torch.ones_like(values[..., :1])], -1), side).permute(0, 3, 1, 2)
    spread = blurred(sums, KERNEL, REACH)
    return (spread[:, :2] / (spread[:, 2:] + LEAST)).permute(0, 2, 3, 1)


def _splatted(places: Tensor, values: Tensor, side: int) -> Tensor:
    """(n, side, side, c) sums of values (n, k, c) shared out among the four nodes about their places (n, k, 2)."""
    count, wide = len(places), side + 4
    spots = (places * side - 0.5).clamp(-2.0, side)
    first = spots.floor().long()
    rest = spots - first
    sums = values.new_zeros(count, wide * wide, values.shape[-1])
    for down in (0, 1):
        for across in (0, 1):
            share = (1 - across - rest[..., 0]).abs() * (1 - down - rest[..., 1]).abs()
            row = (first[..., 1] + down + 2) * wide + first[..., 0] + across + 2
            sums.scatter_add_(1, row[..., None].expand_as(values), values * share[..., None])
    return sums.view(count, wide, wide, -1)[:, 2:-2, 2:-2]
