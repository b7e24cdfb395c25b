# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of a shot, by absolute frame: any range draws the same noise as the whole, on any device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .config import LATENT_CHANNELS

FrameNoise = Callable[[int, int, int], Tensor]  # frame, height, width -> (4, height, width)


def frame_noise(seed: int, draw: int = 0) -> FrameNoise:
    """Standard normal noise (4, h, w) float32 for a frame. ``draw``: 0 for the start of sampling, the step's number + 1 for later noise."""

    def noise(frame: int, height: int, width: int) -> Tensor:
        return torch.randn((LATENT_CHANNELS, height, width), generator=frame_generator(seed, draw, frame))

    return noise


def frame_generator(seed: int, draw: int, frame: int) -> torch.Generator:
    """A generator that depends on all three numbers; the sequence mixes them, neighbours in frame or seed share nothing."""
    state = np.random.SeedSequence([seed & 0xFFFFFFFFFFFFFFFF, draw, frame]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & 0x7FFFFFFFFFFFFFFF)


def window_noise(noise: FrameNoise, frames: Sequence[int], height: int, width: int) -> Tensor:
    """(frames, 4, height, width) float32."""
    return torch.stack([noise(frame, height, width) for frame in frames])
