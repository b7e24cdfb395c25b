# SPDX-License-Identifier: GPL-3.0-or-later
"""The rotation, scale and shift that lays one set of points best on another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ONE_PLACE = 1e-9  # sum of squared distances below which points lie in one place, and are only shifted


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float32]:
    """From points ``source`` (n, 2) to ``target`` (n, 2): (4, 2), the matrix that stands right of an offset from the middle of
    ``source``, that middle, and the middle of ``target``. Least squares in closed form: Umeyama, PAMI 1991, in the plane."""
    middle_source, middle_target = np.asarray(source.mean(0)), np.asarray(target.mean(0))
    a: NDArray = (source - middle_source).T
    b: NDArray = (target - middle_target).T
    norm = float((a * a).sum())
    cosine, sine = 1.0, 0.0
    if norm > _ONE_PLACE:
        cosine, sine = float(np.sum(a * b)) / norm, float(np.sum(a[0] * b[1] - a[1] * b[0])) / norm
    return np.array([[cosine, sine], [-sine, cosine], middle_source, middle_target], np.float32)
