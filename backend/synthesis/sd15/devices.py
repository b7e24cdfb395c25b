# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the tier runs and in which precision, and moving networks onto the card when they are needed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import nn

from .checkpoints import Tick
from .memory import Plan, is_full

if TYPE_CHECKING:
    from .models import Models

log = logging.getLogger("autter.sd15")
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
    if plan.offload == "layers":
        _layer_by_layer(networks.pop("denoising_unet"), device)
    take_turns(networks.values(), device)


def _to(network: nn.Module, device: str) -> None:
    network.to(device)
    if device.startswith("cuda"):
        for module in network.modules():  # the motion modules' five-dimensional tensors have no such format
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)


def take_turns(networks: Iterable[nn.Module], device: str) -> None:
    """Each network comes onto the device when it is called, and the one that was there leaves: never two at a time."""
    from accelerate.hooks import ModelHook, add_hook_to_module

    class OneAtATime(ModelHook):
        """Runs before a network's ``forward``, and before ``encode`` and ``decode`` of diffusers' autoencoders."""

        def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            if present and present[0] is not module:
                present.pop().to("cpu")
                if device.startswith("cuda"):
                    torch.cuda.empty_cache()
            if not present:
                present.append(module.to(device))
            return args, kwargs

    present: list[nn.Module] = []
    for network in networks:
        network.to("cpu")
        add_hook_to_module(network, OneAtATime(), append=True)


def _layer_by_layer(denoiser: Any, device: str) -> None:
    """Each layer's weights come onto the device for its own work and leave again. Whole blocks, fetched ahead, would be 59 % of all."""
    from diffusers.hooks import apply_group_offloading

    here, there = torch.device("cpu"), torch.device(device)
    apply_group_offloading(denoiser.unet, onload_device=there, offload_device=here, offload_type="leaf_level")


def listen(models: Models, tick: Tick) -> None:
    """Has ``tick`` called before every part of the denoiser and of the decoders, some sixty in an evaluation: what it raises stops that.

    On a processor an evaluation takes minutes.
    """
    parts = (ResnetBlock2D, Transformer2DModel, AnimateDiffTransformer3D, AutoencoderTinyBlock)
    for network in filter(None, (models.denoising_unet, models.vae, models.tiny_decoder)):
        for module in network.modules():
            if isinstance(module, parts):
                module.register_forward_pre_hook(lambda *_: tick())


def compile_wanted(device: str) -> bool:
    """Whether ``AUTTER_SD15_COMPILE`` asks for a compiled denoiser on a device that gains from it."""
    return os.environ.get(COMPILE_VARIABLE, "0") not in ("", "0") and device.startswith("cuda")


def compiled(network: nn.Module) -> Callable[..., torch.Tensor]:
    """The denoiser compiled for fixed shapes, with CUDA graphs: one graph for all windows, steps and portraits.

    The first window of each shape takes a minute or more, the others less time. Where the machine lacks what compiling needs, the denoiser
    runs as it is, and the log says so.
    """
    fast = torch.compile(network, mode="reduce-overhead", dynamic=False, fullgraph=True)
    works: dict[object, bool] = {}  # by shape and by whether there is a reference: what one graph is made for

    def call(*inputs: Any) -> torch.Tensor:
        kind = (inputs[0].shape, inputs[4:5] == (None,))
        if works.get(kind, True):
            torch.compiler.cudagraph_mark_step_begin()
            try:
                answer: torch.Tensor = fast(*inputs)
                works[kind] = True
                return answer.clone()  # the next call writes over the graph's own memory
            except RuntimeError as error:
                if kind in works or is_full(error):
                    raise
                works[kind] = False  # torch compiles a function for a few shapes at most, too
                log.warning("The denoiser could not be compiled and runs as it is: %s", str(error).strip().splitlines()[:1])
        plain: torch.Tensor = network(*inputs)
        return plain

    return call
