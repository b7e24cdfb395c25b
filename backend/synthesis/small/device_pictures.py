# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of many frames on the device that holds them: the resampling of ``warp.py`` and what goes with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def on_device(array: NDArray[Any], device: str) -> Tensor:
    """A copy of an array on the device; nobody waits for it to get there. Apple's cards know no double precision: single there."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device == "mps" and tensor.dtype == torch.float64:
        tensor = tensor.float()
    if device == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def planes(picture: NDArray[np.uint8], device: str) -> Tensor:
    """(1, 3, h, w) float32 0..255 from (h, w, 3) uint8."""
    return on_device(picture.transpose(2, 0, 1)[None].astype(np.float32), device)


def signed(pictures: Tensor) -> Tensor:
    """Grey levels 0..255 to -1..1, as ``to_signed`` does it."""
    return pictures * (1 / 127.5) - 1


def enlarged(maps: Tensor, side: int) -> Tensor:
    """Maps (n, c, h, w) at (side, side), linearly; places beyond the middles of the outer ones repeat them."""
    return functional.interpolate(maps, (side, side), mode="bilinear", align_corners=False)


def seen_through(picture: Tensor, fields: Tensor, side: int) -> Tensor:
    """(n, 3, side, side) of ``picture`` (1, 3, s, s) through fields (n, 2, nodes, nodes), not rounded; see ``apply_field``."""
    ramp = (torch.arange(side, device=fields.device, dtype=torch.float32) + 0.5) / side
    x, y = enlarged(fields, side).unbind(1)
    grid = torch.stack([(x + ramp) * 2 - 1, (y + ramp[:, None]) * 2 - 1], -1)
    return _looked_up(picture, grid)


def carried(values: Tensor, fields: Tensor, nodes: Tensor) -> Tensor:
    """(n, 2, rows, columns) of values (1, 2, rows, columns) of places of the portrait, where backward fields (n, 2, rows, columns) put
    them in the frame; ``nodes``: (1, rows, columns, 2) the fields' places."""
    count = values.shape[-1]
    places = (nodes + fields.permute(0, 2, 3, 1)) * count - 0.5
    return _looked_up(values, (2 * places + 1) / count - 1)


def _looked_up(maps: Tensor, grid: Tensor) -> Tensor:
    maps = maps.expand(len(grid), -1, -1, -1)
    return functional.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)
