# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the scene's frame rate and the generator's 25 frames a second."""

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


def into_motion_rate(curves: FloatArray, fps: Fraction) -> FloatArray:
    """Curves (frames, channels) at scene frames -> (motion frames, channels), linear between frames, held at the end."""
    if fps == MOTION_RATE:
        return np.asarray(curves, np.float32)
    times = scene_times(len(curves), fps)
    wanted = np.arange(motion_frame_count(len(curves), fps)) / MOTION_RATE
    position = np.clip(np.interp(wanted, times, np.arange(len(curves))), 0, len(curves) - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(curves) - 1)
    part = (position - low)[:, None].astype(np.float32)
    return np.asarray(curves[low] * (1 - part) + curves[high] * part, np.float32)


def mask_into_motion_rate(mask: NDArray[np.bool_], fps: Fraction) -> NDArray[np.bool_]:
    """Masks (frames, channels) at scene frames -> (motion frames, channels), each from the nearest scene frame."""
    if fps == MOTION_RATE:
        return mask
    wanted = np.arange(motion_frame_count(len(mask), fps)) / MOTION_RATE
    nearest = np.clip(np.rint(wanted * float(fps)), 0, len(mask) - 1).astype(int)
    return mask[nearest]


def out_of_motion_rate(motion: NDArray[np.float32], frames: int, fps: Fraction) -> FloatArray:
    """(motion frames, ...) at 25 a second -> (frames, ...) at scene frames by a shape-preserving cubic (Fritsch and
    Carlson 1980): no overshoot, so shut lips stay shut."""
    if fps == MOTION_RATE:
        return np.asarray(motion[:frames], np.float32)
    if len(motion) == 1:
        return np.repeat(np.asarray(motion, np.float32), frames, axis=0)
    curve = PchipInterpolator(np.arange(len(motion)) / MOTION_RATE, motion, axis=0)
    return curve(np.minimum(scene_times(frames, fps), (len(motion) - 1) / MOTION_RATE)).astype(np.float32)
