# SPDX-License-Identifier: GPL-3.0-or-later
"""AU25 on the animator's scale: lips part as far as lips can, and stay shut where the voice shuts them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("torch")
from backend import au_scale
from backend.motion.face import reference_face
from backend.motion.generate import MotionGenerator
from backend.motion.measures import lip_gap
from backend.motion.parting import parted_further
from bridge.facs import AU_COUNT, AU_INDEX
from bridge.shot import MotionSettings

pytestmark = pytest.mark.unit
LIPS = AU_INDEX["AU25"]


def intensities(value: float, frames: int = 3) -> np.ndarray:
    aus = np.full((frames, AU_COUNT), 1.5, np.float32)
    aus[:, LIPS] = value
    return aus


def gaps(motion: np.ndarray) -> np.ndarray:
    rest = reference_face().neutral[:, :2]
    return lip_gap(rest + motion) - lip_gap(rest)


def test_the_scales_fit_together_and_concern_one_unit() -> None:
    for value in (0.0, 1.0, 2.5, 4.0, 5.0):
        aus = intensities(value)
        told, beyond = au_scale.told(aus), au_scale.beyond(aus)
        assert np.allclose(told[:, LIPS] + beyond, au_scale.LIPS_REACH * value) and told.max() <= 5
        others = np.delete(np.arange(AU_COUNT), LIPS)
        assert (told[:, others] == 1.5).all() and (au_scale.as_keyed(told)[:, others] == 1.5).all()
        if not beyond.any():
            assert np.allclose(au_scale.as_keyed(told), aus)
    assert au_scale.beyond(intensities(1.0)[0]).shape == ()  # one row too


def test_apart_lips_part_further_and_shut_ones_stay_shut() -> None:
    field = reference_face().fields[LIPS, :, :2]
    motion = np.stack([0 * field, 0.5 * field, field, 2 * field])
    amount = np.full(4, 5.0, np.float32)
    before, after = gaps(motion), gaps(parted_further(motion, amount))
    assert after[0] == pytest.approx(before[0], abs=1e-4)  # shut
    assert before[1] < after[1] < before[1] + 0.3 * before[2]
    assert np.allclose(after[2:], before[2:] + before[2], atol=1e-3)
    assert parted_further(motion, 0 * amount) is motion


def test_keyed_lips_in_silence_and_what_is_read_back() -> None:
    shipped, found = MotionGenerator.load(), []
    for value in range(6):
        values, keyed = np.zeros((30, AU_COUNT), np.float32), np.zeros((30, AU_COUNT), bool)
        values[:, LIPS], keyed[:, LIPS] = value, True
        motion, shown = shipped.generate(np.zeros(0, np.float32), 30, Fraction(25), values, keyed, 0, MotionSettings(blinks=False))
        assert (shown[:, LIPS] == value).all()
        found.append(float(gaps(motion)[10:20].mean()))
    steps = np.diff(found)
    assert steps.min() > 0.6 * steps.max() and found[5] > 0.095  # of the eyes' distance: all of a lip's way, evenly
    free = np.zeros((75, AU_COUNT), bool)
    noise = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    _, shown = shipped.generate(noise, 75, Fraction(25), np.zeros((75, AU_COUNT), np.float32), free, 0, MotionSettings())
    assert shown[:, LIPS].max() <= 5 / au_scale.LIPS_REACH
