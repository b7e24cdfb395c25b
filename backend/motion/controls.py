# SPDX-License-Identifier: GPL-3.0-or-later
"""The animator's knobs on finished motion: lip strength, smoothing, offsets, mouth only. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from bridge.landmarks import CHIN, LANDMARK_COUNT, LIPS_INNER, LIPS_OUTER, OF_MEDIAPIPE, REGIONS
from bridge.shot import MotionSettings

FloatArray = NDArray[np.float32]

_LIPS = list(REGIONS["lips_outer"] + REGIONS["lips_inner"])
_EYES = list(REGIONS["eye_left"] + REGIONS["eye_right"])
_JAW_MESH = (323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93)
_JAW = [OF_MEDIAPIPE[point] for point in _JAW_MESH]
LOWER = sorted({*_LIPS, *_JAW, CHIN})
UPPER = [index for index in range(LANDMARK_COUNT) if index not in LOWER]
# A network's guess is the mean of many ways to say a word and smoother than any of them. So much of what a short blur takes
# away is added again to lips and jaw; chosen on clips kept for choosing, where it brings their liveliness near that of real lips.
_CRISPNESS, _CRISP_BLUR = 1.7, 0.7  # the blur's standard deviation in frames
_LONGEST_SMOOTHING = 4.0  # standard deviation in frames at 25 a second for a knob at 1


def crisp(motion: FloatArray) -> FloatArray:
    """``motion`` (frames, 162, 2) at 25 a second with the quick movements of lips and jaw made clearer (unsharp mask in time)."""
    motion = np.array(motion, np.float32)
    lower = motion[:, LOWER]
    motion[:, LOWER] = lower + _CRISPNESS * (lower - gaussian_filter1d(lower, _CRISP_BLUR, axis=0, mode="nearest"))
    return motion


def reach_of_controls(settings: MotionSettings) -> int:
    """Frames on either side that ``crisp`` and ``apply_controls`` look at."""
    deviation = max(settings.upper_smoothing, settings.lower_smoothing, 0.0) * _LONGEST_SMOOTHING
    return 4 + int(4 * deviation + 1)  # gaussian_filter1d cuts off at four standard deviations


def apply_controls(motion: FloatArray, settings: MotionSettings, commanded: Callable[[], FloatArray] | None = None) -> FloatArray:
    """``motion`` (frames, 162, 2) at 25 a second with the settings applied; neutral settings change nothing.

    ``commanded``: gives the share of the motion that keyed AUs make by themselves, (frames, 162, 2). Lip strength leaves that share
    as it is, and mouth only keeps it everywhere.
    """
    motion = np.array(motion, np.float32)
    kept = commanded() if commanded is not None and (settings.lip_strength != 1.0 or settings.mouth_only) else np.zeros_like(motion)
    if settings.lip_strength != 1.0:
        motion[:, LOWER] = kept[:, LOWER] + settings.lip_strength * (motion[:, LOWER] - kept[:, LOWER])
    if settings.mouth_only:
        motion[:, UPPER] = kept[:, UPPER]
    _smooth(motion, LOWER, settings.lower_smoothing)
    _smooth(motion, UPPER, settings.upper_smoothing)
    if settings.lip_offset:
        motion[..., 1] += settings.lip_offset * _LIP_OPENING
    if settings.lid_offset:
        motion[..., 1] += settings.lid_offset * _LID_OPENING
    return motion


def _smooth(motion: FloatArray, points: list[int], amount: float) -> None:
    """Gaussian smoothing in time of some points; lids keep two thirds of their speed so that blinks stay blinks."""
    if amount <= 0:
        return
    for group, share in ((sorted(set(points) - set(_EYES)), 1.0), (sorted(set(points) & set(_EYES)), 0.2)):
        if group:
            motion[:, group] = gaussian_filter1d(motion[:, group], amount * share * _LONGEST_SMOOTHING, axis=0, mode="nearest")


def _opening(lower: tuple[int, ...], upper: tuple[int, ...]) -> FloatArray:
    """Vertical weights that open a ring by 1 at its middle: + half for the lower row, - half for the upper."""
    weights = np.zeros(LANDMARK_COUNT, np.float32)
    for row, sign in ((lower, 0.5), (upper, -0.5)):
        weights[[OF_MEDIAPIPE[point] for point in row]] = sign * np.sin(np.linspace(0, np.pi, len(row) + 2)[1:-1])
    return weights


_LIP_OPENING = _opening(LIPS_INNER[1:10], LIPS_INNER[11:]) + _opening(LIPS_OUTER[1:10], LIPS_OUTER[11:])
_LID_OPENING = _opening((249, 390, 373, 374, 380, 381, 382), (398, 384, 385, 386, 387, 388, 466)) + _opening(
    (7, 163, 144, 145, 153, 154, 155), (173, 157, 158, 159, 160, 161, 246)
)
