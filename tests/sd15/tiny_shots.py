# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny renderer and a shot for it, for the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.synthesis.sd15.models import Models
from backend.synthesis.sd15.noise import FrameNoise, frame_noise
from backend.synthesis.sd15.pipeline import Callback, Film, Sd15Pipeline
from backend.synthesis.sd15.reference import reference_bank
from backend.synthesis.sd15.settings import Sd15Settings

SIZE = 64


def portrait(seed: int = 0) -> NDArray[np.uint8]:
    """(64, 64, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE, 3), np.uint8)


def moving_bar(frame: int) -> NDArray[np.uint8]:
    """A drawing in which a bar goes down half a pixel a frame."""
    drawing = np.zeros((SIZE, SIZE, 3), np.uint8)
    drawing[10 + frame // 2 : 14 + frame // 2, 20:40] = 200
    return drawing


def moving_wave(frame: int) -> NDArray[np.uint8]:
    """A drawing that changes by the same amount from every frame to the next."""
    phase = 2 * np.pi * (np.arange(SIZE) / SIZE * 2 + frame / 40)
    return np.repeat(np.broadcast_to(128 + 120 * np.sin(phase), (SIZE, SIZE))[..., None], 3, 2).astype(np.uint8)


def still_noise(frame: int, height: int, width: int) -> Tensor:
    """The same noise for every frame: what changes then comes from the drawings and from the windows."""
    return frame_noise(0)(0, height, width)


def pipeline(models: Models, **settings: Any) -> Sd15Pipeline:
    """Ready to render, two steps without guidance unless told otherwise."""
    made = Sd15Pipeline(models, Sd15Settings(**{"steps": 2, "guidance": 1.0, "size": SIZE, **settings}))
    made.use_bank(reference_bank(models, portrait()))
    return made


def latents(
    models: Models,
    count: int,
    first: int = 0,
    end: int | None = None,
    pose: Callable[[int], NDArray[np.uint8]] = moving_bar,
    noise: FrameNoise | None = None,
    callback: Callback | None = None,
    **settings: Any,
) -> Tensor:
    """Clean latents (frames, 4, 8, 8) of a range of a shot."""
    return torch.cat(list(pipeline(models, **settings).latents(Film(pose, count, noise), first, end, callback)))


def frame_changes(shot: Tensor) -> Tensor:
    """Mean absolute change from each frame to the next."""
    return (shot[1:] - shot[:-1]).abs().flatten(1).mean(1)
