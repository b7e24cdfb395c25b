# SPDX-License-Identifier: GPL-3.0-or-later
"""Intensities as an animator keys them, and as the networks know them.

They are the same but for AU25. The people that the networks learned it from part their lips by 5.5 % of the eyes' distance at 5, which
hardly shows a tooth; the lips of the woman among the training clips are 16 to 19 % apart at what a video reads as 4 to 5, with the jaw up.
So the animator's AU25 reaches further: the networks are told up to their own 5, and what lies beyond parts the lips by geometry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_INDEX, MAXIMUM_INTENSITY

FloatArray = NDArray[np.float32]

LIPS_REACH = 2.0  # lower lip all the way down and upper lip all the way up part as far as this many times what the networks know
LIPS = AU_INDEX["AU25"]


def told(aus: FloatArray) -> FloatArray:
    """Animators' intensities (..., 18) 0..5 as the networks know them, 0..5."""
    known = np.array(aus, np.float32)
    known[..., LIPS] = np.minimum(LIPS_REACH * known[..., LIPS], MAXIMUM_INTENSITY)
    return known


def beyond(aus: FloatArray) -> FloatArray:
    """How much of AU25 (...,) the networks cannot be told, in their measure, 0..5, of animators' intensities (..., 18)."""
    return np.maximum(LIPS_REACH * np.asarray(aus, np.float32)[..., LIPS] - MAXIMUM_INTENSITY, 0.0).astype(np.float32)


def as_keyed(aus: FloatArray) -> FloatArray:
    """What networks read (..., 18) 0..5 as an animator would key it."""
    keyed = np.array(aus, np.float32)
    keyed[..., LIPS] /= LIPS_REACH
    return keyed
