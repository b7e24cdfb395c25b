# SPDX-License-Identifier: GPL-3.0-or-later
"""The evaluation's table, its AU matrix, transformed voices and Rhubarb's shapes, on inputs whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from motion_faces import babble
from test_measures import clip, level

from backend.evaluation import motion_rhubarb as rhubarb
from backend.evaluation.motion_aus import score
from backend.evaluation.motion_keys import is_monotone
from backend.evaluation.motion_measures import OWN_MEASURE, known_response
from backend.evaluation.motion_others import other_voice, speaker_folders
from backend.evaluation.motion_table import Figure, print_table, tally
from backend.evaluation.motion_voices import TRANSFORMS, by_phone, in_noise
from backend.motion.face import reference_face
from backend.speech.features import band_energy, log_mel
from bridge.facs import AU_INDEX, AU_KEYS
from bridge.landmarks import REGIONS

pytestmark = pytest.mark.unit


def obeyed(key: str, leak: str | None = None, share: float = 0.0, frames: int = 5) -> np.ndarray:
    """(6, frames, 162, 2): the AU at 0..5 as actors show it, with a share of another AU leaking in."""
    face = reference_face()
    one = face.fields[AU_INDEX[key], :, :2]
    if leak:
        one = one + share * face.fields[AU_INDEX[leak], :, :2]
    steps = np.arange(6)[:, None, None, None] / 5 * one
    return (face.neutral[:, :2] + np.repeat(steps, frames, axis=1)).astype(np.float32)


@pytest.mark.parametrize("key", AU_KEYS)
def test_an_obedient_generator_has_no_cross_talk(key):
    result = score(obeyed(key), key)
    assert result.spearman == pytest.approx(1.0) and result.share == pytest.approx(1.0, abs=0.01)
    assert result.most_others < 0.02 and result.passes


@pytest.mark.parametrize(("key", "leak"), [("AU12", "AU02"), ("AU04", "AU26"), ("AU26", "AU01"), ("AU45", "AU12")])
def test_a_leak_into_another_unit_is_found_and_named(key, leak):
    result = score(obeyed(key, leak, 0.4), key)
    assert result.most_others > 0.25
    assert result.others[AU_INDEX[leak]] == pytest.approx(0.4, abs=0.12)


def test_a_chin_that_falls_short_is_a_weak_response_and_no_leak_into_the_lips():
    points = obeyed("AU26")
    rest = reference_face().neutral[:, :2]
    jaw = list(REGIONS["face_oval"])
    points[:, :, jaw] = rest[jaw] + 0.77 * (points[:, :, jaw] - rest[jaw])
    result = score(points, "AU26")
    assert result.share == pytest.approx(0.77, abs=0.01)
    assert result.others[AU_INDEX["AU25"]] < 0.6, "the lips part no further than faces do"


def test_deaf_and_reversed_keys_score_nothing():
    still = np.repeat(obeyed("AU12")[:1], 6, axis=0)
    assert score(still, "AU12").spearman == 0 and score(still, "AU12").response == pytest.approx(0)
    assert score(obeyed("AU12")[::-1], "AU12").spearman == pytest.approx(-1) and not score(obeyed("AU12")[::-1], "AU12").passes


def test_every_measure_goes_its_own_way_on_actors():
    assert (np.diag(known_response()) > 0.015).all() and tuple(OWN_MEASURE) == AU_KEYS


def test_verdicts_of_figures():
    assert Figure("g", "a", 0.9, 0.85, 0.94).verdict == "floor met"
    assert Figure("g", "a", 0.95, 0.85, 0.94).verdict == "aim met"
    assert Figure("g", "a", 0.5, 0.85, 0.94).verdict == "MISSED"
    assert Figure("g", "a", None, 0.85, 0.94).verdict == "missing"
    assert Figure("g", "a", 0.2, 0.25, 0.1, "at most").verdict == "floor met"
    assert Figure("g", "a", 1.05, (0.7, 1.5), (0.9, 1.1), "within").verdict == "aim met"
    assert Figure("g", "a", 1.6, (0.7, 1.5), (0.9, 1.1), "within").verdict == "MISSED"
    assert Figure("g", "a", 0.5).verdict == ""


def test_the_table_says_every_limit_and_counts(capsys):
    rows = [
        Figure("Voice", "gap r", 0.88, 0.85, 0.94, note="beside .80"),
        Figure("Voice", "error", 0.7, 0.68, 0.55, "at most", percent=True),
    ]
    rows.append(Figure("Other", "speakers", None, 0.65, 0.85))
    print_table(rows)
    text = capsys.readouterr().out
    assert "0.88       0.85       0.94  floor met  (beside .80)" in text and "70.0 %" in text and "MISSED" in text and "missing" in text
    assert tally(rows) == {"floors": 2, "floors_met": 1, "aims": 2, "aims_met": 0, "missing": 1}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transformed_voices_stay_in_step(name):
    samples = babble(3.0)
    changed = TRANSFORMS[name](samples)
    assert changed.dtype == np.float32 and len(changed) == len(samples) and not np.allclose(changed, samples, atol=1e-3)
    before, after = band_energy(log_mel(samples)), band_energy(log_mel(changed))
    shifts = range(-8, 9)
    best = max(shifts, key=lambda shift: np.corrcoef(before[10:-10], np.roll(after, -shift)[10:-10])[0, 1])
    assert abs(best) <= 2, "more than 20 ms off"


def test_noise_and_telephone_do_what_they_say():
    samples = babble(3.0)
    noise = in_noise(samples, 10.0) - samples
    assert 10 * np.log10(np.mean(samples**2) / np.mean(noise**2)) == pytest.approx(10, abs=0.2)
    high = np.abs(np.fft.rfft(by_phone(samples)))[np.fft.rfftfreq(len(samples), 1 / 16000) > 4300]
    assert high.max() < 0.05 * np.abs(np.fft.rfft(samples)).max()


def test_other_voices_are_heard_through_the_other_clip():
    clips = [clip(level(seed)) for seed in range(5)]
    loud = [replace(one, log_power=one.log_power + index) for index, one in enumerate(clips)]
    heard: list[float] = []

    def predict(face, voice):
        heard.append(float(voice.log_power[0, 0]))
        return face.motion

    row = other_voice(predict, clips, loud)
    assert row.gap_r == pytest.approx(1.0) and row.clips == 5 and heard == [0, 1, 2, 3, 4, 1, 2, 3, 4, 0]


def test_folders_of_speakers_are_found(tmp_path):
    assert speaker_folders([tmp_path / "none"]) == []
    for name in ("s2", "s3"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "a.npz", aus=np.zeros((1, 18)))
    assert speaker_folders([tmp_path]) == [tmp_path / "s2", tmp_path / "s3"]


def test_rhubarb_shapes_become_motion_learnt_from_the_other_clips(monkeypatch, tmp_path):
    clips = [clip(np.repeat([0.0, 0.5], 40)) for _ in range(3)]
    cues = [[(0.0, 1.6, "A"), (1.6, 3.2, "D")]] * 3
    monkeypatch.setattr(rhubarb, "mouth_cues", lambda place, voices: cues)
    monkeypatch.setattr(rhubarb, "clip_voice", lambda path: np.zeros(10, np.float32))
    predict = rhubarb.rhubarb_follower(Path("x"), clips)
    made = predict(clips[0], clips[1])
    np.testing.assert_allclose(made[10], clips[0].motion[10], atol=5e-3)
    np.testing.assert_allclose(made[60], clips[0].motion[60], atol=5e-3)


def test_rhubarb_is_looked_for_where_one_says(monkeypatch, tmp_path):
    monkeypatch.setenv(rhubarb.PLACE_VARIABLE, str(tmp_path / "none"))
    assert rhubarb.find_rhubarb() is None
    monkeypatch.setenv(rhubarb.PLACE_VARIABLE, str(tmp_path))
    assert rhubarb.find_rhubarb() == tmp_path


def test_guidance_must_grow():
    assert is_monotone({"AU12": [0.0, 0.1, 0.2]}) and not is_monotone({"AU12": [0.0, 0.1, 0.2], "AU04": [0.1, 0.1, 0.2]})
