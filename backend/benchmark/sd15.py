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

from .sd15_random import random_bank, random_networks, write_files

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
    parser.add_argument("--compile", action="store_true", help="also with the denoiser compiled for its fixed shapes, with CUDA graphs")
    parser.add_argument("--plans", action="store_true", help="instead: every plan for the memory, and what happens when it runs out")
    parser.add_argument("--no-load", action="store_true", help="leave out the loading from files")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="where the files are written and kept (default: a temporary folder)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures and prints."""
    import torch

    from backend.synthesis.sd15.devices import best_device, best_dtype, place
    from backend.synthesis.sd15.engine import keep_libraries_quiet
    from backend.synthesis.sd15.memory import PLANS

    keep_libraries_quiet()
    device = arguments.device or best_device()
    dtype = getattr(torch, _DTYPES[arguments.dtype]) if arguments.dtype else best_dtype(device)
    full = arguments.network == "full" or (arguments.network is None and device != "cpu")
    report: dict[str, Any] = {
        "device": _name(device),
        "dtype": str(dtype).removeprefix("torch."),
        "network": "full" if full else "tiny",
        "family": arguments.family,
    }
    print(f"{arguments.family}, {report['network']} size, random weights, {report['dtype']}, on {report['device']}", flush=True)
    models = random_networks(arguments.family, full, device, dtype)
    with tempfile.TemporaryDirectory() as scratch:
        files = arguments.files or Path(scratch)
        if arguments.plans:
            from .sd15_plans import measure_plans

            return {**report, **measure_plans(write_files(models, files), Path(scratch), models, arguments.presets)}
        load_seconds = None
        if not arguments.no_load:
            write_files(models, files)
            models, load_seconds = loaded(models, files)
    models.reference_unet = models.image_encoder = None  # a render lets go of them, too
    place(models, PLANS[0], device)
    return {**report, **_presets(models, load_seconds, arguments)}


def loaded(models: Models, files: Path) -> tuple[Models, float]:
    """The networks that a render of a known portrait needs, read from files as it reads them, and the seconds that this took."""
    from backend.synthesis.sd15.devices import place
    from backend.synthesis.sd15.memory import PLANS
    from backend.synthesis.sd15.models import load_models
    from backend.synthesis.sd15.store import find_weights

    device, family, dtype = str(models.device), models.family, models.dtype
    for network in models.networks.values():
        network.to("meta")  # makes room
    paths = find_weights("aniportrait" if family == "aniportrait" else "echomimic_pose", files).paths()
    began = time.perf_counter()
    found = load_models(paths, dtype, "cpu", family, reference=False)
    place(found, PLANS[0], device)
    _settle(device)
    return found, round(time.perf_counter() - began, 2)


def _presets(models: Models, load_seconds: float | None, arguments: argparse.Namespace) -> dict[str, Any]:
    """A row for each preset, and the released recipe before and after them."""
    print(f"{'preset':>10}{'steps':>7}{'s/frame':>10}{'first s':>9}{'peak GB':>9}{'planned':>9}{'load s':>8}{'released recipe takes':>23}")
    rows, released = {}, [released_seconds(models)]
    for preset in arguments.presets:
        row = _measure(models, _settings(arguments.family, preset, models), arguments.frames)
        rows[preset] = {**row, "load_s": load_seconds, "released_over_this": round(released[0] / row["seconds_a_frame"], 2)}
        _print_row(preset, rows[preset])
        if arguments.compile:
            rows[preset]["compiled"] = _compiled(models, _settings(arguments.family, preset, models), row)
    released.append(released_seconds(models))
    for row in rows.values():
        row["released_over_this"] = round(mean(released) / row["seconds_a_frame"], 2)
    told = ", ".join(f"{seconds:.3f}" for seconds in released)
    print(f"released recipe (25 steps, guidance, windows 16/4): {told} s a frame before and after, estimated in this run")
    return {"presets": rows, "released_seconds_a_frame": round(mean(released), 4)}


def released_seconds(models: Models) -> float:
    """Seconds a frame of the released recipe in a long shot: its evaluation and its decoding, measured, times how often it does them."""
    from backend.synthesis.sd15.presets import RELEASED

    settings = replace(RELEASED, steps=2, size=models.config.sample_size * 8)
    evaluation, decoding, posing = part_seconds(models, settings)
    return (RELEASED.steps * evaluation + posing) / (RELEASED.window - RELEASED.overlap) + decoding


