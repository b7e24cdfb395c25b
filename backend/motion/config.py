# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of the motion generator. They travel inside the weights file, so a file always builds its own network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from backend.speech.features import FEATURES, FRAME_RATE
from bridge.facs import AU_COUNT
from bridge.landmarks import LANDMARK_COUNT

MOTION_RATE = FRAME_RATE
MOTION_WIDTH = LANDMARK_COUNT * 2
# Motion is about this large (inter-ocular units); the network works on motion divided by it.
MOTION_UNIT = 0.03


@dataclass(frozen=True)
class MotionConfig:
    """Widths and depths. ``latent_width`` 0 makes a plain regressor: no posterior, no prior."""

    features: int = FEATURES
    width: int = 128
    au_width: int = 48
    voice_layers: int = 9  # an AU edit does not run them again
    decoder_layers: int = 5
    posterior_layers: int = 4
    latent_width: int = 16
    latent_stride: int = 4
    flows: int = 4
    flow_width: int = 64
    flow_layers: int = 3
    kernel: int = 3
    dilation_cycle: int = 3
    normed: int = 1  # 1: the voice and decoder stacks are normalised frame by frame

    @property
    def receptive_frames(self) -> int:
        """Frames on either side that can touch a frame: where an edit's influence ends."""
        reach = (self.kernel - 1) // 2
        dilated = sum(reach * 2 ** (layer % self.dilation_cycle) for layer in range(self.voice_layers))
        dilated += sum(reach * 2 ** (layer % self.dilation_cycle) for layer in range(self.decoder_layers))
        flow = self.flows * self.flow_layers * reach + 2
        return dilated + 4 * reach + (self.latent_stride * flow if self.latent_width else 0)

    def to_dict(self) -> dict[str, int]:
        """Plain form for the weights file's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MotionConfig:
        """The configuration that ``to_dict`` described; files from before a field was there are read as they were meant."""
        return cls(**{name: int(value) for name, value in ({"normed": 0} | data).items()})


TINY = MotionConfig(
    width=24, au_width=8, voice_layers=2, decoder_layers=2, posterior_layers=2, latent_width=4, flows=2, flow_width=8, flow_layers=1
)

__all__ = ["AU_COUNT", "LANDMARK_COUNT", "MOTION_RATE", "MOTION_UNIT", "MOTION_WIDTH", "TINY", "MotionConfig"]
