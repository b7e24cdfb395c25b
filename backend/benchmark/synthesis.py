# SPDX-License-Identifier: GPL-3.0-or-later
"""``benchmark --stage synthesis``: frames per second of the whole renderer, and where the time goes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOOR_FPS = 8.0  # at 256, 2 steps, two quiet processor cores
_FRAMES, _FRAMES_ON_CARD = 24, 120
_WARM_UP = 15  # frames after which a card has made chunks of every size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this stage."""
    parser.add_argument("--frames", type=int, help=f"frames to render for each figure (default: {_FRAMES}, on a card {_FRAMES_ON_CARD})")
    parser.add_argument("--threads", type=int, help="processor threads, or frames at once beside a card (default: as a render does)")
    parser.add_argument(
        "--device", choices=["cpu", "cuda", "mps"], help="where the network runs (default: a graphics card if there is one)"
    )
    parser.add_argument("--memory", type=float, metavar="MINUTES", help="instead: this process's memory over a shot of so many minutes")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures and prints. Every figure includes warp, network and paste-back into a portrait of 1024 x 1024 pixels."""
    from backend.synthesis.small.render import render_frames
    from backend.synthesis.small.runtime import MOST_TOGETHER

    from .synthesis_device import device_part_times, first_picture

    runtime, device = _runtime(arguments)
    if arguments.memory:
        held = memory_over_shot(runtime, arguments.memory)
        print("MB held by minute of the shot: " + ", ".join(f"{minute:g}: {amount:.0f}" for minute, amount in held))
        return {"device": device, "memory": held}
    portrait, points, track = synthetic_shot(1024, arguments.frames or (_FRAMES_ON_CARD if runtime.whole_frames else _FRAMES))
    aus = np.zeros((len(track), 18), np.float32)
    table: dict[str, dict[str, float]] = {}
    first: float | None = None
    for size in (256, 512):
        for steps in (1, 2, 4):
            frames = partial(render_frames, portrait, points, track, aus, steps=steps, size=size, runtime=runtime)
            for _ in frames(frame_count=_WARM_UP if runtime.whole_frames else 1):  # what is done once
                pass
            first = first or first_picture(frames)
            began = time.perf_counter()
            count = sum(1 for _ in frames())
            table.setdefault(str(size), {})[str(steps)] = round(count / (time.perf_counter() - began), 2)
    parts = device_part_times(runtime) if runtime.whole_frames else part_times(runtime)
    apart = None if runtime.device == "cpu" else difference(runtime)
    _print(table, parts, device, apart)
    together = MOST_TOGETHER if runtime.whole_frames else runtime.frames_at_once
    print(f"the first picture comes after {first:g} ms; {together} frames are made at once")
    floor = {"floor_fps": FLOOR_FPS, "floor_met": table["256"]["2"] >= FLOOR_FPS}
    return {
        "device": device,
        "frames_at_once": runtime.frames_at_once,
        "whole_frames": runtime.whole_frames,
        "fps": table,
        "first_picture_ms": first,
        "milliseconds": parts,
        "off_the_processor": apart,
        **floor,
    }


def synthetic_shot(side: int, frames: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """A made-up portrait (side, side, 3), landmarks (162, 2) on it and a track (frames, 162, 2): for timing, not for looking."""
    draw = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 162, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1) * draw.uniform(0.3, 1, (162, 1))
    points = (side / 2 + ring * side * 0.25).astype(np.float32)
    sway = np.sin(np.arange(frames, dtype=np.float32) / 4)[:, None, None] * draw.normal(0, side * 0.002, (1, 162, 2)).astype(np.float32)
    return draw.integers(0, 256, (side, side, 3), dtype=np.uint8), points, points[None] + sway


def memory_over_shot(runtime: Any, minutes: float, side: int = 512, fps: int = 25) -> list[tuple[float, float]]:
    """Minute of the shot and MB that this process then holds, about twenty times over a shot drawn in one step; frames are thrown away."""
    from backend.serve.memory import resident_megabytes
    from backend.synthesis.small.render import render_frames

    portrait, points, track = synthetic_shot(side, max(round(minutes * 60 * fps), 1))
    aus = np.zeros((len(track), 18), np.float32)
    every = max(len(track) // 20, 1)
    held = []
    for row, _ in enumerate(render_frames(portrait, points, track, aus, steps=1, runtime=runtime), 1):
        if row % every == 0:
            held.append((round(row / fps / 60, 2), round(resident_megabytes(), 1)))
    return held


def part_times(runtime: Any) -> dict[str, float]:
    """Best of ten, in milliseconds, of one frame's parts at 256 pixels, one after the other on one thread of ours."""
    from backend.synthesis.small.gates import face_gates
    from backend.synthesis.small.mouth import MouthInterior
    from backend.synthesis.small.raster import landmark_raster
    from backend.synthesis.small.render import CropRenderer
    from backend.synthesis.small.warp import landmark_warp, look_through

    (portrait, start, goal), warp, conditions, inputs = _one_frame(runtime)
    mouth, paste, renderer = MouthInterior(portrait, start), _paste(), CropRenderer(portrait, start, runtime=runtime)
    sample, signed = inputs.pop("sample"), inputs["signed"]
    picture = sample(2)
    return {
        "spline": _best(lambda: landmark_warp(start, goal, led=True)),
        "resampling": _best(lambda: look_through(signed, warp.field)),
        "raster": _best(lambda: landmark_raster(goal, 256)),
        "gates": _best(lambda: face_gates(goal)),
        "mouth": _best(lambda: mouth(picture, goal)),
        "trunk, once a frame": _best(lambda: runtime.trunk(conditions)),
        **{f"denoiser, {steps} step{'s' * (steps > 1)}": _best(partial(sample, steps)) for steps in (1, 2, 4)},
        "crop in all, 2 steps": _best(lambda: renderer.frame(goal, None)),
        "paste-back into 1024": _best(lambda: paste(warp.field, inputs["warped"], picture)),
    }


