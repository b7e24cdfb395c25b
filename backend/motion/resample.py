# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the scene's frame rate and the generator's 25 frames a second, whole or a stretch at a time."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from backend.motion.config import MOTION_RATE

FloatArray = NDArray[np.float32]


def motion_frame_count(frames: int, fps: Fraction) -> int:
    """How many frames at 25 a second cover ``frames`` scene frames."""
    return max(1, math.floor((frames - 1) / fps * MOTION_RATE) + 2) if fps != MOTION_RATE else frames


def scene_times(frames: int, fps: Fraction) -> NDArray[np.float64]:
    """Times of the scene's frames in seconds, the first at 0."""
    return np.arange(frames, dtype=np.float64) * (fps.denominator / fps.numerator)


def motion_window(first: int, end: int, frames: int, fps: Fraction) -> tuple[int, int]:
    """The motion frames (first, end) that decide the scene frames ``first`` to ``end`` of a shot of ``frames``."""
    if fps == MOTION_RATE:
        return first, end
    low = math.floor(first / fps * MOTION_RATE) - 2
    high = math.floor((end - 1) / fps * MOTION_RATE) + 4
    return max(0, low), min(high, motion_frame_count(frames, fps))


def scene_window(first: int, end: int, frames: int, fps: Fraction) -> tuple[int, int]:
    """The scene frames (first, end) that a change of the motion frames ``first`` to ``end`` can touch."""
    if fps == MOTION_RATE:
        return max(0, first), min(end, frames)
    low = math.floor((first - 3) * fps / MOTION_RATE)
    high = math.ceil((end + 3) * fps / MOTION_RATE) + 1
    return max(0, low), min(high, frames)


def into_motion_rate(
    curves: FloatArray, fps: Fraction, places: NDArray[np.int64] | None = None, valid: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Curves (frames, channels) at scene frames -> (motion frames, channels), linear between frames, held at the end.

    ``places``: the motion frames that are wanted, (n,); all of them where None. ``valid`` (frames, channels): where it is False the
    curve counts as 0, whatever it holds.
    """

    def at(rows: NDArray[np.int64]) -> FloatArray:
        return curves[rows] if valid is None else np.where(valid[rows], curves[rows], 0).astype(np.float32)

    wanted = np.arange(motion_frame_count(len(curves), fps)) if places is None else places
    if fps == MOTION_RATE:
        return np.asarray(at(wanted), np.float32)
    position = np.clip(wanted * (float(fps) / MOTION_RATE), 0, len(curves) - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(curves) - 1)
    part = (position - low)[:, None].astype(np.float32)
    return np.asarray(at(low) * (1 - part) + at(high) * part, np.float32)


def mask_into_motion_rate(mask: NDArray[np.bool_], fps: Fraction, places: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Masks (frames, channels) at scene frames -> (motion frames, channels), each from the nearest scene frame."""
    if fps == MOTION_RATE:
        return mask if places is None else mask[places]
    wanted = np.arange(motion_frame_count(len(mask), fps)) if places is None else places
    nearest = np.clip(np.rint(wanted * (float(fps) / MOTION_RATE)), 0, len(mask) - 1).astype(int)
    return mask[nearest]


def out_of_motion_rate(
    motion: FloatArray, frames: int, fps: Fraction, window: tuple[int, int] | None = None, motion_first: int = 0
) -> FloatArray:
    """(motion frames, ...) at 25 a second -> (frames, ...) at scene frames by a shape-preserving cubic (Fritsch and
    Carlson 1980): no overshoot, so shut lips stay shut.

    ``window``: the scene frames (first, end) that are wanted of a shot of ``frames``; ``motion`` then holds the frames of
    ``motion_window`` or more, from ``motion_first`` on.
    """
    first, end = window or (0, frames)
    if fps == MOTION_RATE:
        return np.asarray(motion[first - motion_first : end - motion_first], np.float32)
    if len(motion) == 1:
        return np.repeat(np.asarray(motion, np.float32), end - first, axis=0)
    times = scene_times(end, fps)[first:]
    curve = PchipInterpolator(np.arange(motion_first, motion_first + len(motion)) / MOTION_RATE, motion, axis=0)
    return curve(np.minimum(times, (motion_first + len(motion) - 1) / MOTION_RATE)).astype(np.float32)
