# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped motion weights: every key does what it says, speaking and silent, and the lips follow a voice."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from motion_faces import babble, portrait

from backend.evaluation.motion_aus import FLOOR_DISPLACEMENT, FLOOR_LID_CLOSURE, OWN_MEASURE, REQUIRED, score, sweep
from backend.motion.config import AU_COUNT
from backend.motion.face import reference_face
from backend.motion.generate import MotionGenerator
from backend.motion.measures import lid_opening, lip_gap
from backend.motion.retarget import retarget
from backend.speech.load import load_voice
from bridge.facs import AU_INDEX
from bridge.shot import MotionSettings, Voice

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def shipped() -> MotionGenerator:
    return MotionGenerator.load()


def no_keys(frames: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((frames, AU_COUNT), np.float32), np.zeros((frames, AU_COUNT), bool)


@pytest.mark.parametrize("voice", ["speaking", "silent"])
@pytest.mark.parametrize("key", REQUIRED)
def test_a_key_at_four_moves_its_own_landmarks_the_right_way(shipped, key, voice):
    samples = babble(3.0) if voice == "speaking" else np.zeros(48000, np.float32)
    result = score(sweep(shipped, samples, key, 75), key)
    assert result.response >= (FLOOR_LID_CLOSURE if key == "AU45" else FLOOR_DISPLACEMENT), OWN_MEASURE[key][0]
    assert result.spearman > 0.95


@pytest.mark.parametrize("key", REQUIRED)
def test_the_floor_holds_in_the_pixels_of_a_portrait(shipped, key):
    face, frames = portrait(unit=150.0), 40
    tracks = []
    for intensity in (0.0, 4.0):
        values, keyed = no_keys(frames)
        values[:, AU_INDEX[key]], keyed[:, AU_INDEX[key]] = intensity, True
        motion, _ = shipped.generate(babble(1.6), frames, Fraction(25), values, keyed, 0, MotionSettings(blinks=False))
        head = np.tile(np.array([0, 0, 0, 0, 0, 1], np.float32), (frames, 1))
        settings = MotionSettings(idle_head=0.0)
        tracks.append(retarget(motion, face, head, np.ones((frames, 6), bool), settings, 0, babble(1.6), Fraction(25)) / 150.0)
    _, measure, sign = OWN_MEASURE[key]
    change = float((sign * (measure(tracks[1]) - measure(tracks[0]))).mean())
    if key == "AU45":
        assert change >= FLOOR_LID_CLOSURE * float(measure(tracks[0]).mean())
    else:
        assert change >= FLOOR_DISPLACEMENT


def test_silence_keeps_the_mouth_still(shipped):
    motion, _ = shipped.generate(np.zeros(32000, np.float32), 50, Fraction(25), *no_keys(50), 0, MotionSettings(blinks=False))
    gap = lip_gap(reference_face().neutral[:, :2] + motion)
    assert gap.max() < 0.05 and np.abs(motion[:, :40]).max() < 0.05


def test_free_blinks_are_made_and_can_be_switched_off(shipped):
    face = reference_face().neutral[:, :2]
    frames = 500
    with_blinks, aus = shipped.generate(np.zeros(0, np.float32), frames, Fraction(25), *no_keys(frames), 4, MotionSettings())
    without, _ = shipped.generate(np.zeros(0, np.float32), frames, Fraction(25), *no_keys(frames), 4, MotionSettings(blinks=False))
    open_lids = np.median(lid_opening(face + without))
    assert lid_opening(face + with_blinks).min() < 0.35 * open_lids
    assert lid_opening(face + without).min() > 0.7 * open_lids
    assert aus[:, AU_INDEX["AU45"]].max() > 4


def test_keyed_lids_are_left_alone_by_blinks(shipped):
    values, keyed = no_keys(500)
    keyed[:, AU_INDEX["AU45"]] = True
    motion, _ = shipped.generate(np.zeros(0, np.float32), 500, Fraction(25), values, keyed, 4, MotionSettings())
    lids = lid_opening(reference_face().neutral[:, :2] + motion)
    assert lids.min() > 0.7 * np.median(lids)


def test_lips_open_with_a_real_voice_and_differ_with_another(shipped, data_folder):
    def gap(name: str) -> np.ndarray:
        samples = load_voice([Voice(str(data_folder / "speech" / "lj" / name))], 4.0)
        motion, _ = shipped.generate(samples, 100, Fraction(25), *no_keys(100), 0, MotionSettings())
        return lip_gap(reference_face().neutral[:, :2] + motion)

    first, second = gap("LJ001-0001.flac"), gap("LJ001-0009.flac")
    assert np.percentile(first, 90) > 0.04 and np.percentile(first, 10) < 0.35 * np.percentile(first, 95)
    assert np.corrcoef(first, second)[0, 1] < 0.7
