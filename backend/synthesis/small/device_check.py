# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a device draws what the processor draws: asked once, before frames are made on it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from .crop import Crop, resized
from .device_paste import DevicePaste
from .device_pictures import carried, on_device
from .device_warp import faded_warps, geometry_stacks, spline_displacements
from .paste import Paste
from .runtime import NETWORK_SIDE
from .warp import GRID, node_centres, spline_weights


def difference(device: str) -> float:
    """Mean difference in grey levels of two made-up frames that the device and the processor draw by the same calls."""
    here, there = (_drawn(one) for one in ("cpu", device))
    return float(np.abs(here.astype(np.float32) - there).mean())


def _drawn(device: str) -> NDArray[np.uint8]:
    """(2, rows, columns, 3) uint8: warped by a few points, carried, painted on and pasted over the border of a portrait."""
    draw = np.random.default_rng(0)
    portrait = cv2.resize(draw.integers(0, 256, (24, 20, 3), dtype=np.uint8), (300, 360), interpolation=cv2.INTER_CUBIC)
    crop = Crop(-20, 30, 340)
    paste = DevicePaste(Paste(portrait, crop, resized(crop.cut(portrait), 320)), device)
    points = draw.uniform(0.2, 0.8, (2, 12, 2)).astype(np.float32)
    splines = [spline_weights(one, one + np.float32(0.02) * one[::-1], np.zeros(12, np.float32)) for one in points]
    centres, weights = (on_device(np.stack(parts), device) for parts in zip(*splines, strict=True))
    nodes = on_device(node_centres(0, 0, GRID, GRID)[None], device)
    rigid = torch.zeros(2, GRID, GRID, 2, device=device)
    field, determinant, _ = faded_warps(rigid, spline_displacements(centres, weights, nodes.expand(2, -1, -1, -1)))
    field = field + carried(0.1 * field[:1], field, nodes)
    painted = on_device(draw.uniform(-1, 1, (2, 3, 16, 16)).astype(np.float32), device)
    warped, changed = (torch.nn.functional.interpolate(one, (NETWORK_SIDE, NETWORK_SIDE)) for one in (painted, painted.flip(0)))
    shown = torch.nn.functional.interpolate(geometry_stacks(field, determinant), (NETWORK_SIDE, NETWORK_SIDE), mode="bilinear")
    pixels: NDArray[np.uint8] = paste(field, warped, torch.where(shown > 0.02, changed, warped)).cpu().numpy()
    return pixels
