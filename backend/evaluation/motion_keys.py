# SPDX-License-Identifier: GPL-3.0-or-later
"""What keys cost and what knobs do: lips under a keyed upper face, guidance, takes of different seeds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_measures import OWN_MEASURE
from backend.evaluation.motion_voice import correlation, points_of
from backend.motion.config import AU_COUNT, MOTION_RATE
from backend.motion.face import reference_face
from backend.motion.measures import lip_gap
from backend.speech.features import normalised_rows
from backend.training.motion.commands import acted_curve, blinking
from bridge.facs import ACTION_UNITS, AU_INDEX
from bridge.shot import MotionSettings

if TYPE_CHECKING:
    from backend.motion.generate import MotionGenerator
    from backend.training.motion.dataset import Clip

FloatArray = NDArray[np.float32]
UPPER_FACE = tuple(unit.key for unit in ACTION_UNITS if unit.region == "upper")
GUIDED = ("AU01", "AU04", "AU12", "AU15", "AU20", "AU26")
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
_GUIDED_INTENSITY = 3.0


def motion_of(
    generator: MotionGenerator,
    clip: Clip,
    values: FloatArray | None = None,
    keyed: NDArray[np.bool_] | None = None,
    seed: int = 0,
    settings: MotionSettings | None = None,
) -> FloatArray:
    """Motion (frames, 162, 2) for a clip's voice under keys (none where None)."""
    frames = len(clip.motion)
    values = np.zeros((frames, AU_COUNT), np.float32) if values is None else values
    keyed = np.zeros((frames, AU_COUNT), bool) if keyed is None else keyed
    rows = normalised_rows(clip.log_power)
    return generator.from_rows(rows, frames, Fraction(MOTION_RATE), values, keyed, seed, settings or MotionSettings())[0]


def gap_r(clips: Sequence[Clip], motions: Sequence[FloatArray]) -> float:
    """Mean correlation of the lip gap with the real one."""
    pairs = zip(clips, motions, strict=True)
    return float(np.mean([correlation(lip_gap(points_of(clip, made)), lip_gap(points_of(clip, clip.motion))) for clip, made in pairs]))


def upper_face_drop(generator: MotionGenerator, clips: Sequence[Clip]) -> dict[str, float]:
    """Gap r with all AUs free, and with every upper-face AU keyed to acted curves, blinks among them."""
    free = gap_r(clips, [motion_of(generator, clip) for clip in clips])
    acted = []
    for number, clip in enumerate(clips):
        random = np.random.default_rng([number, 0xAC7])
        values = np.zeros((len(clip.motion), AU_COUNT), np.float32)
        keyed = np.zeros(values.shape, bool)
        for key in UPPER_FACE:
            values[:, AU_INDEX[key]] = blinking(len(values), random) if key == "AU45" else acted_curve(len(values), random)
            keyed[:, AU_INDEX[key]] = True
        acted.append(motion_of(generator, clip, values, keyed))
    under_keys = gap_r(clips, acted)
    return {"free": free, "upper_face_keyed": under_keys, "drop": free - under_keys}


def guidance(generator: MotionGenerator, clips: Sequence[Clip]) -> dict[str, list[float]]:
    """Each guided AU's own response at intensity 3 against 0 (inter-ocular units) for each AU strength."""
    rest = reference_face().neutral[:, :2]
    responses: dict[str, list[float]] = {}
    for key in GUIDED:
        _, measure, sign = OWN_MEASURE[key]
        responses[key] = []
        for strength in STRENGTHS:
            settings = MotionSettings(au_strength=strength, blinks=False)
            change = []
            for clip in clips:
                keyed = np.zeros((len(clip.motion), AU_COUNT), bool)
                keyed[:, AU_INDEX[key]] = True
                levels = [
                    rest + motion_of(generator, clip, (keyed * level).astype(np.float32), keyed, settings=settings)
                    for level in (0.0, _GUIDED_INTENSITY)
                ]
                change.append(float((sign * (measure(levels[1]) - measure(levels[0]))).mean()))
            responses[key].append(float(np.mean(change)))
    return responses


def is_monotone(responses: dict[str, list[float]]) -> bool:
    """Whether every AU's response grows with its strength."""
    return all(bool((np.diff(row) > 0).all()) for row in responses.values())


def seed_spread(generator: MotionGenerator, clips: Sequence[Clip]) -> dict[str, float]:
    """Two takes of the same clips: how far lips and brows differ (mean, inter-ocular units), and the gap r of each."""
    first, second = ([motion_of(generator, clip, seed=seed) for clip in clips] for seed in (1, 2))
    spread = np.mean([np.abs(a - b).mean(axis=(0, 2)) for a, b in zip(first, second, strict=True)], axis=0)
    one, two = gap_r(clips, first), gap_r(clips, second)
    return {
        "gap_r_first": one,
        "gap_r_second": two,
        "gap_r_difference": abs(one - two),
        "lip_spread": float(spread[:40].mean()),
        "spread": float(spread.mean()),
    }
