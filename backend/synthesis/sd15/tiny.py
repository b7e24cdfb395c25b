# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny configuration of the tier with weights by rule: for tests and comparisons, not for pictures that anyone wants to see.

A weight named K of part P is ``torch.randn(shape, generator seeded with crc32(salt + P + K))``, times .05 if it has more than one
dimension, else .02; plus 1 if it is the one-dimensional weight of a normalisation. Running variances are 1.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor, nn

from . import keys
from .checkpoints import write_safetensors
from .config import LATENT_CHANNELS, VAE_SCALING, NetworkConfig
from .models import POSE_PARTS, Models, build_networks

TOKEN_WIDTH = 64
SALT = "autter-"


def rule_weight(name: str, shape: tuple[int, ...], salt: str) -> Tensor:
    """The float32 tensor of a full name (part and key)."""
    if "running_var" in name:
        return torch.ones(shape)
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32((salt + name).encode())))
    drawn = drawn * (0.05 if len(shape) > 1 else 0.02)
    return drawn + 1 if len(shape) == 1 and "norm" in name and name.endswith("weight") else drawn


def apply_rule(network: nn.Module, part: str, salt: str, name_of: Callable[[str], str] = str) -> None:
    """Gives a network its weights by rule. ``part``: prefix of the names; ``name_of``: from the network's names to published ones."""
    state = {}
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not keys.is_computed(name):
            state[name] = rule_weight(f"{part}.{name_of(name)}".replace("..", "."), tuple(tensor.shape), salt)
    network.load_state_dict(state, strict=False)


def tiny_models(salt: str = SALT, family: str = "aniportrait", dtype: torch.dtype = torch.float32, device: str = "cpu") -> Models:
    """The tiny configuration, ready to run."""
    config = NetworkConfig.tiny()
    reference_unet, denoiser, pose = build_networks(config, family)
    vae, tiny_decoder = tiny_vae(), tiny_autoencoder()
    encoder = tiny_image_encoder() if family == "aniportrait" else None
    apply_rule(reference_unet, "reference_unet", salt)
    apply_rule(denoiser, "denoising_unet", salt, keys.published_denoiser_key)
    apply_rule(pose, POSE_PARTS[family], salt)
    apply_rule(vae, "vae", salt)
    apply_rule(tiny_decoder, "tiny_decoder", salt)
    if encoder is not None:
        apply_rule(encoder, "image_encoder", salt)
    models = Models(family, config, reference_unet, denoiser, pose, vae, encoder, tiny_decoder, torch.device(device), dtype)
    for network in models.networks.values():
        nn.Module.to(network, device, dtype).eval().requires_grad_(False)  # the libraries' own ``to`` only adds a warning
    return models


def tiny_vae() -> AutoencoderKL:
    """Four levels of 32 channels, Stable Diffusion's four latent channels and scaling."""
    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=LATENT_CHANNELS,
        scaling_factor=VAE_SCALING,
    )


def tiny_autoencoder() -> AutoencoderTiny:
    """The small autoencoder with eight channels instead of 64."""
    widths = (8, 8, 8, 8)
    return AutoencoderTiny(encoder_block_out_channels=widths, decoder_block_out_channels=widths, scaling_factor=1.0)


def tiny_image_encoder() -> Any:
    """CLIP's image encoder with two layers of 32 channels."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            patch_size=32,
            image_size=224,
            projection_dim=TOKEN_WIDTH,
        )
    )


def write_tiny_parts(folder: Path, family: str = "aniportrait", salt: str = SALT, suffix: str = ".pth") -> dict[str, Path]:
    """Writes the tiny configuration in the form in which the full one is published; the paths of its parts, for ``load_models``.

    ``suffix``: ".pth" or ".safetensors". Of EchoMimic, the names without ``_pose``.
    """
    models = tiny_models(salt, family)
    folder.mkdir(parents=True, exist_ok=True)
    unet_config = folder / "unet" / "config.json"
    unet_config.parent.mkdir(exist_ok=True)
    unet_config.write_text(json.dumps(models.config.to_unet_config(), indent=2) + "\n", encoding="utf-8")
    parts = {"unet_config": unet_config}
    for part, state in published_states(models).items():
        parts[part] = folder / f"{part}{suffix}"
        if suffix == ".safetensors":
            write_safetensors(parts[part], state)
        else:
            torch.save(state, parts[part])
    for part in ("vae", "image_encoder", "tiny_decoder"):
        if part in models.networks:
            parts[part] = folder / part
            models.networks[part].save_pretrained(str(parts[part]))  # type: ignore[operator]
    return parts


def published_states(models: Models) -> dict[str, dict[str, Tensor]]:
    """Weights of the trained parts under the names and in the split of AniPortrait's files."""
    states: dict[str, dict[str, Tensor]] = {"denoising_unet": {}, "motion_module": {}}
    for name, tensor in models.denoising_unet.state_dict().items():
        published = keys.published_denoiser_key(name)
        part = "motion_module" if ".motion_modules." in published else "denoising_unet"
        states[part][published] = tensor.detach().cpu()
        if published.endswith("attention_blocks.0.pos_encoder.pe"):  # published once for each of the two attentions
            states[part][published.replace("attention_blocks.0", "attention_blocks.1")] = tensor.detach().cpu().clone()
    assert models.reference_unet is not None
    states["reference_unet"] = {name: tensor.detach().cpu() for name, tensor in models.reference_unet.state_dict().items()}
    states[POSE_PARTS[models.family]] = {name: tensor.detach().cpu() for name, tensor in models.pose_guider.state_dict().items()}
    return states


def write_tiny_voice_encoder(folder: Path, width: int = TOKEN_WIDTH, seconds: int = 1, salt: str = SALT) -> Path:
    """Writes an encoder of Whisper's kind with weights by rule below ``folder``, where that of openai/whisper-tiny lies; its file.

    ``seconds``: what it hears at a time. Weights of a decoder, which the published file holds too, are hinted at by one.
    """
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    sizes = {"d_model": width, "encoder_layers": 4, "encoder_attention_heads": width // 64, "encoder_ffn_dim": 2 * width}
    network = WhisperEncoder(WhisperConfig(max_source_positions=50 * seconds, **sizes))
    apply_rule(network, "voice_encoder", salt)
    file = folder / "whisper-tiny" / "model.safetensors"
    state = {f"model.encoder.{name}": tensor for name, tensor in network.state_dict().items()}
    write_safetensors(file, {**state, "model.decoder.layer_norm.weight": torch.ones(width)})
    return file
