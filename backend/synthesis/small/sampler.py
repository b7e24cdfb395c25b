# SPDX-License-Identifier: GPL-3.0-or-later
"""Rectified flow from noise to picture with a network that predicts the clean picture.

Liu, Gong and Liu, "Flow Straight and Fast" (2022): the noisy picture at time t is (1 - t) x + t noise. With the clean
picture predicted, one Euler step from t to t' is z' = (t'/t) z + (1 - t'/t) x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def step_times(steps: int) -> tuple[float, ...]:
    """Times of the network calls, from 1 (noise) downwards, evenly spaced."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    return tuple((steps - step) / steps for step in range(steps))


def shot_noise(seed: int, side: int) -> Array:
    """(3, side, side) float32 standard normal noise; the same for every frame of a shot, so that it does not flicker."""
    return np.random.default_rng(seed).standard_normal((3, side, side), np.float32)


def sample(denoise: Callable[[Any, float], Any], noise: Any, steps: int, on_step: Callable[[int, Any], None] | None = None) -> Any:
    """The clean picture (3, side, side) after ``steps`` calls of ``denoise(noisy, time)``; arrays or tensors.

    ``on_step(index, picture)`` sees every intermediate prediction.
    """
    noisy, picture = noise, noise
    times = step_times(steps)
    for index, (time, later) in enumerate(zip(times, times[1:] + (0.0,), strict=True)):
        picture = denoise(noisy, time)
        if on_step:
            on_step(index, picture)
        share = later / time
        noisy = share * noisy + (1 - share) * picture
    return picture
