# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves in time: frame rates, blinks, idle head, the animator's knobs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.motion.blink import blink_curve, blink_times
from backend.motion.controls import LOWER, UPPER, apply_controls
from backend.motion.head import idle_head, posed_head
from backend.motion.measures import lid_opening, lip_gap
from backend.motion.resample import into_motion_rate, mask_into_motion_rate, motion_frame_count, out_of_motion_rate
from bridge.shot import MotionSettings

pytestmark = pytest.mark.unit
RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(48), Fraction(50), Fraction(60)]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("frames", [1, 2, 5, 121])
def test_a_slow_curve_survives_the_way_there_and_back(fps, frames):
    times = np.arange(frames) / float(fps)
    curve = np.sin(times * 2)[:, None].astype(np.float32)
    inside = into_motion_rate(curve, fps)
    assert len(inside) == motion_frame_count(frames, fps)
    np.testing.assert_allclose(out_of_motion_rate(inside, frames, fps), curve, atol=0.02)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.sampled_from(RATES))
def test_resampling_never_overshoots(values, fps):
    motion = np.array(values, np.float32)[:, None]
    frames = max(1, int((len(values) - 1) / 25 * float(fps)))
    out = out_of_motion_rate(motion, frames, fps)
    assert out.min() >= motion.min() - 1e-6 and out.max() <= motion.max() + 1e-6


def test_masks_stay_masks():
    mask = np.zeros((60, 2), bool)
    mask[30:, 0] = True
    inside = mask_into_motion_rate(mask, Fraction(60))
    assert inside.dtype == bool and inside[:12, 0].sum() == 0 and inside[13:, 0].all() and not inside[:, 1].any()


@pytest.mark.parametrize("seed", range(4))
def test_blinks_are_as_many_and_as_long_as_people_make(seed):
    times = blink_times(600.0, 17.0, seed)
    assert 15 <= len(times) / 10 <= 20
    assert (times[:, 1] >= 0.12).all() and (times[:, 1] <= 0.18).all()
    curve = blink_curve(600 * 25, 17.0, seed)
    assert 0 <= curve.min() and 4.0 < curve.max() <= 5.0
    runs = np.diff(np.flatnonzero(np.diff((curve > 0).astype(int)))[:20])
    assert runs[::2].max() <= 5


def test_blinks_keep_out_of_keyed_spans_and_do_not_move_when_the_shot_grows():
    keyed = np.zeros(1500, bool)
    keyed[200:900] = True
    curve = blink_curve(1500, 20.0, 3, keyed)
    assert curve[199:901].max() == 0 and curve[901:].max() > 0
    np.testing.assert_array_equal(blink_curve(1500, 20.0, 3)[:700], blink_curve(3000, 20.0, 3)[:700])
    assert blink_curve(500, 0.0, 1).max() == 0


class Loudness:
    """A voice's energy as a plain array."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.asarray(values, np.float32)

    def between(self, first: int, end: int) -> np.ndarray:
        return np.pad(self.values, (0, max(0, end - len(self.values))))[first:end]


def test_idle_head_is_quiet_seeded_and_starts_at_rest():
    energy = Loudness(np.abs(np.sin(np.arange(500) / 9)))
    first = idle_head(500, Fraction(25), energy, 1, 1.0)
    assert np.abs(first[0]).max() == 0 and 0.5 < np.abs(first[:, 0]).max() < 9
    np.testing.assert_array_equal(first, idle_head(500, Fraction(25), energy, 1, 1.0))
    assert np.abs(first - idle_head(500, Fraction(25), energy, 2, 1.0)).max() > 0.3
    assert not idle_head(500, Fraction(25), energy, 1, 0.0).any()
    still = idle_head(500, Fraction(25), Loudness(np.zeros(500)), 1, 1.0)
    assert still.std(axis=0)[0] < first.std(axis=0)[0]


def test_keyed_head_channels_are_followed_exactly():
    head = np.tile(np.array([0, 0, 0, 0, 0, 1], np.float32), (100, 1))
    keyed = np.zeros((100, 6), bool)
    head[40:60, 0], keyed[40:60, 0] = 12.0, True
    track = posed_head(head, keyed, Loudness(np.abs(np.sin(np.arange(100) / 5))), Fraction(25), 0, 1.0)
    np.testing.assert_array_equal(track[40:60, 0], 12.0)
    assert np.abs(track[:, 1]).max() > 0.05 and np.abs(np.diff(track[:38, 0])).max() < 1.0


def test_knobs():
    motion = np.random.default_rng(0).normal(0, 0.02, (50, 162, 2)).astype(np.float32)
    np.testing.assert_array_equal(apply_controls(motion, MotionSettings()), motion)
    stronger = apply_controls(motion, MotionSettings(lip_strength=2.0))
    np.testing.assert_allclose(stronger[:, LOWER], 2 * motion[:, LOWER])
    np.testing.assert_array_equal(stronger[:, UPPER], motion[:, UPPER])
    calm = apply_controls(motion, MotionSettings(upper_smoothing=1.0))
    assert np.abs(np.diff(calm[:, UPPER], axis=0)).mean() < 0.6 * np.abs(np.diff(motion[:, UPPER], axis=0)).mean()
    assert not apply_controls(motion, MotionSettings(mouth_only=True))[:, UPPER].any()


def test_offsets_open_lips_and_lids_by_what_they_say():
    from backend.motion.face import reference_face

    face = reference_face().neutral[:, :2]
    still = np.zeros((3, 162, 2), np.float32)
    lips = face + apply_controls(still, MotionSettings(lip_offset=0.05))
    lids = face + apply_controls(still, MotionSettings(lid_offset=0.03))
    assert lip_gap(lips)[0] - lip_gap(face) == pytest.approx(0.05, abs=0.006)
    assert lid_opening(lids)[0] - lid_opening(face) == pytest.approx(0.03, abs=0.006)
