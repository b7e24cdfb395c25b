# SPDX-License-Identifier: GPL-3.0-or-later
"""AU readings, one for every moment, thinned to the keys that an animator would set."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .bridge.au_tables import read_au_table

TOLERANCE = 0.02  # intensity by which thinned keys may miss the readings
Keys = dict[str, list[tuple[float, float]]]


def read_keys(path: Path, fps: Fraction, tolerance: float = TOLERANCE) -> Keys:
    """Keys of every AU in an OpenFace table as (seconds, intensity). Raises the faults of ``read_au_table``."""
    table = read_au_table(path, fps)
    return {key: thinned_keys(table.times, values, tolerance) for key, values in table.values.items()}


def thinned_keys(times: NDArray[np.float64], values: NDArray[np.float64], tolerance: float) -> list[tuple[float, float]]:
    """(seconds, value) pairs that follow the readings within the tolerance."""
    return [(float(times[row]), float(values[row])) for row in thinned(times, values, tolerance)]


def thinned(times: NDArray[np.float64], values: NDArray[np.float64], tolerance: float) -> list[int]:
    """Rows such that straight lines between them miss no value by more than the tolerance (Ramer, Douglas, Peucker)."""
    kept, waiting = {0, len(values) - 1}, [(0, len(values) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        span = slice(first, last + 1)
        misses = np.abs(values[span] - np.interp(times[span], times[[first, last]], values[[first, last]]))
        worst = first + int(misses.argmax())
        if misses.max() > tolerance:
            kept.add(worst)
            waiting += [(first, worst), (worst, last)]
    return sorted(kept)
