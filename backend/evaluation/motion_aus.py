# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether each keyed Action Unit does what it says: its own landmarks, the right way, far enough, and no other's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_measures import OWN_MEASURE, all_measures, known_response
from backend.motion.config import AU_COUNT, MOTION_RATE
from backend.motion.face import reference_face
from backend.motion.generate import MotionGenerator
from bridge.facs import AU_INDEX, AU_KEYS
from bridge.shot import MotionSettings

FloatArray = NDArray[np.float32]

# These move their own measure so far that it is seen at any size; the others are judged by Spearman and cross-talk alone.
REQUIRED = ("AU01", "AU02", "AU04", "AU12", "AU15", "AU25", "AU26", "AU45")
FLOOR_DISPLACEMENT = 0.03
FLOOR_LID_CLOSURE = 0.6
LEVELS = 6  # intensities 0, 1, ... 5
_SCORED = 4  # the intensity whose response is told


@dataclass(frozen=True)
class AuScore:
    """One AU's row.

    ``response``: mean change of the AU's own measure from intensity 0 to 4, inter-ocular units, positive the right way (AU45: share of the
    lid gap that closes). ``weakest``: the same in the frame where it is least. ``share``: ``response`` over what the AU does to actors.
    ``spearman``: rank correlation of the measure with 0..5 within each frame, mean over frames; ``spearman_levels``: of the means over
    frames. ``cross_talk``: largest unwanted displacement of another region over the AU's own. ``others``: (18,) what the other AUs'
    measures read beyond what faces do, in shares of their own full response, over this AU's amount; 0 for itself. ``most_others`` and
    ``most_others_key``: the largest of them and whose it is.
    """

    key: str
    response: float
    weakest: float
    share: float
    spearman: float
    spearman_levels: float
    cross_talk: float
    others: tuple[float, ...]

    @property
    def passes(self) -> bool:
        """Whether the response meets the floor; True where none is asked."""
        if self.key not in REQUIRED:
            return True
        return self.response >= (FLOOR_LID_CLOSURE if self.key == "AU45" else FLOOR_DISPLACEMENT)

    @property
    def most_others(self) -> float:
        """The largest response of another AU over its own."""
        return max(self.others)

    @property
    def most_others_key(self) -> str:
        """Which AU that is."""
        return AU_KEYS[int(np.argmax(self.others))]


def sweep(generator: MotionGenerator, samples: FloatArray, key: str, frames: int, seed: int = 0) -> FloatArray:
    """Canonical landmarks (6, frames, 162, 2) of the reference face, one AU keyed at 0, 1, ... 5, all others free."""
    face = reference_face()
    keyed = np.zeros((frames, AU_COUNT), bool)
    keyed[:, AU_INDEX[key]] = True
    rows = []
    for intensity in range(LEVELS):
        values = np.zeros((frames, AU_COUNT), np.float32)
        values[:, AU_INDEX[key]] = intensity
        motion, _ = generator.generate(samples, frames, Fraction(MOTION_RATE), values, keyed, seed, MotionSettings(blinks=False))
        rows.append(face.neutral[:, :2] + motion)
    return np.stack(rows)


def score(points: FloatArray, key: str) -> AuScore:
    """Scores one AU's sweep (6, frames, 162, 2)."""
    _, measure, sign = OWN_MEASURE[key]
    values = sign * measure(points)
    change = values[_SCORED] - values[0]
    if key == "AU45":
        change = change / np.maximum(measure(points[0]), 1e-3)
    share, others = _matrix_row(points, key)
    return AuScore(
        key=key,
        response=float(change.mean()),
        weakest=float(change.min()),
        share=share,
        spearman=float(np.mean([rank_correlation(frame) for frame in values.T])),
        spearman_levels=rank_correlation(values.mean(axis=1)),
        cross_talk=_cross_talk(points, key),
        others=others,
    )


def au_scores(generator: MotionGenerator, samples: FloatArray, frames: int, keys: Sequence[str] = AU_KEYS) -> list[AuScore]:
    """Scores of AUs while this voice speaks (or in silence, where it is silent)."""
    return [score(sweep(generator, samples, key, frames), key) for key in keys]


def rank_correlation(levels: NDArray[np.floating]) -> float:
    """Spearman's rho of levels against 0, 1, 2 ...; 0 where they are all the same."""
    from scipy.stats import rankdata

    ranks = rankdata(levels)
    return float(np.corrcoef(ranks, np.arange(len(levels)))[0, 1]) if np.ptp(ranks) > 0 else 0.0


def _matrix_row(points: FloatArray, key: str) -> tuple[float, tuple[float, ...]]:
    """The AU's own response over the known one, and the others' responses beyond the known ones, relative to its own.

    What the others' measures may read goes by how much of the AU's whole field is in the motion (least squares over all points), not by its
    own measure: a jaw that falls three quarters of the way while the lips part as they should lacks chin, it does not leak into AU25.
    AUs told by the very same measure (the lids' opening, the corners' height) cannot be told apart by it and are left out.
    """
    known, row = known_response(), AU_INDEX[key]
    read = (all_measures(points[_SCORED]) - all_measures(points[0])).mean(axis=0)
    field = reference_face().fields[row, :, :2] * (_SCORED / (LEVELS - 1))
    moved = (points[_SCORED] - points[0]).mean(axis=0)
    amount = float((moved * field).sum() / (field**2).sum())
    others = np.abs(read - amount * known[row]) / np.diag(known) / max(amount, 1e-3)
    others[[measure is OWN_MEASURE[key][1] for _, measure, _ in OWN_MEASURE.values()]] = 0.0
    return float(read[row] / known[row, row]), tuple(float(value) for value in others)


def _cross_talk(points: FloatArray, key: str) -> float:
    """Largest mean displacement among points the AU's field leaves alone, over that among the points it moves most."""
    field = np.linalg.norm(reference_face().fields[AU_INDEX[key], :, :2], axis=-1)
    moved = np.linalg.norm((points[_SCORED] - points[0]).mean(axis=0), axis=-1)
    own, alone = field > 0.5 * field.max(), field < 0.03 * field.max()
    return float(moved[alone].max() / max(float(moved[own].mean()), 1e-6)) if alone.any() else 0.0
