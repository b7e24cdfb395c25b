# SPDX-License-Identifier: GPL-3.0-or-later
"""Any window of a shot comes out as it does in the whole, and an edit changes nothing beyond its reach."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from motion_faces import babble, portrait

from backend.motion import generate
from backend.motion.blink import blink_curve
from backend.motion.config import AU_COUNT, TINY, MotionConfig
from backend.motion.generate import MotionGenerator, MotionInput
from backend.motion.head import posed_head
from backend.motion.model import MotionModel
from backend.motion.noise import latent_noise
from backend.motion.retarget import Retargeter
from backend.speech.features import log_mel, normalised_rows
from backend.speech.rows import ArrayRows, Energy
from bridge.facs import AU_INDEX
from bridge.shot import MotionSettings

pytestmark = pytest.mark.unit
RATES = [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 48, 50, 60, 12]
SECONDS = 14
VOICE = normalised_rows(log_mel(babble(SECONDS)))
PLAIN = MotionSettings()
SMOOTHED = MotionSettings(upper_smoothing=0.7, lower_smoothing=0.3, time_shift=0.13, lip_strength=1.4)


def lively_generator() -> MotionGenerator:
    """An untrained network whose motion is large, so that nothing is equal only because it is small."""
    torch.manual_seed(3)
    model = MotionModel(TINY)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim > 1 else 0.1)
        if name.startswith("motion_leave"):
            torch.nn.init.normal_(parameter, std=0.5)
    model.au_basis.normal_(std=0.03)
    return MotionGenerator(model.eval())


@pytest.fixture(scope="module")
def lively() -> MotionGenerator:
    return lively_generator()


def shot(fps, seed: int = 0, knobs: MotionSettings = PLAIN) -> MotionInput:
    fps = Fraction(fps)
    frames = int(SECONDS * fps)
    random = np.random.default_rng(5)
    values = np.repeat(random.uniform(0, 5, (frames // 5 + 1, AU_COUNT)), 5, axis=0)[:frames].astype(np.float32)
    keyed = np.repeat(random.random((frames // 30 + 1, AU_COUNT)) < 0.3, 30, axis=0)[:frames]
    sides = np.where(random.random((frames, AU_COUNT)) < 0.2, 0.6, 0).astype(np.float32)
    return MotionInput(ArrayRows(VOICE), fps, values, keyed, seed, knobs, sides)


def made(generator: MotionGenerator, given: MotionInput, first: int = 0, end: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    pieces = list(generator.pieces(given, first, given.frames if end is None else end))
    return np.concatenate([motion for _, motion, _ in pieces]), np.concatenate([aus for *_, aus in pieces])


@pytest.mark.parametrize("knobs", [MotionSettings(), SMOOTHED, MotionSettings(au_strength=1.6, mouth_only=True)])
@pytest.mark.parametrize("fps", RATES)
def test_windows_equal_the_whole(lively, fps, knobs):
    given = shot(fps, 1, knobs)
    motion, aus = made(lively, given)
    assert motion.std() > 0.02
    n = given.frames
    for first, end in ((0, 1), (0, n // 3), (n // 2, n // 2 + 1), (n // 3, n // 2), (n - 7, n), (n - 1, n)):
        part, shown = made(lively, given, first, end)
        np.testing.assert_allclose(part, motion[first:end], atol=1e-5)
        np.testing.assert_allclose(shown, aus[first:end], atol=1e-5)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(RATES), st.integers(0, 2**40), st.floats(0, 1), st.floats(0, 1))
def test_any_window_of_any_seed(lively, fps, seed, start, length):
    given = shot(fps, seed)
    first = int(start * (given.frames - 1))
    end = first + 1 + int(length * (given.frames - first - 1))
    motion, _ = made(lively, given)
    np.testing.assert_allclose(made(lively, given, first, end)[0], motion[first:end], atol=1e-5)


@pytest.mark.parametrize("fps", [12, 25, Fraction(30000, 1001), 60])
def test_pieces_of_a_long_shot_equal_the_whole(lively, fps, monkeypatch):
    given = shot(fps)
    whole, aus = made(lively, given)
    monkeypatch.setattr(generate, "_CHUNK", 61)
    lively.forget()
    motion, shown = made(lively, given)
    np.testing.assert_allclose(motion, whole, atol=1e-5)
    np.testing.assert_allclose(shown, aus, atol=1e-5)
    np.testing.assert_array_equal(made(lively, given)[0], motion)


@pytest.mark.parametrize("knobs", [MotionSettings(), SMOOTHED])
@pytest.mark.parametrize("fps", [24, 25, 60])
def test_an_edit_changes_its_reach_and_nothing_else(lively, fps, knobs):
    before = shot(fps, 2, knobs)
    rows = slice(before.frames // 2, before.frames // 2 + 5)
    values, keyed = before.au_values.copy(), before.au_keyed.copy()
    values[rows, AU_INDEX["AU12"]], keyed[rows, AU_INDEX["AU12"]] = 4.5, True
    keyed[rows, AU_INDEX["AU45"]] = ~keyed[rows, AU_INDEX["AU45"]]
    after = replace(before, au_values=values, au_keyed=keyed)
    first, end = lively.reached(after, rows.start, rows.stop)
    old, new = made(lively, before)[0], made(lively, after)[0]
    assert 0 < first and end < before.frames, "the shot is longer than the reach"
    np.testing.assert_allclose(np.delete(new, slice(first, end), axis=0), np.delete(old, slice(first, end), axis=0), atol=1e-6)
    assert np.abs(new - old)[rows].max() > 0.01
    patched = old.copy()
    patched[first:end] = made(lively, after, first, end)[0]
    np.testing.assert_allclose(patched, new, atol=1e-5)


def test_the_stated_receptive_field_is_no_smaller_than_the_true_one():
    for config in (TINY, MotionConfig()):
        torch.manual_seed(0)
        model = MotionModel(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        frames = 8 * (config.receptive_frames // 2)
        heard, aus = torch.randn(1, frames, config.features), torch.zeros(1, frames, AU_COUNT, requires_grad=True)
        keyed, noise = torch.ones(1, frames, AU_COUNT), torch.zeros(1, config.latent_width, frames // config.latent_stride)
        condition = model.with_aus(model.hear(heard), aus, keyed)
        model.decode(model.draw(condition, noise), condition, aus, keyed).motion[0, frames // 2].sum().backward()
        touched = np.flatnonzero(aus.grad[0].abs().sum(dim=1).numpy())
        assert frames // 2 - touched.min() <= config.receptive_frames and touched.max() - frames // 2 <= config.receptive_frames


def test_noise_belongs_to_its_place():
    whole = latent_noise(0, 500, 16, 7)
    np.testing.assert_array_equal(latent_noise(130, 321, 16, 7), whole[130:321])
    assert np.abs(latent_noise(0, 500, 16, 8) - whole).max() > 1 and abs(whole.std() - 1) < 0.05
    assert np.abs(np.corrcoef(whole[:64].ravel(), whole[64:128].ravel())[0, 1]) < 0.15


@pytest.mark.parametrize("seed", range(5))
def test_blinks_belong_to_their_place(seed):
    keyed = np.zeros(2000, bool)
    keyed[500:700] = keyed[1200:1210] = True
    whole = blink_curve(2000, 30.0, seed, keyed)
    assert whole.max() > 4
    for first in range(0, 1960, 37):
        np.testing.assert_array_equal(blink_curve(2000, 30.0, seed, keyed, (first, first + 37)), whole[first : first + 37])


@pytest.mark.parametrize("fps", RATES)
def test_head_and_landmarks_of_a_window(fps):
    fps = Fraction(fps)
    frames = int(SECONDS * fps)
    head = np.tile(np.array([0, 0, 0, 0, 0, 1], np.float32), (frames, 1))
    keyed = np.zeros((frames, 6), bool)
    keyed[frames // 2 : frames // 2 + 20, :2] = True
    head[keyed] = 9.0
    motion = np.random.default_rng(0).normal(0, 0.02, (frames, 162, 2)).astype(np.float32)
    energy, placed = Energy(ArrayRows(VOICE)), Retargeter(portrait((12.0, -5.0, 3.0)))
    pose = posed_head(head, keyed, energy, fps, 4, 1.0)
    whole = placed.landmarks(motion, pose)
    for first, end in ((0, 3), (frames // 3, frames // 2 + 5), (frames - 4, frames)):
        part = posed_head(head, keyed, energy, fps, 4, 1.0, (first, end))
        np.testing.assert_allclose(part, pose[first:end], atol=1e-5)
        np.testing.assert_allclose(placed.landmarks(motion[first:end], part), whole[first:end], rtol=1e-5)
