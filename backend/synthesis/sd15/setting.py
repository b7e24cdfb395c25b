# SPDX-License-Identifier: GPL-3.0-or-later
"""Which weights run where and how precisely. Loads nothing but torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from . import memory
from .config import LATENT_SCALE, NetworkConfig
from .devices import best_device, best_dtype
from .memory import Plan
from .settings import Sd15Settings
from .store import Weights


@dataclass(frozen=True)
class Setting:
    """What loaded networks belong to: the weights' files, the device, the precision and the plan."""

    weights: Weights
    device: str
    dtype: torch.dtype

    @classmethod
    def here(cls, weights: Weights) -> Setting:
        """The best of this machine."""
        device = best_device()
        return cls(weights, device, best_dtype(device))

    @property
    def config(self) -> NetworkConfig:
        """Sizes of the networks."""
        return NetworkConfig.from_unet_config(self.weights.unet_config)

    @property
    def picture_side(self) -> int:
        """Side of the pictures that the weights were trained on, pixels."""
        return self.config.sample_size * LATENT_SCALE

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans that this device has."""
        return memory.PLANS if self.device.startswith("cuda") else memory.PROCESSOR_PLANS

    def needs(self, settings: Sd15Settings) -> dict[str, int]:
        """Peak bytes of a render by plan."""
        sizes = memory.weights_bytes(self.weights.paths(), self.dtype.itemsize)
        channels, card = self.config.block_out_channels[0], self.device != "cpu"
        return {plan.name: memory.needed(sizes, settings, plan, self.dtype.itemsize, channels, card) for plan in self.plans}
