# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the networks are, and what the two families of published weights expect."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bridge.faults import Fault

FAMILIES = ("aniportrait", "echomimic")
LATENT_CHANNELS = 4
LATENT_SCALE = 8  # pixels a latent, in both directions
VAE_SCALING = 0.18215


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the two U-Nets; the defaults are Stable Diffusion 1.5's with AniPortrait's motion modules.

    ``heads``: attention heads at every level. ``cross_attention_dim``: width of the tokens that the denoiser attends to, 768 for a
    CLIP image embedding, 384 for whisper-tiny. ``motion_length``: the longest window that the motion modules know places for.
    ``sample_size``: side in latents, an eighth of the picture's, that the weights were trained at.
    """

    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    heads: int = 8
    cross_attention_dim: int = 768
    motion_heads: int = 8
    motion_length: int = 32
    sample_size: int = 64

    @classmethod
    def tiny(cls) -> NetworkConfig:
        """A size that runs on a processor in seconds; for tests."""
        return cls(block_out_channels=(32, 64, 128, 128), layers_per_block=1, cross_attention_dim=64, sample_size=8)

    @classmethod
    def from_unet_config(cls, path: Path | None) -> NetworkConfig:
        """Reads the ``config.json`` of a Stable Diffusion 1.5 U-Net; without one, the full size. Raises Fault ``sd15-config``."""
        if path is None:
            return cls()
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            heads = data.get("num_attention_heads") or data.get("attention_head_dim", 8)  # an old slip of the tongue in diffusers
            return cls(
                block_out_channels=tuple(int(channels) for channels in data["block_out_channels"]),
                layers_per_block=int(data["layers_per_block"]),
                heads=int(heads),
                cross_attention_dim=int(data["cross_attention_dim"]),
                motion_heads=int(data.get("motion_num_attention_heads", 8)),
                motion_length=int(data.get("motion_max_seq_length", 32)),
                sample_size=int(data.get("sample_size", 64)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Fault(
                "sd15-config",
                f"{path} does not describe a Stable Diffusion 1.5 U-Net ({error}).",
                "Use the config.json of the folder unet of Stable Diffusion 1.5.",
            ) from error

    def with_tokens(self, width: int) -> NetworkConfig:
        """The same with another width of the tokens."""
        return replace(self, cross_attention_dim=width)

    def to_unet_config(self) -> dict[str, Any]:
        """What ``from_unet_config`` reads."""
        return {
            "block_out_channels": list(self.block_out_channels),
            "layers_per_block": self.layers_per_block,
            "attention_head_dim": self.heads,
            "cross_attention_dim": self.cross_attention_dim,
            "motion_num_attention_heads": self.motion_heads,
            "motion_max_seq_length": self.motion_length,
            "sample_size": self.sample_size,
        }
