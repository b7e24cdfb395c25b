# SPDX-License-Identifier: GPL-3.0-or-later
"""The evaluation's own measures, on curves whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.evaluation import motion_voice as measure
from backend.evaluation.motion_phones import Phone, words_of
from backend.motion.face import reference_face
from backend.speech.features import BANDS
from backend.training.motion.commands import BLINK, acted_aus, keyed_mask, span_fade
from backend.training.motion.dataset import Clip, closed_frames
from bridge.facs import AU_INDEX

pytestmark = pytest.mark.unit
JAW = reference_face().fields[AU_INDEX["AU26"], :, :2]


def clip(level: np.ndarray) -> Clip:
    neutral, ones = reference_face().neutral[:, :2], np.ones((162, 2), np.float32)
    motion = (level[:, None, None] * JAW).astype(np.float32)
    power = np.zeros((4 * len(level), BANDS), np.float32)
    return Clip(Path("x.npz"), power, motion, np.zeros((len(level), 18), np.float32), True, closed_frames(neutral, motion), neutral, ones)


def level(seed: int, frames: int = 80) -> np.ndarray:
    return np.clip(np.convolve(np.random.default_rng(seed).normal(0, 1, frames), np.hanning(7), "same"), 0, 2) / 4


def test_a_perfect_predictor_scores_one_and_the_mean_face_nothing():
    clips = [clip(level(seed)) for seed in range(6)]
    mean = measure.mean_motion(clips)
    perfect = measure.scores(lambda right, heard: heard.motion, clips, [[] for _ in clips], mean)
    assert perfect.gap_r == pytest.approx(1.0) and perfect.lip_error_share == pytest.approx(0.0)
    assert perfect.best_lag == 0 and perfect.second_difference == pytest.approx(1.0) and perfect.voice_share > 0.5
    still = measure.scores(lambda right, heard: np.broadcast_to(mean, right.motion.shape), clips, [[] for _ in clips], mean)
    assert still.gap_r == pytest.approx(0.0, abs=1e-6) and still.lip_error_share == pytest.approx(1.0)
    assert still.second_difference == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_lag_is_found_with_its_sign(late):
    clips = [clip(level(seed)) for seed in range(5)]
    scored = measure.scores(
        lambda right, heard: np.roll(heard.motion, late, axis=0), clips, [[] for _ in clips], measure.mean_motion(clips)
    )
    assert scored.best_lag == late


def test_closures_count_bilabials_and_other_phones():
    gap = np.full(50, 1.0)
    gap[[10, 40]] = 0.0
    points = reference_face().neutral[:, :2] + gap[:, None, None] * JAW
    phones = [Phone("B", 0.40, 0.44), Phone("P", 1.0, 1.04), Phone("AA", 1.56, 1.68), Phone("SIL", 0.0, 0.4)]
    lips, others = measure.closures(points, points, phones)
    assert lips == [True, False] and others == [False, True, False]


def test_the_clock_baseline_hears_nothing():
    clips = [clip(level(seed)) for seed in range(4)]
    clock = measure.deaf_clock(clips)
    np.testing.assert_array_equal(clock(clips[0], clips[1]), clock(clips[0], clips[2]))
    np.testing.assert_allclose(clock(clips[0], clips[0])[5], np.mean([c.motion[5] for c in clips], axis=0), atol=1e-6)


def test_grid_words_are_read(tmp_path):
    (tmp_path / "a.align").write_text("0 100 sil\n100 200 bin\n200 300 Blue\n300 400 sp\n")
    assert words_of(tmp_path / "a.align") == ["bin", "blue"]
    assert words_of(tmp_path / "none.align") == []


def test_masks_cover_every_kind_of_command():
    generator = np.random.default_rng(0)
    masks = [keyed_mask(40, generator) for _ in range(400)]
    others = [index for index in range(18) if index != BLINK]
    share_free = np.mean([not mask[:, others].any() for mask in masks])
    share_all = np.mean([mask[:, others].all() for mask in masks])
    assert 0.12 < share_free < 0.3 and 0.15 < share_all < 0.35
    assert any((mask[:, others].any(axis=0) & ~mask[:, others].all(axis=0)).any() for mask in masks)
    for mask in masks[:50]:
        fade = span_fade(mask)
        assert fade.max() <= 1 and not fade[~mask].any()
    curves = np.concatenate([acted_aus(40, generator) for _ in range(400)])
    assert 0 <= curves.min() and curves.max() <= 5 and (curves.max(axis=0) > 2).all()
