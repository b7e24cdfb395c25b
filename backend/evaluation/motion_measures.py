# SPDX-License-Identifier: GPL-3.0-or-later
"""The measure by which each of the eighteen Action Units is told on landmarks, and the way it goes.

Brows, lids, mouth corners, lips and chin have measures with names. The rest (cheeks, nose, dimples, tight and sucked lips) hardly have
one on 162 points: they are measured along what the AU does to actors' faces, whose AUs are known exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from backend.motion.face import reference_face
from backend.motion.measures import (
    brow_distance,
    chin_drop,
    corner_height,
    inner_brow_height,
    lid_opening,
    lip_gap,
    mouth_width,
    outer_brow_height,
)
from bridge.facs import AU_INDEX, AU_KEYS

FloatArray = NDArray[np.float32]
Measure = Callable[[FloatArray], FloatArray]

_MOVED_SHARE = 0.3  # points that move less than this share of the AU's largest displacement do not count in a measure along it


def along(key: str) -> Measure:
    """Mean displacement along the AU's own direction at the points it moves most, inter-ocular units."""

    def measure(points: FloatArray) -> FloatArray:
        direction, weight = _direction(key)
        return np.asarray(((points[..., :2] - reference_face().neutral[:, :2]) * direction).sum(-1) @ weight, np.float32)

    return measure


@lru_cache(maxsize=32)
def _direction(key: str) -> tuple[FloatArray, FloatArray]:
    """Unit direction (162, 2) and weight (162,) of each point in the measure along an AU."""
    field = reference_face().fields[AU_INDEX[key], :, :2]
    size = np.linalg.norm(field, axis=-1)
    weight = np.where(size > _MOVED_SHARE * size.max(), size, 0.0)
    return field / np.maximum(size, 1e-9)[:, None], (weight / weight.sum()).astype(np.float32)


# What the AU visibly does, its measure, and which way the measure goes.
OWN_MEASURE: dict[str, tuple[str, Measure, float]] = {
    "AU01": ("inner brows rise", inner_brow_height, 1.0),
    "AU02": ("outer brows rise", outer_brow_height, 1.0),
    "AU04": ("brows sink", brow_distance, -1.0),
    "AU05": ("lids widen", lid_opening, 1.0),
    "AU06": ("lower lids rise", along("AU06"), 1.0),
    "AU07": ("lids narrow", lid_opening, -1.0),
    "AU09": ("brows and lip drawn", along("AU09"), 1.0),
    "AU10": ("upper lip rises", along("AU10"), 1.0),
    "AU12": ("mouth corners rise", corner_height, 1.0),
    "AU14": ("corners drawn in", along("AU14"), 1.0),
    "AU15": ("mouth corners sink", corner_height, -1.0),
    "AU17": ("lower lip rises", along("AU17"), 1.0),
    "AU20": ("mouth widens", mouth_width, 1.0),
    "AU23": ("lips tighten", along("AU23"), 1.0),
    "AU25": ("lips part", lip_gap, 1.0),
    "AU26": ("chin sinks", chin_drop, 1.0),
    "AU28": ("lips sucked in", along("AU28"), 1.0),
    "AU45": ("lids close", lid_opening, -1.0),
}

assert tuple(OWN_MEASURE) == AU_KEYS


def all_measures(points: FloatArray) -> FloatArray:
    """Every AU's own measure, the right way round, (..., 18) of landmarks (..., 162, 2)."""
    return np.stack([sign * measure(points) for _, measure, sign in OWN_MEASURE.values()], axis=-1).astype(np.float32)


@lru_cache(maxsize=1)
def known_response(intensity: float = 4.0) -> FloatArray:
    """(18, 18): what each measure (column) reads when an AU (row) goes from 0 to ``intensity`` on the actors' mean face by itself.

    Off the diagonal is what faces do: a falling jaw parts the lips too. It is no cross-talk.
    """
    face = reference_face()
    rest = face.neutral[:, :2]
    return all_measures(rest + face.fields[..., :2] * (intensity / 5.0)) - all_measures(rest)
