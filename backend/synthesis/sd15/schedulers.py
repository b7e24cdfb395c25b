# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedulers of diffusers over the noise levels that the published weights were trained for.

Linear betas, velocity prediction, zero signal at the last level and trailing steps (Lin et al., "Common Diffusion Noise Schedules
and Sample Steps are Flawed", 2024).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler, TCDScheduler
from torch import Tensor

from .noise import frame_generator

_LEVELS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
_NOISY = ("lcm", "tcd")  # these draw noise again between steps


class Sampling:
    """One run from noise to latents; a new one is needed for every window. Works in float32 whatever the networks' dtype."""

    def __init__(self, kind: str, steps: int, device: torch.device | str, seed: int = 0) -> None:
        self.kind, self.seed = kind, seed
        self._scheduler = _scheduler(kind)
        self._scheduler.set_timesteps(steps, device=device)
        self._step = 0

    @property
    def timesteps(self) -> Tensor:
        """(steps,) from the noisiest down."""
        return self._scheduler.timesteps

    def start(self, noise: Tensor) -> Tensor:
        """Latents to start from, of noise (frames, 4, h, w)."""
        return noise * self._scheduler.init_noise_sigma

    def network_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """The latents as the network was trained to see them."""
        return self._scheduler.scale_model_input(latents, timestep)

    def step(self, velocity: Tensor, timestep: Tensor, latents: Tensor, frames: list[int]) -> tuple[Tensor, Tensor]:
        """(latents of the next level, clean latents as predicted now), (frames, 4, h, w) each. ``frames``: absolute numbers."""
        more: dict[str, Any] = {}
        if self.kind in _NOISY:
            more["generator"] = [frame_generator(self.seed, self._step + 1, frame) for frame in frames]
        clean = self.clean(velocity, timestep, latents)
        self._step += 1
        return self._scheduler.step(velocity, timestep, latents, return_dict=False, **more)[0], clean

    def clean(self, velocity: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        """The clean latents that a velocity means: sqrt(a) x - sqrt(1 - a) v (Salimans and Ho, 2022)."""
        signal = self._scheduler.alphas_cumprod[int(timestep)].to(latents.device, latents.dtype)
        # Euler's latents are clean + sigma noise, the others' sqrt(a) clean + sqrt(1 - a) noise.
        mixed = latents * signal.sqrt() if self.kind == "euler" else latents
        return signal.sqrt() * mixed - (1 - signal).sqrt() * velocity


def _scheduler(kind: str) -> Any:
    if kind == "ddim":
        return DDIMScheduler(**_LEVELS, clip_sample=False)
    if kind == "euler":
        return EulerDiscreteScheduler(**_LEVELS)
    return {"lcm": LCMScheduler, "tcd": TCDScheduler}[kind](**_LEVELS, clip_sample=False)