def difference(runtime: Any) -> float:
    """The largest difference of a picture (-1..1) after two steps to the one that the processor makes."""
    from backend.synthesis.small.runtime import OnnxRuntime

    pictures = [_one_frame(one)[3]["sample"](2) for one in (runtime, OnnxRuntime())]
    return float(np.abs(pictures[0] - pictures[1]).max())


def _one_frame(runtime: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
    """((portrait, its points, a frame's points), warp, conditions, what the denoiser starts from), at 256 pixels."""
    from backend.synthesis.small.conditions import frame_conditions, to_signed
    from backend.synthesis.small.sampler import shot_noise
    from backend.synthesis.small.warp import landmark_warp, look_through

    portrait, points, track = synthetic_shot(256, 2)
    start, goal = points / np.float32(256), track[1] / np.float32(256)
    warp = landmark_warp(start, goal, led=True)
    signed = to_signed(portrait)
    warped = look_through(signed, warp.field)
    conditions = frame_conditions(warp, warped, signed, goal, None, None)
    fine, coarse, _, mask = runtime.trunk(conditions)
    noise = shot_noise(0, 256)
    inputs = {"signed": signed, "warped": warped, "sample": lambda steps: runtime.sample(noise, steps, warped, mask, fine, coarse)}
    return (portrait, start, goal), warp, conditions, inputs


def _paste() -> Any:
    from backend.synthesis.small.crop import resized, shot_crop
    from backend.synthesis.small.paste import Paste

    portrait, points, track = synthetic_shot(1024, 2)
    crop = shot_crop(points, track)
    return Paste(portrait, crop, resized(crop.cut(portrait), min(crop.side, 512)))


def _runtime(arguments: argparse.Namespace) -> tuple[Any, str]:
    from backend.synthesis.small.runtime import OnnxRuntime, TorchRuntime, default_runtime, processor_threads

    if arguments.device in ("cuda", "mps"):
        chosen = TorchRuntime(device=arguments.device)
        chosen.frames_at_once = arguments.threads or chosen.frames_at_once
        return chosen, f"{_device_name(arguments.device)}, {chosen.frames_at_once} frames at once"
    if arguments.device == "cpu" or arguments.threads:
        threads = arguments.threads or processor_threads()
        return OnnxRuntime(threads=threads), f"processor, {threads} threads"
    runtime = default_runtime()
    return runtime, _device_name(runtime.device)


def _device_name(device: str) -> str:
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    from backend.synthesis.small.runtime import processor_threads

    return device if device != "cpu" else f"processor, {processor_threads()} threads"


def _best(call: Callable[[], Any]) -> float:
    call()
    times = []
    for _ in range(10):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return round(min(times) * 1000, 2)


def _print(table: dict[str, dict[str, float]], parts: dict[str, float], device: str, apart: float | None) -> None:
    print(f"frames per second on {device} (warp, network and paste-back into 1024 x 1024)")
    print(f"{'crop':>6}" + "".join(f"{steps + ' step' + ('s' if steps != '1' else ''):>10}" for steps in table["256"]))
    for size, row in table.items():
        print(f"{size:>6}" + "".join(f"{value:10.1f}" for value in row.values()))
    print("milliseconds a frame at 256: " + ", ".join(f"{name} {value:g}" for name, value in parts.items()))
    network = [1000 / (parts["trunk, once a frame"] + parts[f"denoiser, {steps}"]) for steps in ("1 step", "2 steps", "4 steps")]
    print("the network alone, frames per second: " + ", ".join(f"{rate:.0f}" for rate in network) + " at 1, 2 and 4 steps")
    if apart is not None:
        print(f"largest difference of a picture to the processor's: {apart:.1e} of -1..1 (at most 1e-3 is asked for)")
    print(f"floor at 256, 2 steps, two cores: {FLOOR_FPS:g} frames per second")
