# SPDX-License-Identifier: GPL-3.0-or-later
"""``benchmark --stage synthesis`` where whole frames are made on a graphics card: where the time of a chunk goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

_ROUNDS = 5


def device_part_times(runtime: Any, size: int = 256) -> dict[str, float]:
    """Best of five, in milliseconds a frame, of the parts of a full chunk pasted into 1024 x 1024, one after the other and waited for."""
    from backend.synthesis.small.crop import resized, shot_crop
    from backend.synthesis.small.device_render import DeviceRenderer, Rendered
    from backend.synthesis.small.paste import Paste
    from backend.synthesis.small.runtime import MOST_TOGETHER, NETWORK_SIDE

    from .synthesis import synthetic_shot

    portrait, points, track = synthetic_shot(1024, MOST_TOGETHER)
    crop = shot_crop(points, track)
    whole = crop.cut(portrait)
    paste = Paste(portrait, crop, resized(whole, min(crop.side, 2 * size)))
    renderer = DeviceRenderer(resized(whole, NETWORK_SIDE), crop.to_unit(points), paste, runtime)
    places = crop.to_unit(track)

    def prepared() -> list[Any]:
        return [renderer.prepare(place, None) for place in places]

    def into_portrait() -> None:
        for picture in pixels:
            frame = portrait.copy()
            frame[paste.rows, paste.columns] = picture

    frames = prepared()
    with runtime.in_use():
        given = renderer.given(frames)
        field, determinant, kept = renderer.warps(given)
        seen = renderer.seen(given, field, determinant)
        moved, warped = renderer.moved(given, field, seen)
        images, geometry = (field.new_zeros(len(places), *shape) for shape in ((13, *warped.shape[2:]), (3, *field.shape[2:])))
        noise = renderer.noise.expand(len(places), -1, -1, -1)
        drawn = renderer.paste(moved, warped, renderer.painted(frames, warped, seen))
    pixels = Rendered(drawn, kept).fetched()[0]

    def sampled(steps: int) -> Any:
        return runtime.sample_batch(noise, steps, warped, seen.mask, seen.fine, seen.coarse)

    parts: dict[str, Callable[[], Any]] = {
        "preparation, on one thread": prepared,
        "to the card": lambda: renderer.given(frames),
        "spline": lambda: renderer.warps(given),
        "trunk, once a frame": lambda: runtime.trunk_batch(images, geometry, given.aus),
        "resampling": lambda: renderer.moved(given, field, seen),
        **{f"denoiser, {steps} step{'s' * (steps > 1)}": partial(sampled, steps) for steps in (1, 2, 4)},
        "2 steps and mouth": lambda: renderer.painted(frames, warped, seen),
        "paste-back into 1024": lambda: renderer.paste(moved, warped, warped),
        "from the card": lambda: Rendered(drawn, kept).fetched(),
        "into the portrait": into_portrait,
    }
    with runtime.in_use():
        times = {name: _best(call, runtime.device) / MOST_TOGETHER for name, call in parts.items()}
    times["chunk in all, 2 steps"] = _best(lambda: renderer(frames).fetched(), runtime.device) / MOST_TOGETHER
    return {name: round(value, 3) for name, value in times.items()}


def first_picture(frames: Callable[[], Any]) -> float:
    """Milliseconds from the asking for frames to the first of them."""
    began = time.perf_counter()
    next(frames())
    return round((time.perf_counter() - began) * 1000, 1)


def synchronised(device: str) -> None:
    """Waits until the device has nothing left to do."""
    import torch

    if device in ("cuda", "mps"):
        getattr(torch, device).synchronize()


def _best(call: Callable[[], Any], device: str) -> float:
    """Milliseconds, the device's work waited for."""
    times = []
    for _ in range(_ROUNDS + 1):
        synchronised(device)
        began = time.perf_counter()
        call()
        synchronised(device)
        times.append(time.perf_counter() - began)
    return float(np.min(times[1:])) * 1000
