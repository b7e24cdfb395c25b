# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether each keyed Action Unit does what it says: its own landmarks, the right way, far enough, and no other's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from backend.motion.config import AU_COUNT, MOTION_RATE
from backend.motion.face import reference_face
from backend.motion.generate import MotionGenerator
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
from bridge.shot import MotionSettings

FloatArray = NDArray[np.float32]

# The measure by which each AU is told, and which way it goes.
OWN_MEASURE: dict[str, tuple[str, Callable[[FloatArray], FloatArray], float]] = {
    "AU01": ("inner brows rise", inner_brow_height, 1.0),
    "AU02": ("outer brows rise", outer_brow_height, 1.0),
    "AU04": ("brows sink", brow_distance, -1.0),
    "AU05": ("lids widen", lid_opening, 1.0),
    "AU07": ("lids narrow", lid_opening, -1.0),
    "AU12": ("mouth corners rise", corner_height, 1.0),
    "AU15": ("mouth corners sink", corner_height, -1.0),
    "AU20": ("mouth widens", mouth_width, 1.0),
    "AU25": ("lips part", lip_gap, 1.0),
    "AU26": ("chin sinks", chin_drop, 1.0),
    "AU45": ("lids close", lid_opening, -1.0),
}
REQUIRED = ("AU01", "AU02", "AU04", "AU12", "AU15", "AU25", "AU26", "AU45")
FLOOR_DISPLACEMENT = 0.03
FLOOR_LID_CLOSURE = 0.6


@dataclass(frozen=True)
class AuScore:
    """``response``: mean change of the AU's own measure from intensity 0 to 4, inter-ocular units, positive the right way
    (AU45: share of the lid gap that closes). ``weakest``: the same in the frame where it is least. ``spearman``: rank
    correlation over 0..5.
    ``cross_talk``: largest unwanted displacement of another region over the AU's own displacement."""

    key: str
    response: float
    weakest: float
    spearman: float
    cross_talk: float

    @property
    def passes(self) -> bool:
        """Whether the AU meets the floor."""
        return self.response >= (FLOOR_LID_CLOSURE if self.key == "AU45" else FLOOR_DISPLACEMENT)


def sweep(generator: MotionGenerator, samples: FloatArray, key: str, frames: int, seed: int = 0) -> FloatArray:
    """Canonical landmarks (6, frames, 162, 2) of the reference face, one AU keyed at 0, 1, ... 5, all others free."""
    face = reference_face()
    keyed = np.zeros((frames, AU_COUNT), bool)
    keyed[:, AU_INDEX[key]] = True
    rows = []
    for intensity in range(6):
        values = np.zeros((frames, AU_COUNT), np.float32)
        values[:, AU_INDEX[key]] = intensity
        motion, _ = generator.generate(samples, frames, Fraction(MOTION_RATE), values, keyed, seed, MotionSettings(blinks=False))
        rows.append(face.neutral[:, :2] + motion)
    return np.stack(rows)


def score(points: FloatArray, key: str) -> AuScore:
    """Scores one AU's sweep (6, frames, 162, 2)."""
    _, measure, sign = OWN_MEASURE[key]
    values = sign * measure(points)
    change = values[4] - values[0]
    if key == "AU45":
        change = change / np.maximum(measure(points[0]), 1e-3)
    levels = values.mean(axis=1)
    return AuScore(key, float(change.mean()), float(change.min()), _rank_correlation(levels), _cross_talk(points, key))


def au_scores(generator: MotionGenerator, samples: FloatArray, frames: int, keys: tuple[str, ...] = tuple(OWN_MEASURE)) -> list[AuScore]:
    """Scores of AUs while this voice speaks (or in silence, where it is silent)."""
    return [score(sweep(generator, samples, key, frames), key) for key in keys]


def _rank_correlation(levels: NDArray[np.floating]) -> float:
    """Spearman's rho of levels against 0..5."""
    ranks = np.argsort(np.argsort(levels)).astype(float)
    return float(np.corrcoef(ranks, np.arange(len(levels)))[0, 1])


def _cross_talk(points: FloatArray, key: str) -> float:
    """Largest mean displacement among points the AU's field leaves alone, over that among the points it moves most."""
    field = np.linalg.norm(reference_face().fields[AU_INDEX[key], :, :2], axis=-1)
    moved = np.linalg.norm((points[4] - points[0]).mean(axis=0), axis=-1)
    own, alone = field > 0.5 * field.max(), field < 0.03 * field.max()
    return float(moved[alone].max() / max(float(moved[own].mean()), 1e-6)) if alone.any() else 0.0


assert set(OWN_MEASURE) <= set(AU_KEYS)
