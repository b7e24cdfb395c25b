# SPDX-License-Identifier: GPL-3.0-or-later
"""The variational motion generator: p(motion | voice, AUs) with a normalising-flow prior.

After GeneFace's variational motion generator (Ye et al. 2023) with an AU channel as in "Talking Head Generation via
AU-Guided Landmark Prediction" (arXiv 2509.19749). Non-causal and fully convolutional: any length in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.motion.config import AU_COUNT, MOTION_UNIT, MOTION_WIDTH, MotionConfig
from backend.motion.layers import Flow, GatedStack


@dataclass
class Decoded:
    """``motion``: (batch, frames, 324) inter-ocular units. ``aus``: (batch, frames, 18), 0..1 of full intensity, the model's
    reading of all AUs."""

    motion: Tensor
    aus: Tensor


@dataclass
class Posterior:
    """A draw from the posterior and its terms: all (batch, latent, frames / stride)."""

    z: Tensor
    log_density: Tensor


class MotionModel(nn.Module):
    """Condition encoder, posterior encoder, flow prior and decoder."""

    au_basis: Tensor

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.voice_enter = nn.Conv1d(config.features, width, config.kernel, padding=(config.kernel - 1) // 2)
        normed = bool(config.normed)
        self.voice = GatedStack(width, config.voice_layers, config.kernel, config.dilation_cycle, normed=normed)
        self.aus_enter = nn.Conv1d(2 * AU_COUNT, config.au_width, config.kernel, padding=(config.kernel - 1) // 2)
        self.join = nn.Conv1d(width + config.au_width, width, 1)
        self.decoder_enter = nn.Conv1d(width, width, 1)
        self.decoder = GatedStack(width, config.decoder_layers, config.kernel, config.dilation_cycle, condition=width, normed=normed)
        self.motion_leave = nn.Conv1d(width, MOTION_WIDTH, 1)
        self.aus_leave = nn.Conv1d(width, AU_COUNT, 1)
        # The plain effect of each keyed AU on the reference face; the network learns what speech and other AUs change in it.
        self.register_buffer("au_basis", torch.zeros(AU_COUNT, MOTION_WIDTH))
        nn.init.normal_(self.motion_leave.weight, std=0.01)
        if config.latent_width:
            self._build_latent(config)

    def _build_latent(self, config: MotionConfig) -> None:
        width, stride = config.width, config.latent_stride
        self.posterior_enter = nn.Conv1d(MOTION_WIDTH + width, width, 2 * stride, stride=stride, padding=stride // 2)
        self.posterior = GatedStack(width, config.posterior_layers, config.kernel, config.dilation_cycle)
        self.posterior_leave = nn.Conv1d(width, 2 * config.latent_width, 1)
        self.flow = Flow(config.latent_width, config.flow_width, config.flow_layers, config.flows, width)
        self.latent_leave = nn.ConvTranspose1d(config.latent_width, width, 2 * stride, stride=stride, padding=stride // 2)
        nn.init.normal_(self.latent_leave.weight, std=0.01)

    def condition(self, voice: Tensor, aus: Tensor, keyed: Tensor) -> Tensor:
        """(batch, width, frames) from ``voice`` (batch, frames, features), ``aus`` (batch, frames, 18) in 0..1 and ``keyed``
        (batch, frames, 18) 0 or 1. Frames must be a multiple of the latent stride."""
        heard = self.voice(self.voice_enter(voice.transpose(1, 2)))
        return self.with_aus(heard, aus, keyed)

    def hear(self, voice: Tensor) -> Tensor:
        """The voice half of the condition: it does not change while only AUs are edited."""
        return self.voice(self.voice_enter(voice.transpose(1, 2)))

    def with_aus(self, heard: Tensor, aus: Tensor, keyed: Tensor) -> Tensor:
        """The condition from ``hear``'s result and the AUs."""
        commands = self.aus_enter(torch.cat([aus * keyed, keyed], dim=2).transpose(1, 2))
        return self.join(torch.cat([heard, commands], dim=1))

    def encode(self, motion: Tensor, condition: Tensor, noise: Tensor | None = None) -> Posterior:
        """A draw of the posterior for ``motion`` (batch, frames, 324), inter-ocular units."""
        seen = torch.cat([motion.transpose(1, 2) / MOTION_UNIT, condition], dim=1)
        mean, log_deviation = self.posterior_leave(self.posterior(self.posterior_enter(seen))).chunk(2, dim=1)
        log_deviation = log_deviation.clamp(-6.0, 3.0)
        noise = torch.randn_like(mean) if noise is None else noise
        return Posterior(z=mean + noise * log_deviation.exp(), log_density=-log_deviation - 0.5 * noise**2)

    def latent_shape(self, condition: Tensor) -> tuple[int, int, int]:
        """(batch, latent, frames / stride) that goes with ``condition`` (batch, width, frames)."""
        return len(condition), self.config.latent_width, condition.shape[2] // self.config.latent_stride

    def coarse(self, condition: Tensor) -> Tensor:
        """The condition at the latent's rate."""
        return nn.functional.avg_pool1d(condition, self.config.latent_stride)

    def divergence(self, posterior: Posterior, condition: Tensor) -> Tensor:
        """One-sample Monte Carlo estimate of KL(posterior | prior), nats per latent value."""
        noise = self.flow(posterior.z, self.coarse(condition))
        return (posterior.log_density + 0.5 * noise**2).mean()

    def draw(self, condition: Tensor, noise: Tensor) -> Tensor:
        """A latent of the prior from ``noise`` (batch, latent, frames / stride), already scaled by the temperature."""
        return self.flow.inverse(noise, self.coarse(condition))

    def decode(self, z: Tensor | None, condition: Tensor, aus: Tensor, keyed: Tensor) -> Decoded:
        """Motion and AU reading from a latent (None for the plain regressor) and the condition."""
        start = self.decoder_enter(condition)
        if z is not None:
            start = start + self.latent_leave(z)
        hidden = self.decoder(start, condition)
        learnt = self.motion_leave(hidden).transpose(1, 2) * MOTION_UNIT
        return Decoded(motion=learnt + (aus * keyed) @ self.au_basis, aus=self.aus_leave(hidden).transpose(1, 2))

    def parameter_count(self) -> int:
        """Number of trainable values."""
        return sum(parameter.numel() for parameter in self.parameters())
