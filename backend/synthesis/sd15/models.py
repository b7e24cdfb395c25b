# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of the tier, built and filled from files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import nn

from bridge.faults import Fault

from . import keys
from .checkpoints import Checkpoint, Tick, no_tick, open_checkpoint
from .config import FAMILIES, NetworkConfig
from .denoiser import AUDIO_STRENGTH, Denoiser
from .pose_guider import FaceLocator, PoseGuider
from .reference import build_reference_unet

_TOKEN_KEY = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
POSE_PARTS = {"aniportrait": "pose_guider", "echomimic": "face_locator"}


@dataclass
class Models:
    """The networks of one family on one device. ``reference_unet`` may be set to None once the banks are written."""

    family: str
    config: NetworkConfig
    reference_unet: UNet2DConditionModel | None
    denoising_unet: Denoiser
    pose_guider: nn.Module
    vae: AutoencoderKL
    image_encoder: Any | None
    tiny_decoder: AutoencoderTiny | None
    device: torch.device
    dtype: torch.dtype

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks that are there, by the names of their parts."""
        pose = POSE_PARTS[self.family]
        named = {
            "reference_unet": self.reference_unet,
            "denoising_unet": self.denoising_unet,
            pose: self.pose_guider,
            "vae": self.vae,
            "image_encoder": self.image_encoder,
            "tiny_decoder": self.tiny_decoder,
        }
        return {name: network for name, network in named.items() if network is not None}


@dataclass
class ReferenceModels:
    """What it takes to make a portrait's bank, and nothing else."""

    reference_unet: UNet2DConditionModel
    vae: AutoencoderKL
    image_encoder: Any | None
    device: torch.device
    dtype: torch.dtype


def build_networks(config: NetworkConfig, family: str) -> tuple[UNet2DConditionModel, Denoiser, nn.Module]:
    """(reference network, denoiser, pose network) with fresh weights, on the current default device. Raises Fault ``sd15-family``."""
    if family not in FAMILIES:
        raise Fault("sd15-family", f"There is no family of weights {family!r}.", f"Choose {' or '.join(FAMILIES)}.")
    channels = config.block_out_channels[0]
    if family == "aniportrait":
        return build_reference_unet(config), Denoiser(config), PoseGuider(channels)
    return build_reference_unet(config, with_tokens=False), Denoiser(config, AUDIO_STRENGTH), FaceLocator(channels)


def load_models(
    parts: Mapping[str, Path],
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    family: str = "aniportrait",
    cache: Path | None = None,
    reference: bool = True,
    tick: Tick = no_tick,
) -> Models:
    """The networks with their published weights, ready to run.

    ``parts``: the files and folders ``reference_unet``, ``denoising_unet``, ``motion_module``, ``pose_guider`` (AniPortrait) or
    ``face_locator`` (EchoMimic), ``vae``, ``image_encoder`` (AniPortrait), and where there are any ``unet_config`` and ``tiny_decoder``.
    ``cache``: where ``.pth`` files become safetensors, once. ``reference``: with the reference network and the image encoder, which
    nothing but ``reference_bank`` needs. ``tick`` is called between two weights and may raise to stop. Raises Fault ``sd15-parts``,
    ``sd15-keys``, ``sd15-file`` or ``sd15-config``.
    """
    pose = POSE_PARTS.get(family, "")
    _require(parts, ("denoising_unet", "motion_module", "vae", pose, *(_reference_parts(family) if reference else ())))
    denoising = [open_checkpoint(parts[name], dtype, cache, tick) for name in ("denoising_unet", "motion_module")]
    config = NetworkConfig.from_unet_config(parts.get("unet_config")).with_tokens(_token_width(denoising[0]))
    with torch.device("meta"):
        _, denoiser, pose_guider = build_networks(config, family)
    fill(denoiser, denoising, keys.denoiser_key, dtype, device, tick)
    fill(pose_guider, [open_checkpoint(parts[pose], dtype, cache, tick)], keys.plain_key, dtype, device, tick)
    vae = _pretrained(AutoencoderKL, parts["vae"], dtype, device)
    tiny = _pretrained(AutoencoderTiny, parts["tiny_decoder"], dtype, device) if "tiny_decoder" in parts else None
    reference_unet, encoder = _reference(parts, config, dtype, device, family, cache, tick) if reference else (None, None)
    return Models(family, config, reference_unet, denoiser, pose_guider, vae, encoder, tiny, torch.device(device), dtype)


