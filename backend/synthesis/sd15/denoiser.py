# SPDX-License-Identifier: GPL-3.0-or-later
"""The denoiser: diffusers' U-Net with motion modules, told apart from it in three places.

The motion modules normalise each frame by itself, the pose features join the hidden state between the down blocks, and the
self-attentions read the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from diffusers import UNetMotionModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn
from torch.nn import functional

from .attention import Projected, ReadProcessor, Reference, ReferenceReader, TokenProcessor, projected
from .config import LATENT_CHANNELS, NetworkConfig

AUDIO_STRENGTH = 3.0  # EchoMimic's weight of its cross-attention to the voice


class PerFrameGroupNorm(nn.GroupNorm):
    """Group normalisation of (b, channels, frames, h, w) in which every frame has its own statistics.

    diffusers' motion modules take them over all frames at once; AniPortrait's and EchoMimic's weights were trained frame by frame.
    """

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Same shape out."""
        batch, channels, frames, height, width = hidden_states.shape
        flat = hidden_states.transpose(1, 2).reshape(batch * frames, channels, height, width)
        normal = functional.group_norm(flat, self.num_groups, self.weight, self.bias, self.eps)
        return normal.view(batch, frames, channels, height, width).transpose(1, 2)


class _Pose:
    """The maps that join the hidden state during one evaluation."""

    maps: Sequence[Tensor] = ()

    def joined(self, hidden: Tensor, level: int) -> Tensor:
        return hidden + self.maps[level] if level < len(self.maps) else hidden


def _join_first(pose: _Pose, module: nn.Module, inputs: object, hidden: Tensor) -> Tensor:
    return pose.joined(hidden, 0)


def _join_block(pose: _Pose, level: int, module: nn.Module, inputs: object, output: tuple[Tensor, object]) -> tuple[Tensor, object]:
    return pose.joined(output[0], level), output[1]  # the skip connections stay as they are


class Denoiser(nn.Module):
    """Predicts the velocity of noisy latents. The network proper is ``unet``; its keys are those of ``UNetMotionModel``."""

    def __init__(self, config: NetworkConfig, token_strength: float = 1.0) -> None:
        super().__init__()
        self.config = config
        self.unet = UNetMotionModel(
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            block_out_channels=config.block_out_channels,
            layers_per_block=config.layers_per_block,
            num_attention_heads=config.heads,
            cross_attention_dim=config.cross_attention_dim,
            motion_num_attention_heads=config.motion_heads,
            motion_max_seq_length=config.motion_length,
            use_motion_mid_block=True,
        )
        self.reader = ReferenceReader()
        self._pose = _Pose()
        _normalise_by_frame(self.unet)
        self._set_processors(token_strength)
        # Partial functions and no closures: a copy of the network then has hooks of its own.
        self.unet.conv_in.register_forward_hook(partial(_join_first, self._pose))
        for level, block in enumerate(self.unet.down_blocks, 1):
            block.register_forward_hook(partial(_join_block, self._pose, level))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.unet.conv_in.weight.dtype

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        tokens: Tensor,
        pose: Sequence[Tensor],
        reference: Reference | Projected | None,
        rows_without: int = 0,
    ) -> Tensor:
        """The predicted velocity, (b, 4, frames, h, w).

        ``latents``: (b, 4, frames, h, w). ``timesteps``: () or (b,). ``tokens``: (b, n, width), the same for all frames, or
        (b frames, n, width). ``pose``: the maps of the pose network, (b frames, channels, h, w) each; the first joins after the
        first convolution, the others after the down blocks, as many as there are. ``reference``: see ``attention``, None for the
        unconditional branch. ``rows_without``: that many first rows of b go without the reference.
        """
        frames = latents.shape[2]
        if tokens.shape[0] == latents.shape[0] and frames > 1:
            tokens = tokens.repeat_interleave(frames, 0)
        self._pose.maps = pose
        self.reader.use(reference, rows_without * frames)
        return self.unet(latents, timesteps, tokens, return_dict=False)[0]

    @torch.inference_mode()
    def projected(self, reference: Reference) -> Projected:
        """Keys and values of every self-attention from a reference, for ``forward``: worked out once for a portrait."""
        return {name: projected(self.unet.get_submodule(name.removesuffix(".processor")), tokens) for name, tokens in reference.items()}

    def _set_processors(self, token_strength: float) -> None:
        processors = dict(self.unet.attn_processors)
        for name in processors:
            if "motion_modules" in name:
                continue
            processors[name] = ReadProcessor(name, self.reader) if name.endswith("attn1.processor") else TokenProcessor(token_strength)
        self.unet.set_attn_processor(processors)


def _normalise_by_frame(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            old = module.norm
            module.norm = PerFrameGroupNorm(old.num_groups, old.num_channels, old.eps)
