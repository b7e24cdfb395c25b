# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded blinks where AU45 is free: 15 to 20 a minute, each 120 to 180 ms, never inside a keyed span."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.motion.config import MOTION_RATE

SHORTEST_BLINK, LONGEST_BLINK = 0.12, 0.18
BLINK_FRAMES = 6  # at 25 a second: how far a blink, and what decides on it, can reach
_SHORTEST_PAUSE = 0.8
_FULL = 4.6


def blink_times(seconds: float, blinks_per_minute: float, seed: int) -> NDArray[np.float64]:
    """Blinks of a stretch of time: (blinks, 2) start and length in seconds.

    Pauses are drawn from a gamma distribution (shape 4), as spontaneous blinks are irregular but never bunched; the
    draw does not depend on ``seconds``, so lengthening a shot keeps its blinks.
    """
    if blinks_per_minute <= 0:
        return np.zeros((0, 2))
    mean_pause = 60.0 / blinks_per_minute
    generator = np.random.default_rng([seed & 0xFFFFFFFF, 45])
    rows: list[tuple[float, float]] = []
    now = mean_pause * generator.uniform(0.25, 0.75)
    while now < seconds:
        rows.append((now, generator.uniform(SHORTEST_BLINK, LONGEST_BLINK)))
        now += max(_SHORTEST_PAUSE, generator.gamma(4.0, mean_pause / 4.0))
    return np.array(rows).reshape(-1, 2)


def blink_curve(
    frames: int, blinks_per_minute: float, seed: int, keyed: NDArray[np.bool_] | None = None, window: tuple[int, int] | None = None
) -> NDArray[np.float32]:
    """AU45 of seeded blinks at 25 frames a second, (frames,) float32 in 0..5, or of the frames of ``window`` (first, end).

    A blink shuts in a third of its time and opens in the rest. ``keyed`` (frames,): frames where the animator commands
    AU45; a blink that would touch one, or the frame beside it, is left out.
    """
    first, end = window or (0, frames)
    curve = np.zeros(max(0, end - first), np.float32)
    for start, length in blink_times(min(frames, end + BLINK_FRAMES) / MOTION_RATE, blinks_per_minute, seed):
        frame = round(start * MOTION_RATE)  # on a frame, so that the shut lids fall on one
        low, high = max(0, frame - BLINK_FRAMES), min(frames, frame + BLINK_FRAMES + 1)
        if high <= first or low >= end:
            continue
        lid = _lid(np.arange(low, high), frame, length)
        touched = np.convolve(lid > 0, [1, 1, 1], mode="same") > 0
        if keyed is None or not (touched & keyed[low:high]).any():
            inside, beyond = max(low, first), min(high, end)
            part = (_FULL * lid * lid * (3 - 2 * lid)).astype(np.float32)[inside - low : beyond - low]
            curve[inside - first : beyond - first] = np.maximum(curve[inside - first : beyond - first], part)
    return curve


def _lid(places: NDArray[np.int64], frame: int, length: float) -> NDArray[np.float64]:
    """How far a blink that begins at ``frame`` has shut the lids, 0..1, at frames ``places``."""
    times, shut = places / MOTION_RATE, (frame + 1) / MOTION_RATE
    rise = np.clip((times - (shut - length / 3)) / (length / 3), 0, 1)
    fall = np.clip(((shut + length * 2 / 3) - times) / (length * 2 / 3), 0, 1)
    return np.minimum(rise, fall)
