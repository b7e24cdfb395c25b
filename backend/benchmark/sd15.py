# SPDX-License-Identifier: GPL-3.0-or-later
"""``benchmark --tier sd15``: seconds for a frame, memory and loading of every preset, with random weights, beside the released recipe.

Random weights take as long as trained ones. On a graphics card the networks have their full size, on the processor a tiny one.
The released recipe (25 steps, guidance, windows of 16 that overlap by 4, pictures decoded one by one) is estimated in the same run,
before and after the presets, from its own evaluations, so that the ratio holds whatever else the machine does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from backend.synthesis.sd15.models import Models
    from backend.synthesis.sd15.settings import Sd15Settings

_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this stage."""
    parser.add_argument("--network", choices=["full", "tiny"], help="size of the networks (default: full on a graphics card, else tiny)")
    parser.add_argument("--device", choices=["cpu", "cuda", "mps"], help="where they run (default: a graphics card if there is one)")
    parser.add_argument("--dtype", choices=list(_DTYPES), help="precision (default: the best of the device)")
    parser.add_argument("--family", choices=["aniportrait", "echomimic"], default="aniportrait", help="whose networks")
    parser.add_argument("--presets", nargs="+", choices=["draft", "standard", "best"], default=["draft", "standard", "best"])
    parser.add_argument("--frames", type=int, help="frames of the shot (default: two windows more than one)")
    parser.add_argument("--compile", action="store_true", help="compile the denoiser for its fixed shapes, with CUDA graphs")
    parser.add_argument("--no-load", action="store_true", help="leave out the loading from files")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures and prints."""
    import torch

    from backend.synthesis.sd15.devices import best_device, best_dtype

    device = arguments.device or best_device()
    dtype = getattr(torch, _DTYPES[arguments.dtype]) if arguments.dtype else best_dtype(device)
    full = arguments.network == "full" or (arguments.network is None and device != "cpu")
    models, load_seconds = random_models(arguments.family, full, device, dtype, load=not arguments.no_load)
    rows, released = {}, [released_seconds(models, arguments.compile)]
    for preset in arguments.presets:
        rows[preset] = _measure(models, _settings(arguments.family, preset, models), arguments)
        rows[preset]["load_s"] = load_seconds
    released.append(released_seconds(models, arguments.compile))
    for row in rows.values():
        row["released_over_this"] = round(mean(released) / row["seconds_a_frame"], 2)
    report = {
        "device": _name(device),
        "dtype": str(dtype).removeprefix("torch."),
        "network": "full" if full else "tiny",
        "family": arguments.family,
        "compiled": arguments.compile,
        "presets": rows,
        "released_seconds_a_frame": round(mean(released), 4),
    }
    _print(report)
    return report


def random_models(family: str, full: bool, device: str, dtype: torch.dtype, load: bool) -> tuple[Models, float | None]:
    """Networks with random weights, and the seconds that loading them from files took (None where that was left out)."""
    from backend.synthesis.sd15 import models as library
    from backend.synthesis.sd15.tiny import tiny_models

    models = _full_models(family, device, dtype) if full else tiny_models(family=family, dtype=dtype, device=device)
    if not load:
        return models, None
    with tempfile.TemporaryDirectory() as scratch:
        parts = _write(models, Path(scratch))
        models.reference_unet = None
        began = time.perf_counter()
        loaded = library.load_models(parts, dtype, device, family, Path(scratch) / "cache", reference=False)
        _settle(device)
        seconds = time.perf_counter() - began
    return loaded, round(seconds, 2)


def released_seconds(models: Models, compiled: bool) -> float:
    """Seconds a frame of the released recipe in a long shot: its evaluation and its decoding, measured, times how often it does them."""
    from backend.synthesis.sd15.presets import RELEASED

    settings = replace(RELEASED, steps=2, size=models.config.sample_size * 8)
    evaluation, decoding, posing = part_seconds(models, settings, compiled)
    return (RELEASED.steps * evaluation + posing) / (RELEASED.window - RELEASED.overlap) + decoding


def part_seconds(models: Models, settings: Sd15Settings, compiled: bool = False) -> tuple[float, float, float]:
    """(one step of a window, decoding one frame, the landmark network over a window) in seconds, the middle of some."""
    from backend.synthesis.sd15.pipeline import Film, Sd15Pipeline

    pipeline = _pipeline(models, settings, compiled)
    marks: list[float] = []

    def step(_: Any) -> None:
        _settle(str(models.device))
        marks.append(time.perf_counter())

    poses = _poses(settings.size)
    for _ in range(3):
        marks.append(float("nan"))
        list(pipeline.latents(Film(poses, settings.window), callback=step))
    gaps = [after - before for before, after in zip(marks, marks[1:]) if after == after and before == before]
    decoding = median(_timed(models, lambda: pipeline.decode(_latents(models, settings, 1))) for _ in range(3))
    drawings = [poses(frame) for frame in range(settings.window)]
    posing = median(_timed(models, lambda: Sd15Pipeline.pose_features(pipeline, drawings)) for _ in range(3))
    return median(gaps), decoding, posing


def _measure(models: Models, settings: Sd15Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    """One preset over a shot of three windows: the first picture, seconds a frame, peak memory beside the plan's figure."""
    from backend.synthesis.sd15.pipeline import Film

    frames, poses = arguments.frames or 3 * settings.window - 2 * settings.overlap, _poses(settings.size)
    pipeline = _pipeline(models, settings, arguments.compile)
    if models.device.type == "cuda" or arguments.compile:
        list(pipeline.frames(Film(poses, min(frames, settings.window))))  # kernels are chosen and compiled here
    _reset_peak(models)
    began = time.perf_counter()
    first = 0.0
    for count, _ in enumerate(pipeline.frames(Film(poses, frames))):
        if count == 0:
            first = time.perf_counter() - began
    seconds = time.perf_counter() - began
    return {
        "steps": settings.steps,
        "guidance": settings.guidance,
        "window": [settings.window, settings.overlap],
        "frames": frames,
        "seconds_a_frame": round(seconds / frames, 4),
        "first_picture_s": round(first, 3),
        "peak_gb": _peak_gb(models),
        "planned_gb": _planned_gb(models, settings),
    }


