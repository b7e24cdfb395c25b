# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference network: Stable Diffusion's U-Net run once over the portrait, for the inputs of its self-attentions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from numpy.typing import NDArray
from torch import Tensor, nn

from .attention import Reference, WriteProcessor, self_attention_names
from .config import LATENT_CHANNELS, NetworkConfig
from .images import portrait_pixels, to_signed

if TYPE_CHECKING:
    from .models import Models, ReferenceModels

TOKENS = "tokens"  # key of the image embedding among a stored bank's tensors


def build_reference_unet(config: NetworkConfig, with_tokens: bool = True) -> UNet2DConditionModel:
    """The U-Net without its output layers, which nobody reads. ``with_tokens``: with cross-attention (AniPortrait, not EchoMimic)."""
    network = UNet2DConditionModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        attention_head_dim=config.heads,
        cross_attention_dim=config.cross_attention_dim,
    )
    if not with_tokens:
        _remove_cross_attention(network)
    network.conv_norm_out = None
    network.conv_out = nn.Identity()
    writers = {name: WriteProcessor() for name in self_attention_names(network.attn_processors)}
    network.set_attn_processor({**network.attn_processors, **writers})
    return network


def _remove_cross_attention(network: nn.Module) -> None:
    """diffusers builds no such U-Net, but runs one."""
    for module in network.modules():
        if isinstance(module, BasicTransformerBlock):
            module.attn2 = module.norm2 = None


def write_bank(network: UNet2DConditionModel, latents: Tensor, tokens: Tensor | None) -> Reference:
    """The inputs of every self-attention, (b, tokens, channels) each.

    ``latents``: (b, 4, h, w), scaled. ``tokens``: (b, n, width), or None for a network without cross-attention. Gradients are kept
    where they are on.
    """
    network(latents, torch.zeros((), dtype=torch.long, device=latents.device), encoder_hidden_states=tokens, return_dict=False)
    bank: Reference = {}
    for name in self_attention_names(network.attn_processors):
        writer = network.attn_processors[name]
        bank[name], writer.seen = writer.seen, None
    return bank


@torch.inference_mode()
def reference_bank(models: Models | ReferenceModels, portrait: NDArray[np.uint8]) -> Reference:
    """The bank of a portrait (s, s, 3) uint8, and under ``tokens`` its image embedding (1, 1, width) where there is an encoder."""
    assert models.reference_unet is not None
    tokens = image_tokens(models, portrait)
    bank = write_bank(models.reference_unet, portrait_latents(models, portrait), tokens)
    return bank if tokens is None else {**bank, TOKENS: tokens}


@torch.inference_mode()
def image_tokens(models: Models | ReferenceModels, portrait: NDArray[np.uint8]) -> Tensor | None:
    """(1, 1, width): the image encoder's embedding of the portrait, None for a family without one."""
    if models.image_encoder is None:
        return None
    pixels = portrait_pixels(portrait).to(models.device, models.dtype)
    return models.image_encoder(pixels).image_embeds[:, None]


@torch.inference_mode()
def portrait_latents(models: Models | ReferenceModels, portrait: NDArray[np.uint8]) -> Tensor:
    """(1, 4, s / 8, s / 8): the portrait's latents, the mean of the encoder's distribution."""
    pixels = to_signed(portrait).to(models.device, models.dtype)
    return models.vae.encode(pixels).latent_dist.mean * models.vae.config.scaling_factor
