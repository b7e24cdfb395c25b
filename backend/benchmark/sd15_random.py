# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of the tier sd15 with random weights, which take as long as trained ones: in memory, and as files in the published layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from backend.synthesis.sd15.models import Models

# CLIP ViT-L/14, as sd-image-variations' image encoder is.
_IMAGE_ENCODER = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
    "projection_dim": 768,
}


def random_networks(family: str, full: bool, device: str, dtype: torch.dtype) -> Models:
    """All networks of a family, made on the device: full size with the layers' own random beginnings, or the tiny configuration."""
    from backend.synthesis.sd15.tiny import tiny_models

    return _full_models(family, device, dtype) if full else tiny_models(family=family, dtype=dtype, device=device)


def _full_models(family: str, device: str, dtype: torch.dtype) -> Models:
    import torch
    from diffusers import AutoencoderKL, AutoencoderTiny
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from backend.synthesis.sd15.config import NetworkConfig
    from backend.synthesis.sd15.models import Models, build_networks

    config = NetworkConfig() if family == "aniportrait" else NetworkConfig().with_tokens(384)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            reference, denoiser, pose = build_networks(config, family)
            blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
            vae = AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, scaling_factor=0.18215, **blocks)
            tiny = AutoencoderTiny()
            encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**_IMAGE_ENCODER)) if family == "aniportrait" else None
    finally:
        torch.set_default_dtype(before)
    models = Models(family, config, reference, denoiser, pose, vae, encoder, tiny, torch.device(device), dtype)
    for network in models.networks.values():
        _fill_zeros(network)
        torch.nn.Module.to(network, device, dtype).eval().requires_grad_(False)
    return models


def _fill_zeros(network: Any) -> None:
    """Layers that begin at zero would hide what the layers before them make, wrong numbers included."""
    import torch

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) and not bool(module.weight.any()):
                module.weight.normal_(0, 0.02)


def write_files(models: Models, folder: Path) -> Path:
    """The networks as safetensors in AniPortrait's or EchoMimic's layout, for the variable ``AUTTER_SD15``; kept where they are there."""
    from backend.synthesis.sd15.checkpoints import write_safetensors
    from backend.synthesis.sd15.tiny import published_states

    done = folder / "complete.json"
    facts = {"family": models.family, "config": models.config.to_unet_config(), "dtype": str(models.dtype)}
    if done.is_file() and json.loads(done.read_text(encoding="utf-8")) == facts:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    ending = {"aniportrait": "", "echomimic": "_pose"}[models.family]
    for part, state in published_states(models).items():
        write_safetensors(folder / f"{part}{ending}.safetensors", state)
    for part, name in (("vae", "sd-vae-ft-mse"), ("image_encoder", "image_encoder"), ("tiny_decoder", "taesd")):
        if part in models.networks:
            models.networks[part].save_pretrained(str(folder / name))  # type: ignore[operator]
    (folder / "unet").mkdir(exist_ok=True)
    (folder / "unet" / "config.json").write_text(json.dumps(models.config.to_unet_config()), encoding="utf-8")
    done.write_text(json.dumps(facts), encoding="utf-8")
    return folder


def random_bank(models: Models, size: int) -> dict[str, Any]:
    """A bank of random numbers in the shapes that a portrait's has, for pictures of ``size`` pixels a side."""
    import torch

    from backend.synthesis.sd15.attention import self_attention_names
    from backend.synthesis.sd15.reference import TOKENS

    draw = torch.Generator().manual_seed(0)
    levels = models.config.block_out_channels
    tokens = (size // 8) ** 2
    bank = {}
    for name in self_attention_names(models.denoising_unet.unet.attn_processors):
        width = models.denoising_unet.unet.get_submodule(name.removesuffix(".processor")).to_k.in_features
        place = _level(name, len(levels))
        bank[name] = torch.randn((1, tokens // 4**place, width), generator=draw)
    if models.family == "aniportrait":
        bank[TOKENS] = torch.randn((1, 1, models.config.cross_attention_dim), generator=draw)
    return bank


def _level(name: str, levels: int) -> int:
    """How often the picture was halved where an attention of the U-Net works."""
    kind, _, rest = name.partition(".")
    if kind == "mid_block":
        return levels - 1
    place = int(rest.split(".")[0])
    return place if kind == "down_blocks" else levels - 1 - place
