# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenCV's Gaussian blur for maps on a device."""

from __future__ import annotations

from functools import lru_cache

import cv2
import torch
from torch import Tensor
from torch.nn import functional


def blurred(maps: Tensor, size: int = 5, deviation: float = 0.0) -> Tensor:
    """Maps (n, c, h, w) under ``cv2.GaussianBlur`` with a kernel of ``size`` nodes and its ``deviation`` (0: what OpenCV takes for it)."""
    channels, reach = maps.shape[1], size // 2
    weights = _weights(size, deviation, maps.device, maps.dtype)
    padded = functional.pad(maps, [reach] * 4, mode="reflect")
    across = functional.conv2d(padded, weights.view(1, 1, 1, size).expand(channels, 1, 1, size), groups=channels)
    return functional.conv2d(across, weights.view(1, 1, size, 1).expand(channels, 1, size, 1), groups=channels)


@lru_cache(maxsize=8)
def _weights(size: int, deviation: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Kept, for a card waits for all its work before it takes such a list of numbers; fit for training wherever it is made first."""
    with torch.inference_mode(False):
        return torch.tensor(cv2.getGaussianKernel(size, deviation)[:, 0].tolist(), device=device, dtype=dtype)
