# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyed Action Unit that acts on one half of the face more than on the other."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from backend.motion.face import reference_face
from bridge.facs import ACTION_UNITS, MAXIMUM_INTENSITY

FloatArray = NDArray[np.float32]

TWO_SIDED = np.array([unit.two_sided for unit in ACTION_UNITS])
_SEAM = 0.18  # half width of the blend between the halves, inter-ocular units


def one_sided(values: FloatArray, asymmetry: FloatArray) -> FloatArray:
    """What to take from motion (frames, 162, 2) so that commanded AUs act unevenly.

    ``values``: (frames, 18) 0..5, what is commanded. ``asymmetry``: (frames, 18), +1 the subject's left half alone, -1 the right half
    alone, 0 both alike. AUs that have no halves are left alone.
    """
    sides = np.clip(asymmetry, -1.0, 1.0) * TWO_SIDED
    amount = values / MAXIMUM_INTENSITY
    fields, left = reference_face().fields[..., :2], _left_share()[:, None]
    taken_right, taken_left = amount * np.maximum(sides, 0), amount * np.maximum(-sides, 0)
    change = np.einsum("fa,apc->fpc", taken_right, fields * (1 - left)) + np.einsum("fa,apc->fpc", taken_left, fields * left)
    return change.astype(np.float32)


@lru_cache(maxsize=1)
def _left_share() -> FloatArray:
    """1 on the subject's left half (x above 0), 0 on the right, smooth across the middle, (162,)."""
    place = np.clip((reference_face().neutral[:, 0] + _SEAM) / (2 * _SEAM), 0, 1)
    return (place * place * (3 - 2 * place)).astype(np.float32)