def load_reference(
    parts: Mapping[str, Path],
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    family: str = "aniportrait",
    cache: Path | None = None,
    tick: Tick = no_tick,
) -> ReferenceModels:
    """The networks that ``reference_bank`` needs. Parameters and faults as of ``load_models``."""
    _require(parts, ("denoising_unet", "vae", *_reference_parts(family)))
    width = _token_width(open_checkpoint(parts["denoising_unet"], dtype, cache, tick))
    config = NetworkConfig.from_unet_config(parts.get("unet_config")).with_tokens(width)
    reference_unet, encoder = _reference(parts, config, dtype, device, family, cache, tick)
    return ReferenceModels(reference_unet, _pretrained(AutoencoderKL, parts["vae"], dtype, device), encoder, torch.device(device), dtype)


def _reference_parts(family: str) -> tuple[str, ...]:
    return ("reference_unet", "image_encoder") if family == "aniportrait" else ("reference_unet",)


def _reference(
    parts: Mapping[str, Path],
    config: NetworkConfig,
    dtype: torch.dtype,
    device: torch.device | str,
    family: str,
    cache: Path | None,
    tick: Tick,
) -> tuple[UNet2DConditionModel, Any | None]:
    with torch.device("meta"):
        network = build_reference_unet(config, with_tokens=family == "aniportrait")
    fill(network, [open_checkpoint(parts["reference_unet"], dtype, cache, tick)], keys.plain_key, dtype, device, tick)
    return network, _image_encoder(parts["image_encoder"], dtype, device) if family == "aniportrait" else None


def fill(
    network: nn.Module,
    files: Iterable[Checkpoint],
    rename: Callable[[str], str | None],
    dtype: torch.dtype,
    device: torch.device | str,
    tick: Tick = no_tick,
) -> None:
    """Gives a network, on the meta device or not, the weights of files; it ends frozen, in evaluation mode, on ``device``.

    ``rename``: from a file's names to the network's, None for what is not wanted. Raises Fault ``sd15-keys``.
    """
    files = list(files)
    check(network, files, rename)
    state = {}
    for file in files:
        with file.opened(device) as read:
            for name in file.shapes:
                tick()
                if (own := rename(name)) is not None:
                    state[own] = read(name).to(dtype)
    state.update(_computed(network, dtype, device))
    network.load_state_dict(state, strict=False, assign=True)
    network.eval().requires_grad_(False)


def check(network: nn.Module, files: Iterable[Checkpoint], rename: Callable[[str], str | None]) -> None:
    """Raises Fault ``sd15-keys`` where the files do not hold exactly a network's weights. Reads no weights."""
    files = list(files)
    given = {own: shape for file in files for name, shape in file.shapes.items() if (own := rename(name)) is not None}
    keys.check_fit(" and ".join(file.path.name for file in files), keys.network_shapes(network), given)


def _computed(network: nn.Module, dtype: torch.dtype, device: torch.device | str) -> dict[str, torch.Tensor]:
    """What no file holds: the sinusoids of the motion modules, and counters of batch normalisation."""
    state: dict[str, torch.Tensor] = {}
    for name, module in network.named_modules():
        if type(module).__name__ == "SinusoidalPositionalEmbedding":
            length, width = module.pe.shape[1:]
            state[f"{name}.pe"] = type(module)(width, length).pe.to(device, dtype)
        elif isinstance(module, nn.BatchNorm2d):
            state[f"{name}.num_batches_tracked"] = torch.zeros((), dtype=torch.long, device=device)
    return state


def _token_width(denoising: Checkpoint) -> int:
    """Width of the tokens that the denoiser attends to."""
    shape = denoising.shapes.get(_TOKEN_KEY) or denoising.shapes.get(f"module.{_TOKEN_KEY}")
    if shape is None or len(shape) != 2:
        raise Fault(
            "sd15-keys",
            f"{denoising.path.name} holds no denoiser: {_TOKEN_KEY} is missing.",
            "Use denoising_unet.pth of AniPortrait, or denoising_unet_pose.pth of EchoMimic.",
        )
    return shape[1]


def _require(parts: Mapping[str, Path], names: Iterable[str]) -> None:
    missing = [name for name in names if name not in parts or not Path(parts[name]).exists()]
    if missing:
        raise Fault("sd15-parts", f"Parts of the tier sd15 are missing: {', '.join(missing)}.", "Run `doctor --tier sd15`.")


def _pretrained(kind: Any, folder: Path, dtype: torch.dtype, device: torch.device | str) -> Any:
    try:
        network = kind.from_pretrained(str(folder), torch_dtype=dtype, local_files_only=True, low_cpu_mem_usage=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise Fault("sd15-file", f"{folder} cannot be read as {kind.__name__}: {error}", "Fetch the folder again.") from error
    return network.to(device).eval().requires_grad_(False)


def _image_encoder(folder: Path, dtype: torch.dtype, device: torch.device | str) -> Any:
    from transformers import CLIPVisionModelWithProjection

    try:
        network = CLIPVisionModelWithProjection.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise Fault("sd15-file", f"{folder} cannot be read as a CLIP image encoder: {error}", "Fetch the folder again.") from error
    return network.to(device).eval().requires_grad_(False)
