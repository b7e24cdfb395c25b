# SPDX-License-Identifier: GPL-3.0-or-later
"""The prediction's settings on the shipped weights: each does what its tooltip says, and keys still win."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from motion_faces import babble

from backend.motion.controls import LOWER, UPPER
from backend.motion.face import reference_face
from backend.motion.generate import MotionGenerator, MotionInput
from backend.motion.measures import lid_height, lid_opening, lip_gap
from backend.motion.retarget import idle_amount
from backend.speech.features import log_mel, normalised_rows
from backend.speech.load import load_voice
from backend.speech.rows import ArrayRows
from bridge.facs import AU_INDEX, AU_KEYS
from bridge.landmarks import MOUTH_CORNER_LEFT, MOUTH_CORNER_RIGHT, REGIONS
from bridge.shot import MotionSettings, Voice

pytestmark = pytest.mark.unit
FACE = reference_face().neutral[:, :2]
SPEECH = normalised_rows(log_mel(babble(4.0)))
SILENCE = np.repeat(normalised_rows(log_mel(np.zeros(640, np.float32))), 100, axis=0)
CALM = {"blinks": False, "variation": 0.0}


@pytest.fixture(scope="module")
def shipped() -> MotionGenerator:
    return MotionGenerator.load()


def motion(generator, rows=SPEECH, keys=None, sides=None, fps=25, seed=0, frames=None, **knobs):
    """Motion (frames, 162, 2) and AUs of keys {AU: value}, asymmetries {AU: -1..1} and settings."""
    fps = Fraction(fps)
    frames = frames or int(len(rows) / 25 * fps)
    values, keyed, asymmetry = np.zeros((frames, 18), np.float32), np.zeros((frames, 18), bool), np.zeros((frames, 18), np.float32)
    for key, value in (keys or {}).items():
        values[:, AU_INDEX[key]], keyed[:, AU_INDEX[key]] = value, True
    for key, value in (sides or {}).items():
        asymmetry[:, AU_INDEX[key]] = value
    given = MotionInput(ArrayRows(rows), fps, values, keyed, seed, MotionSettings(**knobs), asymmetry if sides else None)
    pieces = list(generator.pieces(given, 0, frames))
    return np.concatenate([moved for _, moved, _ in pieces]), np.concatenate([aus for *_, aus in pieces])


def test_lip_strength_scales_the_voice_and_leaves_keys(shipped):
    plain = {strength: motion(shipped, lip_strength=strength, **CALM)[0] for strength in (0.0, 0.5, 1.0, 2.0)}
    gaps = {strength: np.ptp(lip_gap(FACE + moved)) for strength, moved in plain.items()}
    assert not plain[0.0][:, LOWER].any() and 0.35 < gaps[0.5] / gaps[1.0] < 0.7 and gaps[2.0] > 1.5 * gaps[1.0]
    np.testing.assert_array_equal(plain[2.0][:, UPPER], plain[1.0][:, UPPER])
    smile = motion(shipped, keys={"AU12": 4.0}, lip_strength=0.0, **CALM)[0]
    field = 0.8 * reference_face().fields[AU_INDEX["AU12"], :, :2]
    np.testing.assert_allclose(smile[50][LOWER], field[LOWER], atol=1e-4)


def test_au_strength_commands_from_nothing_to_double(shipped):
    def rise(strength: float) -> float:
        moved = motion(shipped, SILENCE, {"AU01": 2.5, "AU02": 2.5}, au_strength=strength, **CALM)[0]
        return -float(moved[50, list(REGIONS["brow_left"]), 1].mean())

    none, one, two = rise(0.0), rise(1.0), rise(2.0)
    assert abs(none) < 0.25 * one and two == pytest.approx(2 * one - none, rel=0.05)


def test_mouth_only_leaves_the_rest_to_keys(shipped):
    knobs = {"mouth_only": True, "blinks_per_minute": 60.0}
    moved, aus = motion(shipped, **knobs)
    assert not moved[:, UPPER].any() and np.ptp(lip_gap(FACE + moved)) > 0.02 and aus[:, AU_INDEX["AU45"]].max() == 0
    keyed = motion(shipped, keys={"AU01": 4.0, "AU45": 5.0}, **knobs)[0]
    assert keyed[50, list(REGIONS["brow_left"]), 1].mean() < -0.02 and lid_opening(FACE + keyed)[50] < 0.3 * lid_opening(FACE)
    assert idle_amount(MotionSettings(mouth_only=True)) == 0 and idle_amount(MotionSettings(idle_head=0.3)) == 0.3


@pytest.mark.parametrize("side", [1, -1])
def test_a_smile_and_a_wink_on_one_side(shipped, side):
    acts, rests = (MOUTH_CORNER_LEFT, MOUTH_CORNER_RIGHT) if side > 0 else (MOUTH_CORNER_RIGHT, MOUTH_CORNER_LEFT)
    still = motion(shipped, SILENCE, **CALM)[0][50]
    both = motion(shipped, SILENCE, {"AU12": 5.0}, **CALM)[0][50] - still
    one = motion(shipped, SILENCE, {"AU12": 5.0}, {"AU12": side}, **CALM)[0][50] - still
    np.testing.assert_allclose(one[acts], both[acts], atol=1e-5)
    assert np.linalg.norm(one[rests]) < 0.3 * np.linalg.norm(both[rests])
    eyes = FACE + motion(shipped, SILENCE, {"AU45": 5.0}, {"AU45": side}, **CALM)[0][50]
    shut, open_eye = ("left", "right") if side > 0 else ("right", "left")
    assert lid_height(eyes, shut) < 0.25 * lid_height(FACE, shut) and lid_height(eyes, open_eye) > 0.75 * lid_height(FACE, open_eye)
    half = motion(shipped, SILENCE, {"AU12": 5.0}, {"AU12": 0.5 * side}, **CALM)[0][50] - still
    np.testing.assert_allclose(half, (one + both) / 2, atol=1e-5)


def test_what_has_no_halves_knows_no_asymmetry(shipped):
    keys = {"AU26": 4.0, "AU17": 3.0}
    np.testing.assert_array_equal(
        motion(shipped, keys=keys, sides={"AU26": 1.0, "AU17": -1.0}, **CALM)[0], motion(shipped, keys=keys, **CALM)[0]
    )


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), 24, 25, 30, 60])
def test_blinks_are_as_people_make_them_at_every_rate(shipped, fps):
    rows = np.repeat(SILENCE, 30, axis=0)  # two minutes
    moved, aus = motion(shipped, rows, fps=fps, seed=3)
    lids = aus[:, AU_INDEX["AU45"]] > 0.02
    starts, ends = (np.flatnonzero(np.diff(lids.astype(int)) == sign) for sign in (1, -1))
    assert 12 <= len(starts) / 2 <= 23
    lengths = (ends[: len(starts)] - starts[: len(ends)]) / float(fps)
    assert 0.08 <= lengths.min() and lengths.max() <= 0.18 + 1.5 / float(fps)
    opening = lid_opening(FACE + moved) / lid_opening(FACE)
    deepest = [opening[start : end + 2].min() for start, end in zip(starts, ends, strict=False)]
    assert np.median(deepest) < 0.35


def test_the_rate_of_blinks_and_none(shipped):
    rows = np.repeat(SILENCE, 30, axis=0)
    count = [np.sum(np.diff((motion(shipped, rows, blinks_per_minute=rate)[1][:, -1] > 2).astype(int)) == 1) / 2 for rate in (8.0, 30.0)]
    assert 5 <= count[0] <= 11 and 24 <= count[1] <= 36 and AU_KEYS[-1] == "AU45"
    assert motion(shipped, rows, blinks=False)[1][:, -1].max() == 0


def test_another_take_is_another_motion_with_the_same_words(shipped, data_folder):
    rows = normalised_rows(log_mel(load_voice([Voice(str(data_folder / "speech" / "lj" / "LJ001-0009.flac"))], 6.0)))
    takes = [motion(shipped, rows, seed=seed)[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(takes[0], takes[1])
    assert np.abs(takes[0] - takes[2]).max() > 0.005
    assert np.corrcoef(lip_gap(FACE + takes[0]), lip_gap(FACE + takes[2]))[0, 1] > 0.9


@pytest.mark.parametrize("fps", [24, 50])
def test_free_aus_are_read_from_the_voice_at_the_scenes_rate(shipped, data_folder, fps):
    rows = normalised_rows(log_mel(load_voice([Voice(str(data_folder / "speech" / "lj" / "LJ001-0009.flac"))], 6.0)))
    moved, aus = motion(shipped, rows, {"AU04": 1.7}, fps=fps)
    assert aus.shape == (6 * fps, 18) and aus.min() >= 0 and aus.max() <= 5
    np.testing.assert_array_equal(aus[:, AU_INDEX["AU04"]], np.float32(1.7))
    opening = aus[:, AU_INDEX["AU25"]] + aus[:, AU_INDEX["AU26"]]
    assert np.corrcoef(opening, lip_gap(FACE + moved))[0, 1] > 0.5
    assert motion(shipped, SILENCE, fps=fps)[1][:, [AU_INDEX["AU25"], AU_INDEX["AU26"]]].mean() < 0.5 * opening.mean()


def test_smoothing_is_of_its_half_of_the_face(shipped):
    def jerk(moved: np.ndarray, points: list[int]) -> float:
        return float(np.abs(np.diff(moved[:, points], 2, axis=0)).mean())

    plain, lower = motion(shipped, **CALM)[0], motion(shipped, lower_smoothing=0.5, **CALM)[0]
    assert jerk(lower, LOWER) < 0.5 * jerk(plain, LOWER)
    np.testing.assert_array_equal(lower[:, UPPER], plain[:, UPPER])
    upper = motion(shipped, upper_smoothing=0.5, **CALM)[0]
    np.testing.assert_array_equal(upper[:, LOWER], plain[:, LOWER])
    assert jerk(upper, UPPER) < jerk(plain, UPPER)
