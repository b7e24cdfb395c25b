# SPDX-License-Identifier: GPL-3.0-or-later
"""Building blocks: gated residual convolutions and the normalising flow.

Sequences are (batch, channels, frames). The gated stack follows WaveNet (van den Oord et al. 2016); the flow's mean-only
residual coupling follows Glow-TTS and VITS (Kim et al. 2020, 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FrameNorm(nn.Module):
    """Each frame's channels brought to a root mean square of one, then scaled by a learnt gain (Zhang and Sennrich 2019).

    It looks at one frame alone, so pieces of a sequence still give what the whole gives.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, frames) in and out."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-5) * self.gain


class GatedStack(nn.Module):
    """Residual layers of dilated convolutions with tanh x sigmoid gates; the skip outputs are summed.

    ``condition``: channels of a second sequence of the same length, added inside every gate; 0 for none. ``normed``: every layer's
    input and the sum are normalised frame by frame, which makes deep stacks learn in fewer updates.
    """

    def __init__(self, width: int, layers: int, kernel: int, dilation_cycle: int, condition: int = 0, normed: bool = False) -> None:
        super().__init__()
        self.layers = layers
        self.norms = nn.ModuleList(FrameNorm(width) for _ in range(layers + 1 if normed else 0))
        dilations = [2 ** (layer % dilation_cycle) for layer in range(layers)]
        self.gates = nn.ModuleList(nn.Conv1d(width, 2 * width, kernel, dilation=d, padding=d * (kernel - 1) // 2) for d in dilations)
        self.outputs = nn.ModuleList(nn.Conv1d(width, width if last else 2 * width, 1) for last in [False] * (layers - 1) + [True])
        self.conditions = nn.ModuleList(nn.Conv1d(condition, 2 * width, 1) for _ in range(layers if condition else 0))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(batch, width, frames) in and out."""
        skip = torch.zeros_like(x)
        for index in range(self.layers):
            gate = self.gates[index](self.norms[index](x) if self.norms else x)
            if condition is not None:
                gate = gate + self.conditions[index](condition)
            signal, opening = gate.chunk(2, dim=1)
            out = self.outputs[index](torch.tanh(signal) * torch.sigmoid(opening))
            if index == self.layers - 1:
                skip = skip + out
            else:
                residual, part = out.chunk(2, dim=1)
                x, skip = x + residual if self.norms else (x + residual) * 0.7071, skip + part
        return self.norms[-1](skip) if self.norms else skip


class Coupling(nn.Module):
    """One mean-only residual coupling: half of the channels shift the other half. Its Jacobian is 1."""

    def __init__(self, latent: int, width: int, layers: int, condition: int) -> None:
        super().__init__()
        self.half = latent // 2
        self.enter = nn.Conv1d(self.half, width, 1)
        self.stack = GatedStack(width, layers, 3, 1, condition)
        self.leave = nn.Conv1d(width, latent - self.half, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, z: Tensor, condition: Tensor, reverse: bool = False) -> Tensor:
        """(batch, latent, frames) in and out; ``reverse`` undoes the forward pass."""
        kept, moved = z[:, : self.half], z[:, self.half :]
        shift = self.leave(self.stack(self.enter(kept), condition))
        return torch.cat([kept, moved - shift if reverse else moved + shift], dim=1)


class Flow(nn.Module):
    """Couplings with the channels turned round between them: latent of the posterior <-> standard normal."""

    def __init__(self, latent: int, width: int, layers: int, flows: int, condition: int) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(Coupling(latent, width, layers, condition) for _ in range(flows))

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Latent to noise. Volume-preserving, so densities carry over unchanged."""
        for coupling in self.couplings:
            z = coupling(z, condition).flip(1)
        return z

    def inverse(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Noise to latent."""
        for coupling in reversed(self.couplings):
            noise = coupling(noise.flip(1), condition, reverse=True)
        return noise
