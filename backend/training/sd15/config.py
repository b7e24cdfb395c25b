# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that decides a run of the two-step recipe, in one dataclass."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TrainingConfig:
    """One step of the recipe. The defaults are those of the published recipe (AniPortrait): 300,000 steps of single pictures, two at
    a time, then 40,000 of 16 frames; AdamW at 1e-5; the conditions dropped in a tenth of the steps.

    ``step``: 1 trains the denoiser without its motion modules, the reference network but for its last level, and the landmark
    network; 2 trains the motion modules alone. ``frames``: 1 in step 1. ``strides``: distances between the frames of a window, one is
    drawn. ``snr_gamma``: min-SNR weighting (Hang et al., 2023). ``noise_offset``: share of noise that is the same over the picture.
    ``precision``: "no", "fp16" or "bf16".
    """

    step: int
    steps: int
    batch: int
    frames: int
    strides: tuple[int, ...] = (1,)
    learning_rate: float = 1e-5
    weight_decay: float = 1e-2
    unconditional: float = 0.1
    noise_offset: float = 0.05
    snr_gamma: float = 5.0
    clip_gradient: float = 1.0
    accumulate: int = 1
    precision: str = "no"
    checkpointing: bool = False
    seed: int = 1
    save_every: int = 500
    log_every: int = 10

    def to_dict(self) -> dict[str, Any]:
        """Plain form for checkpoints and notes."""
        return asdict(self)


def recipe(step: int) -> TrainingConfig:
    """The published recipe's step 1 or 2."""
    if step == 1:
        return TrainingConfig(step=1, steps=300_000, batch=2, frames=1)
    return TrainingConfig(step=2, steps=40_000, batch=1, frames=16, strides=(1, 4))


def tiny_recipe(step: int) -> TrainingConfig:
    """A few steps, for tests."""
    frames = 1 if step == 1 else 3
    return TrainingConfig(step=step, steps=2, batch=1, frames=frames, learning_rate=1e-3, save_every=1, log_every=1)
