# SPDX-License-Identifier: GPL-3.0-or-later
"""Lips that part further than the network knows: see ``backend/au_scale.py``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.au_scale import LIPS
from backend.motion.face import reference_face
from backend.motion.measures import lip_gap
from bridge.facs import MAXIMUM_INTENSITY

FloatArray = NDArray[np.float32]


def parted_further(motion: FloatArray, amount: FloatArray) -> FloatArray:
    """``motion`` (frames, 162, 2) of the reference face with AU25 added by ``amount`` (frames,) 0..5.

    As far as the lips are apart: where the voice shuts them for p, b and m although AU25 is keyed, they stay shut.
    """
    asked = np.flatnonzero(amount > 0)
    if not len(asked):
        return motion
    face = reference_face()
    rest, field = face.neutral[:, :2], face.fields[LIPS, :, :2]
    own = float(lip_gap(rest + field) - lip_gap(rest))
    moved = np.array(motion, np.float32)
    apart = np.clip((lip_gap(rest + moved[asked]) - lip_gap(rest)) / max(own, 1e-6), 0, 1)
    moved[asked] += (apart**2 * amount[asked] / MAXIMUM_INTENSITY)[:, None, None] * field
    return moved
