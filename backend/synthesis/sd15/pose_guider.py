# SPDX-License-Identifier: GPL-3.0-or-later
"""The pose networks: from a drawing of landmarks to maps that are added to the denoiser's hidden state.

AniPortrait's has five maps with self-attention between them. Its released code also hands it a drawing of the portrait's own
landmarks, which nothing reads: its "cross-attentions" are built without a second input. That drawing is not asked for here.
EchoMimic's is a small stack of convolutions with one map.
"""

from __future__ import annotations

from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn, ones
from torch.nn import functional

_ATTENTION = {"num_attention_heads": 16, "attention_head_dim": 88}
_STEM = ((3, 3, 1), (3, 16, 2), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 1))
_LOCATOR_WIDTHS = (16, 32, 96, 256)


def _unit(inner: int, outer: int, stride: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(inner, outer, kernel, stride, padding=1), nn.BatchNorm2d(outer), nn.ReLU()]


class PoseGuider(nn.Module):
    """AniPortrait's pose network; the names of its layers are those of ``pose_guider.pth``."""

    def __init__(self, channels: int = 320) -> None:
        """``channels``: width of the denoiser's first level; the others have 2, 4 and 4 times as many."""
        super().__init__()
        # Convolutions that halve the picture have kernels of 4 in the stem, of 3 behind it.
        stem = [layer for inner, outer, stride in _STEM for layer in _unit(inner, outer, stride, 4 if stride == 2 else 3)]
        self.conv_layers = nn.Sequential(*stem)
        self.final_proj = nn.Conv2d(_STEM[-1][1], channels, 1)
        self.scale = nn.Parameter(ones(1) * 2)
        widths = (channels, channels, 2 * channels, 4 * channels)
        for level, (inner, outer) in enumerate(zip(widths, widths[1:]), 1):
            setattr(self, f"conv_layers_{level}", nn.Sequential(*_unit(inner, inner, 1, 3), *_unit(inner, outer, 2, 3)))
        self.conv_layers_4 = nn.Sequential(*_unit(4 * channels, 4 * channels, 1, 3))
        for level, width in enumerate((channels, 2 * channels, 4 * channels, 4 * channels), 1):
            setattr(self, f"cross_attn{level}", Transformer2DModel(**_ATTENTION, in_channels=width))

    def forward(self, drawings: Tensor) -> list[Tensor]:
        """Five maps (n, channels, h, w) at 1/8, 1/16, 1/32, 1/64 and 1/64 of the drawings' size, (n, 3, h, w) -1..1."""
        hidden = self.final_proj(self.conv_layers(drawings)) * self.scale
        maps = [hidden]
        for level in range(1, 5):
            hidden = getattr(self, f"conv_layers_{level}")(hidden)
            hidden = getattr(self, f"cross_attn{level}")(hidden, return_dict=False)[0]
            maps.append(hidden)
        return maps


class FaceLocator(nn.Module):
    """EchoMimic's pose network; the names of its layers are those of ``face_locator_pose.pth``."""

    def __init__(self, channels: int = 320) -> None:
        """``channels``: width of the denoiser's first level."""
        super().__init__()
        self.conv_in = nn.Conv2d(3, _LOCATOR_WIDTHS[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for inner, outer in zip(_LOCATOR_WIDTHS, _LOCATOR_WIDTHS[1:]):
            self.blocks.append(nn.Conv2d(inner, inner, 3, padding=1))
            self.blocks.append(nn.Conv2d(inner, outer, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(_LOCATOR_WIDTHS[-1], channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, drawings: Tensor) -> list[Tensor]:
        """One map (n, channels, h / 8, w / 8) from drawings (n, 3, h, w) 0..1."""
        hidden = functional.silu(self.conv_in(drawings))
        for block in self.blocks:
            hidden = functional.silu(block(hidden))
        return [self.conv_out(hidden)]
