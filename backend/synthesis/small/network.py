# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of tier ``small``: a condition trunk that runs once per frame and a light denoiser that runs once per step.

Both are plain residual 3x3 convolutions on patches of the picture. Features are normalised per place (pixel norm), never
over the picture, so a network trained on small crops behaves alike on whole ones. The output is built as

    picture = warped + mask * change

where ``warped`` is the portrait under the spline plus the trunk's small residual flow, ``mask`` comes from the trunk and
``change`` from the denoiser. Both are zero at first, so an untrained network shows the warp alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .conditions import GEOMETRY_CHANNELS, IMAGE_CHANNELS

AU_INPUTS = 19
LARGEST_RESIDUAL_FLOW = 0.03  # of the crop's side
# The mask starts nearly open: it must not close before the denoiser has learned anything worth showing.
_OPEN_MASK = 4.0


@dataclass(frozen=True)
class NetworkConfig:
    """Size of the network. ``widths``: channels at patch resolution and at its halves; ``patch``: pixels a side of a patch."""

    patch: int = 4
    widths: tuple[int, ...] = (32, 72, 144, 224)
    embedding: int = 96
    uses_previous: bool = False  # whether it was trained to look at the frame before

    def to_dict(self) -> dict[str, Any]:
        """Plain form for a model card or a file's metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NetworkConfig:
        """The configuration that ``to_dict`` described."""
        return cls(
            int(data["patch"]),
            tuple(int(width) for width in data["widths"]),
            int(data["embedding"]),
            bool(data.get("uses_previous", False)),
        )


class ResidualBlock(nn.Module):
    """Pixel norm, convolution, scale and shift by the embedding, convolution; the second starts at zero."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """(n, width, h, w) features and (n, embedding) to features."""
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, 1)
        hidden = self.first(functional.silu(pixel_norm(features)))
        return features + self.second(functional.silu(hidden * (1 + scale) + shift))


class Trunk(nn.Module):
    """Reads the conditions of a frame: a U-Net on patches. Returns features at two resolutions, residual flow and mask."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths, emb, area = config.widths, config.embedding, config.patch**2
        self.patch = config.patch
        self.stem = nn.Conv2d(IMAGE_CHANNELS * area + GEOMETRY_CHANNELS, widths[0], 1)
        self.expression = nn.Sequential(nn.Linear(AU_INPUTS, emb), nn.SiLU(), nn.Linear(emb, emb), nn.SiLU())
        pairs = list(zip(widths, widths[1:], strict=False))
        blocks = (1,) + (2,) * (len(widths) - 1)
        self.down = nn.ModuleList(nn.ModuleList(ResidualBlock(w, emb) for _ in range(n)) for w, n in zip(widths, blocks, strict=True))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.up = nn.ModuleList(ResidualBlock(w, emb) for w in widths[:-1])
        self.heads = nn.Conv2d(widths[0], area + 2, 3, padding=1)
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)

    def forward(self, images: Tensor, geometry: Tensor, aus: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """images (n, 13, s, s), geometry (n, 3, s/patch, s/patch), aus (n, 19) ->

        fine (n, w0, s/patch, s/patch), coarse (n, w1, s/2patch, ...), flow (n, 2, s/patch, s/patch) in crop
        coordinates, mask (n, 1, s, s) in 0..1.
        """
        emb = self.expression(aus)
        features = self.stem(torch.cat([functional.pixel_unshuffle(images, self.patch), geometry], 1))
        skips = []
        for level, blocks in enumerate(self.down):
            if level:
                features = self.shrink[level - 1](features)
            for block in blocks:  # type: ignore[attr-defined]
                features = block(features, emb)
            skips.append(features)
        coarse = features
        for level in reversed(range(len(self.up))):
            features = skips[level] + functional.interpolate(self.grow[level](features), scale_factor=2.0, mode="nearest")
            features = self.up[level](features, emb)
            coarse = features if level == 1 else coarse
        flow, mask = self.heads(pixel_norm(features)).split([2, self.patch**2], 1)
        mask = functional.pixel_shuffle(torch.sigmoid(mask + _OPEN_MASK), self.patch)
        return features, coarse, torch.tanh(flow) * LARGEST_RESIDUAL_FLOW, mask


class Denoiser(nn.Module):
    """Predicts the clean picture from a noisy one (x-prediction) with the trunk's features; two resolutions only."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        (fine, coarse), emb, area = config.widths[:2], config.embedding, config.patch**2
        self.patch = config.patch
        self.time = nn.Sequential(nn.Linear(2 * len(_FREQUENCIES), emb), nn.SiLU(), nn.Linear(emb, emb), nn.SiLU())
        self.stem = nn.Conv2d(6 * area + fine, fine, 1)
        self.fine_in = ResidualBlock(fine, emb)
        self.shrink = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.coarse = nn.ModuleList(ResidualBlock(coarse, emb) for _ in range(2))
        self.grow = nn.Conv2d(coarse, fine, 1)
        self.fine_out = ResidualBlock(fine, emb)
        self.head = nn.Conv2d(fine, 3 * area, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, noisy: Tensor, warped: Tensor, mask: Tensor, fine: Tensor, coarse: Tensor, time: Tensor) -> Tensor:
        """noisy, warped (n, 3, s, s) -1..1, mask (n, 1, s, s), trunk features, time (n,) 0 clean .. 1 noise -> picture (n, 3, s, s)."""
        emb = self.time(time_features(time))
        # At time 1 the noise says nothing of the picture: scaled by what it does say, it cannot leak into the first step.
        told = noisy * (1 - time)[:, None, None, None]
        patches = functional.pixel_unshuffle(torch.cat([told, warped], 1), self.patch)
        features = self.fine_in(self.stem(torch.cat([patches, fine], 1)), emb)
        inner = self.shrink(features) + coarse
        for block in self.coarse:
            inner = block(inner, emb)
        features = features + functional.interpolate(self.grow(inner), scale_factor=2.0, mode="nearest")
        features = self.fine_out(features, emb)
        return warped + mask * functional.pixel_shuffle(self.head(pixel_norm(features)), self.patch)


class SmallNetwork(nn.Module):
    """Trunk and denoiser together, as they are trained and stored."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        self.trunk = Trunk(self.config)
        self.denoiser = Denoiser(self.config)


_FREQUENCIES = tuple(math.pi * 2.0**power for power in range(4))


def time_features(time: Tensor) -> Tensor:
    """(n,) times 0..1 to (n, 8) sines and cosines."""
    angles = torch.stack([time * frequency for frequency in _FREQUENCIES], 1)  # a tensor of them could not be part of a CUDA graph
    return torch.cat([angles.sin(), angles.cos()], 1)


def pixel_norm(features: Tensor) -> Tensor:
    """Features scaled to unit mean square over the channels, place by place."""
    return features * torch.rsqrt(features.square().mean(1, keepdim=True) + 1e-4)
