# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a render needs, how much is free, and which of the plans fits.

All plans give the same pictures; the cheaper ones take longer. The bytes of activations were counted on the full-size networks,
tensor by tensor, at 512 x 512 in 16 bits; they grow with frames, rows, pixels and channels.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.memory import available_megabytes

from .settings import Sd15Settings

_FULL_SIDE, _FULL_CHANNELS = 512, 320
# Bytes at full size in 16 bits, for each frame (and for each row of guidance in the denoiser).
_DENOISER_FRAME, _POSE_FRAME, _DECODER_FRAME, _TINY_DECODER_FRAME = 69e6, 63e6, 403e6, 101e6
_ENCODER_PICTURE = 430e6  # the portrait through the encoder and the reference network, once
_BASE = 700e6  # what the graphics driver and its libraries take for themselves
_MARGIN = 1.15  # blocks that the allocator cannot fill
# On a card the allocator keeps more than is alive, and convolutions take room to work in. From the peaks of "draft" and "standard" of
# AniPortrait in bfloat16 on an NVIDIA H200 (6.27 and 9.09 GB, the driver's share not counted), which differ in their activations only.
_CARD_WEIGHTS_MARGIN, _CARD_ACTIVATIONS_MARGIN = 1.1, 1.72
_LAYER_SHARE = 0.05  # of the denoiser's weights that are on the card at a time when they come layer by layer; the largest is 2.2 %
_FULL_SAYINGS = ("out of memory", "can't allocate memory", "alloc_failed", "allocation_failed", "failed to allocate")
_PUBLISHED_BYTES = 4  # a weight in the published .pth files


@dataclass(frozen=True)
class Plan:
    """``offload``: "none", "parts" (a network is on the card only while it works) or "layers" (so are the denoiser's layers)."""

    name: str
    offload: str
    frugal: bool  # guidance one half after the other, pictures decoded one by one
    sentence: str

    def applied(self, settings: Sd15Settings) -> Sd15Settings:
        """The settings under this plan."""
        return replace(settings, split_guidance=True, decode_batch=1) if self.frugal else settings


PLANS = (
    Plan("whole", "none", False, "all networks stay loaded"),
    Plan("frugal", "none", True, "all networks stay loaded, pictures are made one by one"),
    Plan("parts", "parts", True, "networks take turns on the card"),
    Plan("layers", "layers", True, "the denoiser comes onto the card layer by layer"),
)
PROCESSOR_PLANS = PLANS[:2]  # there is nowhere to move anything to


@dataclass(frozen=True)
class Sizes:
    """Bytes of each network's weights in the dtype that it runs in."""

    denoiser: int
    pose: int
    reference: int
    vae: int
    image_encoder: int
    tiny_decoder: int


def weights_bytes(files: Mapping[str, Path], itemsize: int) -> Sizes:
    """Sizes of the networks from their files, without reading the weights. ``files``: paths by part, see ``Weights.paths``."""

    def of(*parts: str) -> int:
        return sum(_count(files[part]) for part in parts if part in files) * itemsize

    return Sizes(
        denoiser=of("denoising_unet", "motion_module"),
        pose=of("pose_guider", "face_locator"),
        reference=of("reference_unet"),
        vae=of("vae"),
        image_encoder=of("image_encoder"),
        tiny_decoder=of("tiny_decoder"),
    )


def needed(sizes: Sizes, settings: Sd15Settings, plan: Plan, itemsize: int, channels: int = _FULL_CHANNELS, card: bool = True) -> int:
    """Peak bytes of a render. ``channels``: of the first level of the U-Net. ``card``: whether a graphics driver takes its share."""
    settings = plan.applied(settings)
    scale = (settings.size / _FULL_SIDE) ** 2 * (channels / _FULL_CHANNELS) * itemsize / 2
    rows = 2 if settings.guided and not settings.split_guidance else 1
    decoding = (_TINY_DECODER_FRAME if settings.tiny_decoder else _DECODER_FRAME) * settings.decode_batch * scale
    sampling = (_DENOISER_FRAME * rows * settings.window) * scale
    posing = _POSE_FRAME * settings.window * scale
    encoding = _ENCODER_PICTURE * scale
    bank_weights = sizes.reference + sizes.image_encoder + sizes.vae
    moments: list[tuple[float, float]]
    if plan.offload == "none":
        loaded = sizes.denoiser + sizes.pose + sizes.vae + sizes.tiny_decoder
        moments = [(loaded, max(sampling, decoding, posing))]
    else:
        denoiser = sizes.denoiser * (_LAYER_SHARE if plan.offload == "layers" else 1)
        bank_weights = max(sizes.reference, sizes.image_encoder, sizes.vae)
        moments = [(denoiser, sampling), (sizes.vae, decoding), (sizes.pose, posing)]
    return int(max(_taken(*moment, card) for moment in [*moments, (bank_weights, encoding)]) + (_BASE if card else 0))


def reference_bytes(files: Mapping[str, Path], itemsize: int, card: bool) -> int:
    """Bytes that making a portrait's bank takes beside whatever is loaded."""
    sizes = weights_bytes(files, itemsize)
    return int(_taken(sizes.reference + sizes.image_encoder + sizes.vae, _ENCODER_PICTURE * itemsize / 2, card))


def _taken(weights: float, activations: float, card: bool) -> float:
    """What so many bytes of weights and activations take of a device's memory."""
    if card:
        return weights * _CARD_WEIGHTS_MARGIN + activations * _CARD_ACTIVATIONS_MARGIN
    return (weights + activations) * _MARGIN


def is_full(error: BaseException) -> bool:
    """Whether an error says that a device's or the machine's memory did not suffice; the libraries below torch say it in many ways."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _FULL_SAYINGS)


def choose(needs: Mapping[str, int], free: int | None, plans: tuple[Plan, ...]) -> Plan:
    """The first plan that fits into ``free`` bytes; the last where none does, or the first where nobody knows what is free."""
    if free is None:
        return plans[0]
    return next((plan for plan in plans if needs[plan.name] <= free), plans[-1])


def cheaper(plan: Plan, plans: tuple[Plan, ...]) -> Plan | None:
    """The next plan after one that did not fit, None after the last."""
    place = plans.index(plan) + 1
    return plans[place] if place < len(plans) else None


def free_bytes(device: str) -> int | None:
    """Free memory of a device: the card's, or the machine's for the processor. None where the system does not tell."""
    if device.startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info()
        cached = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # ours already, and free to be used again
        return int(free + cached)
    return available_system_memory()


def available_system_memory() -> int | None:
    """Bytes that programs can still get without swapping, within the limit of a container; None where the system does not tell."""
    told = int(available_megabytes() * 1e6)
    return min(told, _control_group_left() or told) if told else None


def _control_group_left() -> int | None:
    """What a container may still use; None without a limit."""
    folder = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        limit = int((folder / "memory.max").read_text())
        return max(limit - int((folder / "memory.current").read_text()), 1)
    return None


def _count(path: Path) -> int:
    """How many weights a file or a folder holds: told by the header of a safetensors file, else from the size of a float32 file."""
    if path.is_dir():
        files = sorted(path.glob("*.safetensors")) or sorted(path.glob("*.bin"))
        return _count(files[0]) if files else 0
    if path.suffix != ".safetensors":
        return path.stat().st_size // _PUBLISHED_BYTES
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(min(length, 100_000_000)))
    total = 0
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for side in entry["shape"]:
                count *= side
            total += count
    return total
