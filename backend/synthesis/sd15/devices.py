# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the tier runs and in which precision, and moving networks onto the card when they are needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .memory import Plan

if TYPE_CHECKING:
    from .models import Models

COMPILE_VARIABLE = "AUTTER_SD15_COMPILE"
_NO_HALVES = "GTX 16"  # these cards compute wrong numbers in float16


def best_device() -> str:
    """ "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    mps = getattr(torch.backends, "mps", None)
    return "mps" if mps is not None and mps.is_available() else "cpu"


def best_dtype(device: str) -> torch.dtype:
    """bfloat16 where the card computes in it, else float16; float32 on the processor and on cards that cannot do better."""
    if device.startswith("cuda"):
        if _NO_HALVES in torch.cuda.get_device_name():
            return torch.float32
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    return torch.float16 if device == "mps" else torch.float32


def place(models: Models, plan: Plan, device: str) -> None:
    """Puts the networks where a plan wants them; they run on ``device`` whatever the plan."""
    models.device = torch.device(device)
    networks = models.networks
    if plan.offload == "none":
        for network in networks.values():
            _to(network, device)
        return
    denoiser = networks.pop("denoising_unet")
    if plan.offload == "blocks":
        _stream_blocks(denoiser, device)
    else:
        networks["denoising_unet"] = denoiser
    _take_turns(list(networks.values()), device)


def _to(network: nn.Module, device: str) -> None:
    network.to(device)
    if device.startswith("cuda"):
        for module in network.modules():  # the motion modules' five-dimensional tensors have no such format
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)


def _take_turns(networks: list[nn.Module], device: str) -> None:
    """Each network comes onto the device when it is called, and the one before it leaves."""
    from accelerate import cpu_offload_with_hook

    hook = None
    for network in networks:
        network.to("cpu")
        _, hook = cpu_offload_with_hook(network, torch.device(device), prev_module_hook=hook)
    if hook is not None:  # the order is a ring: the first one called again sends the last one away
        first = getattr(networks[0], "_hf_hook", None)
        if first is not None:
            first.prev_module_hook = hook


def _stream_blocks(denoiser: Any, device: str) -> None:
    from diffusers.hooks import apply_group_offloading

    apply_group_offloading(
        denoiser.unet,
        onload_device=torch.device(device),
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=device.startswith("cuda"),
        low_cpu_mem_usage=True,
    )


def compiled(network: Any, device: str) -> Any:
    """The denoiser compiled for fixed shapes, with CUDA graphs, where ``AUTTER_SD15_COMPILE`` asks for it; else itself.

    The first window of each shape then takes a minute or more, the others less time.
    """
    if os.environ.get(COMPILE_VARIABLE, "0") in ("", "0") or not device.startswith("cuda"):
        return network
    return torch.compile(network, mode="reduce-overhead", dynamic=False)