def _settings(family: str, preset: str, models: Models) -> Sd15Settings:
    from backend.synthesis.sd15.presets import PRESETS

    weights = "aniportrait" if family == "aniportrait" else "echomimic_pose_acc"
    return replace(PRESETS[weights][preset], size=models.config.sample_size * 8)


def _pipeline(models: Models, settings: Sd15Settings, compiled: bool) -> Any:
    from backend.synthesis.sd15 import devices
    from backend.synthesis.sd15.pipeline import Sd15Pipeline

    pipeline = Sd15Pipeline(models, settings)
    pipeline.use_bank(_bank(models, settings.size))
    if compiled:
        pipeline.network = devices.compiled(models.denoising_unet)
    return pipeline


def _bank(models: Models, size: int) -> dict[str, Any]:
    """A bank of random numbers in the shapes that a portrait's has."""
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


def _full_models(family: str, device: str, dtype: torch.dtype) -> Models:
    import torch
    from diffusers import AutoencoderKL, AutoencoderTiny

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
    finally:
        torch.set_default_dtype(before)
    models = Models(family, config, reference, denoiser, pose, vae, None, tiny, torch.device(device), dtype)
    for network in models.networks.values():
        network.to(device, dtype).eval().requires_grad_(False)
    return models


def _write(models: Models, folder: Path) -> dict[str, Path]:
    """The trained parts and the base parts as files."""
    from backend.synthesis.sd15.checkpoints import write_safetensors
    from backend.synthesis.sd15.tiny import published_states

    parts = {}
    for part, state in published_states(models).items():
        if part != "reference_unet":
            parts[part] = folder / f"{part}.safetensors"
            write_safetensors(parts[part], state)
    for part in ("vae", "tiny_decoder"):
        parts[part] = folder / part
        models.networks[part].save_pretrained(str(parts[part]))  # type: ignore[operator]
    config = folder / "unet" / "config.json"
    config.parent.mkdir()
    import json

    config.write_text(json.dumps(models.config.to_unet_config()), encoding="utf-8")
    return {**parts, "unet_config": config}


def _poses(size: int) -> Any:
    empty = np.zeros((size, size, 3), np.uint8)
    return lambda frame: np.roll(empty + np.uint8(frame % 7), frame, 0)


def _latents(models: Models, settings: Sd15Settings, frames: int) -> torch.Tensor:
    import torch

    side = settings.size // 8
    return torch.randn((frames, 4, side, side), device=models.device)


def _timed(models: Models, call: Any) -> float:
    began = time.perf_counter()
    call()
    _settle(str(models.device))
    return time.perf_counter() - began


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def _reset_peak(models: Models) -> None:
    if models.device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_gb(models: Models) -> float:
    """The card's peak, or what this process holds where there is no card."""
    if models.device.type == "cuda":
        import torch

        return round(torch.cuda.max_memory_reserved() / 1e9, 2)
    from backend.serve.memory import resident_megabytes

    return round(resident_megabytes() / 1e3, 2)


def _planned_gb(models: Models, settings: Sd15Settings) -> float:
    """What a render says beforehand that it needs."""
    from backend.synthesis.sd15 import memory

    count = {name: sum(weight.numel() for weight in network.parameters()) for name, network in models.networks.items()}
    itemsize = models.dtype.itemsize
    pose = count.get("pose_guider", 0) + count.get("face_locator", 0)
    sizes = (count["denoising_unet"], pose, 0, count["vae"], 0, count.get("tiny_decoder", 0))
    found = memory.Sizes(*(size * itemsize for size in sizes))
    channels, card = models.config.block_out_channels[0], models.device.type != "cpu"
    return round(memory.needed(found, settings, memory.PLANS[0], itemsize, channels, card) / 1e9, 2)


def _name(device: str) -> str:
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    import torch

    return device if device != "cpu" else f"processor, threads: {torch.get_num_threads()}"


def _print(report: dict[str, Any]) -> None:
    print(f"{report['family']}, {report['network']} size, random weights, {report['dtype']}, on {report['device']}")
    print(f"{'preset':>10}{'steps':>7}{'s/frame':>10}{'first s':>9}{'peak GB':>9}{'planned':>9}{'load s':>8}{'released recipe takes':>23}")
    for name, row in report["presets"].items():
        load = "-" if row["load_s"] is None else f"{row['load_s']:.1f}"
        figures = f"{row['seconds_a_frame']:10.3f}{row['first_picture_s']:9.2f}{row['peak_gb']:9.2f}{row['planned_gb']:9.2f}{load:>8}"
        print(f"{name:>10}{row['steps']:>7}{figures}{row['released_over_this']:>15.2f} times")
    print(f"released recipe (25 steps, guidance, windows 16/4): {report['released_seconds_a_frame']:.3f} s a frame, estimated in this run")
