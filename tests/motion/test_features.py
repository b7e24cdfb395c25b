# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice features: shape, gain, silence, time."""

from __future__ import annotations

import numpy as np
import pytest
from motion_faces import babble

from backend.speech import features

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("samples, rows", [(0, 1), (1, 1), (640, 1), (641, 2), (16000, 25), (47360, 74)])
def test_one_row_per_frame(samples, rows):
    assert features.normalised_rows(features.log_mel(np.zeros(samples, np.float32))).shape == (rows, features.FEATURES)


def test_gain_does_not_matter_and_silence_is_not_lifted():
    voice = babble(2.0)
    loud, quiet = (features.normalised_rows(features.log_mel(voice * gain)) for gain in (1.0, 0.3))
    assert np.abs(loud - quiet).mean() < 0.05
    hiss = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 1e-4
    assert features.energy_of_rows(features.normalised_rows(features.log_mel(hiss))).max() < 0.2
    assert features.energy_of_rows(loud).max() > 0.7


def test_a_sound_appears_in_its_own_frame():
    voice = np.zeros(16000, np.float32)
    voice[16 * 400 : 16 * 440] = 0.3 * np.sin(np.arange(640) * 0.3)
    energy = features.energy_of_rows(features.normalised_rows(features.log_mel(voice)))
    assert energy.argmax() == 10


def test_long_recordings_are_read_in_pieces(monkeypatch):
    voice = babble(3.0)
    whole = features.log_mel(voice)
    monkeypatch.setattr(features, "_CHUNK_COLUMNS", 37)
    np.testing.assert_allclose(features.log_mel(voice), whole, atol=1e-5)


def test_features_are_kept_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path))
    voice = babble(1.0)
    first = features.speech_features(voice)
    assert len(list(tmp_path.rglob("*.npy"))) == 1
    monkeypatch.setattr(features, "log_mel", lambda samples: pytest.fail("computed twice"))
    np.testing.assert_array_equal(features.speech_features(voice), first)


def test_a_damaged_cache_file_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path))
    voice = babble(1.0)
    first = features.speech_features(voice)
    next(tmp_path.rglob("*.npy")).write_bytes(b"no array")
    np.testing.assert_array_equal(features.speech_features(voice), first)