def part_seconds(models: Models, settings: Sd15Settings) -> tuple[float, float, float]:
    """(one step of a window, decoding one frame, the landmark network over a window) in seconds, the middle of some."""
    from backend.synthesis.sd15.pipeline import Film, Sd15Pipeline

    pipeline = _pipeline(models, settings)
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


def _measure(models: Models, settings: Sd15Settings, wanted: int | None, network: Any = None) -> dict[str, Any]:
    """One preset over a shot of three windows: the first picture, seconds a frame, peak memory beside the plan's figure.

    ``network``: a compiled denoiser in place of the plain one.
    """
    from backend.synthesis.sd15.pipeline import Film

    frames, poses = wanted or 3 * settings.window - 2 * settings.overlap, _poses(settings.size)
    pipeline = _pipeline(models, settings)
    pipeline.network = network or pipeline.network
    began = time.perf_counter()
    if models.device.type == "cuda" or network is not None:
        list(pipeline.frames(Film(poses, min(frames, settings.window))))  # kernels are chosen and compiled here
    warm_up = time.perf_counter() - began
    _reset_peak(models)
    steps = _Steps(models)
    began = time.perf_counter()
    first = 0.0
    for count, _ in enumerate(pipeline.frames(Film(poses, frames), callback=steps)):
        if count == 0:
            first = time.perf_counter() - began
    _settle(str(models.device))
    seconds = time.perf_counter() - began
    return {
        "steps": settings.steps,
        "guidance": settings.guidance,
        "window": [settings.window, settings.overlap],
        "frames": frames,
        "warm_up_s": round(warm_up, 2),
        "seconds_a_frame": round(seconds / frames, 4),
        "first_picture_s": round(first, 3),
        "evaluation_s": round(steps.middle(), 4),
        "finite": steps.finite,
        "peak_gb": _peak_gb(models),
        "planned_gb": _planned_gb(models, settings),
    }


def _compiled(models: Models, settings: Sd15Settings, plain: dict[str, Any]) -> dict[str, Any]:
    """The same preset with the compiled denoiser, and how many times as long the plain one takes."""
    from backend.synthesis.sd15.devices import compiled

    row = _measure(models, settings, plain["frames"], compiled(models.denoising_unet))
    ratio = plain["evaluation_s"] / row["evaluation_s"]
    print(
        f"{'compiled':>10}{row['steps']:>7}{row['seconds_a_frame']:10.3f}{row['first_picture_s']:9.2f}{row['peak_gb']:9.2f}"
        f"   first window {row['warm_up_s']:.0f} s; the plain denoiser takes {ratio:.2f} times as long",
        flush=True,
    )
    return {**row, "plain_over_compiled": round(ratio, 3)}


class _Steps:
    """A callback that notes when evaluations end, and whether their numbers are finite."""

    def __init__(self, models: Models) -> None:
        self._models, self._marks, self.finite = models, [], True  # type: tuple[Models, list[tuple[Any, float]], bool]

    def __call__(self, step: Any) -> None:
        self.finite = self.finite and bool(step.denoised.isfinite().all())
        _settle(str(self._models.device))
        self._marks.append((step.window, time.perf_counter()))

    def middle(self) -> float:
        """The median of the seconds between two evaluations of one window; 0 where there was no second one."""
        pairs = zip(self._marks, self._marks[1:])
        gaps = [after - before for (first, before), (second, after) in pairs if first == second]
        return median(gaps) if gaps else 0.0


def _settings(family: str, preset: str, models: Models) -> Sd15Settings:
    from backend.synthesis.sd15.presets import PRESETS

    weights = "aniportrait" if family == "aniportrait" else "echomimic_pose_acc"
    return replace(PRESETS[weights][preset], size=models.config.sample_size * 8)


def _pipeline(models: Models, settings: Sd15Settings) -> Any:
    from backend.synthesis.sd15.pipeline import Sd15Pipeline

    pipeline = Sd15Pipeline(models, settings)
    pipeline.use_bank(random_bank(models, settings.size))
    return pipeline


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
    import torch

    return str(torch.cuda.get_device_name()) if device == "cuda" else f"{device}, threads: {torch.get_num_threads()}"


def _print_row(name: str, row: dict[str, Any]) -> None:
    load = "-" if row["load_s"] is None else f"{row['load_s']:.1f}"
    figures = f"{row['seconds_a_frame']:10.3f}{row['first_picture_s']:9.2f}{row['peak_gb']:9.2f}{row['planned_gb']:9.2f}{load:>8}"
    finite = "" if row["finite"] else "   NUMBERS THAT ARE NOT FINITE"
    print(f"{name:>10}{row['steps']:>7}{figures}{row['released_over_this']:>15.2f} times{finite}", flush=True)
