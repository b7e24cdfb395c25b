# SPDX-License-Identifier: GPL-3.0-or-later
"""Other voices, rooms, music and telephones made from one recording."""

from __future__ import annotations

import numpy as np
import pytest
from motion_faces import babble

from backend.speech.features import BANDS, band_energy, log_mel
from backend.training.motion import augment

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return log_mel(babble(3.0))


def loud(power: np.ndarray) -> float:
    return float(np.percentile(band_energy(power), 95))


def test_a_longer_vocal_tract_moves_the_spectrum_down(voice):
    spoken = voice[band_energy(voice) > loud(voice) - 2]
    power = [(np.exp(rows) @ np.arange(BANDS) / np.exp(rows).sum(axis=1)).mean() for rows in (augment.warped(spoken, 0.8), spoken)]
    assert power[0] < power[1] - 1


def test_noise_and_music_fill_the_pauses_at_the_level_asked_for(voice):
    generator = np.random.default_rng(0)
    pauses = band_energy(voice) < loud(voice) - 6
    assert pauses.any()
    for made in (augment.noisy(voice, generator, 2.0), augment.over_music(voice, generator, 2.0)):
        assert made.shape == voice.shape and made.dtype == np.float32
        assert (made >= voice - 1e-3).all()
        assert band_energy(made)[pauses].mean() > band_energy(voice)[pauses].mean() + 2
        assert loud(made) < loud(voice) + 1.5


def test_music_has_notes_that_noise_has_not(voice):
    silence = np.full_like(voice, -20.0)
    silence[:20] = voice.max()
    music = augment.over_music(silence, np.random.default_rng(3), 1.0)[40:]
    peaks = music.max(axis=1) - np.median(music, axis=1)
    assert np.median(peaks) > 3


def test_a_telephone_has_no_highs(voice):
    made = augment.narrow_band(voice)
    assert (made[:, -10:] < -20).all() and (voice[:, -10:] > -20).any() and np.allclose(made[:, 30], voice[:, 30])


def test_a_room_fills_what_follows_a_sound(voice):
    made = augment.reverberated(voice, 0.5, -1.0)
    assert (made >= voice - 1e-4).all() and (made - voice)[band_energy(voice) < loud(voice) - 5].mean() > 0.2


def test_draws_differ_and_stay_finite(voice):
    generator = np.random.default_rng(0)
    drawn = [augment.augmented(voice, generator) for _ in range(40)]
    assert all(np.isfinite(rows).all() and rows.dtype == np.float32 for rows in drawn)
    assert len({float(rows.sum()) for rows in drawn}) > 35


def test_another_pitch_keeps_the_envelope(voice):
    made = augment.other_pitch(voice, 1.4, 1.0)
    kept = np.abs(augment.smoothed_bands(made, 5) - augment.smoothed_bands(voice, 5))[:, 10:60].mean()
    assert kept < 0.5 < np.abs(made - voice)[band_energy(voice) > loud(voice) - 2].mean()


def test_a_pressed_voice_keeps_its_loud_parts_and_lifts_the_soft_ones(voice):
    made = augment.pressed(voice, 0.75)
    assert loud(made) == pytest.approx(loud(voice), abs=0.6)
    assert np.percentile(band_energy(made), 10) > np.percentile(band_energy(voice), 10) + 1
