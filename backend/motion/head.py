# SPDX-License-Identifier: GPL-3.0-or-later
"""Quiet head motion that follows the voice, for head channels that are not keyed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from backend.motion.config import MOTION_RATE
from backend.motion.resample import motion_frame_count, motion_window, out_of_motion_rate
from backend.speech.rows import Energy
from bridge.shot import HEAD_CHANNELS

FloatArray = NDArray[np.float32]

# At amount 1: standard deviations of yaw, pitch, roll (degrees), x, y (inter-ocular), scale; as of people talking to a camera.
_SWAY = np.array([2.6, 1.6, 1.3, 0.022, 0.014, 0.006], np.float32)
_NOD = np.array([0.0, -2.4, 0.0, 0.0, 0.008, 0.0], np.float32)
_RAMP_SECONDS = 0.4
_ENERGY_REACH = 49  # frames that the smoothed energy looks at on either side


def idle_head(frames: int, fps: Fraction, energy: Energy, seed: int, amount: float, window: tuple[int, int] | None = None) -> FloatArray:
    """Head motion to add, (frames, 6) float32 in the units of ``bridge.shot.HEAD_CHANNELS``, scale as a difference from 1.

    ``energy``: the voice's. ``window``: the scene frames (first, end) that are wanted, all where None. Slow seeded sway that grows with
    the voice, and small nods on its stresses. It starts from rest; neither the shot's length nor the window changes the draw.
    """
    first, end = window or (0, frames)
    if amount <= 0:
        return np.zeros((end - first, len(HEAD_CHANNELS)), np.float32)
    low, high = motion_window(first, end, frames, fps)
    start, beyond = max(0, low - _ENERGY_REACH), min(high + _ENERGY_REACH, motion_frame_count(frames, fps))
    heard, inside = energy.between(start, beyond), slice(low - start, high - start)
    lively = gaussian_filter1d(heard, 12.0, mode="nearest")
    stress = (gaussian_filter1d(heard, 3.0, mode="nearest") - lively)[inside]
    places = np.arange(low, high)
    sway = np.stack([_sway(places, seed, channel) for channel in range(len(HEAD_CHANNELS))], axis=1)
    rest = np.minimum(places / MOTION_RATE / 0.6, 1.0)[:, None]
    motion = sway * _SWAY * (0.35 + 0.9 * lively[inside, None]) + stress[:, None] * _NOD
    return out_of_motion_rate((amount * motion * rest * rest * (3 - 2 * rest)).astype(np.float32), frames, fps, (first, end), low)


def _sway(places: NDArray[np.int64], seed: int, channel: int) -> FloatArray:
    """Sum of slow sines with drawn phases and periods of 1.7 to 9 s, at frames ``places``; standard deviation near 1."""
    generator = np.random.default_rng([seed & 0xFFFFFFFF, 7, channel])
    periods = np.geomspace(1.7, 9.0, 6) * generator.uniform(0.85, 1.15, 6)
    phases = generator.uniform(0, 2 * np.pi, 6)
    sizes = periods / np.sqrt((periods**2).sum() / 2)
    times = places[:, None] / MOTION_RATE
    return (np.sin(2 * np.pi * times / periods + phases) @ sizes).astype(np.float32)


def posed_head(
    head: FloatArray,
    keyed: NDArray[np.bool_],
    energy: Energy,
    fps: Fraction,
    seed: int,
    amount: float,
    window: tuple[int, int] | None = None,
) -> FloatArray:
    """The head track: keyed channels as commanded, idle motion added to the others, (frames, 6) float32.

    The idle motion fades out within 0.4 s before a keyed span and in after it, so that keys begin without a jump. ``window``: the
    frames (first, end) that are wanted, all where None.
    """
    first, end = window or (0, len(head))
    asked = np.asarray(head[first:end], np.float32)
    if amount <= 0 or keyed.all():
        return asked
    idle = idle_head(len(head), fps, energy, seed, amount, (first, end))
    return np.asarray(asked + idle * _free_share(keyed, float(fps))[first:end], np.float32)


def _free_share(keyed: NDArray[np.bool_], fps: float) -> FloatArray:
    """1 far from keyed frames, 0 on them, smooth between, (frames, channels)."""
    share = np.empty(keyed.shape, np.float32)
    places = np.arange(len(keyed))
    for channel in range(keyed.shape[1]):
        commanded = np.flatnonzero(keyed[:, channel])
        if len(commanded) == 0:
            share[:, channel] = 1.0
            continue
        after = np.searchsorted(commanded, places)
        left = np.where(after > 0, places - commanded[np.maximum(after - 1, 0)], len(keyed) * 2)
        right = np.where(after < len(commanded), commanded[np.minimum(after, len(commanded) - 1)] - places, len(keyed) * 2)
        near = np.clip(np.minimum(left, right) / max(1.0, _RAMP_SECONDS * fps), 0.0, 1.0)
        share[:, channel] = near * near * (3 - 2 * near)
    return share
