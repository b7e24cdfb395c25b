# SPDX-License-Identifier: GPL-3.0-or-later
"""Voices of any length in a stream: the same sound, the same features, whatever the blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from backend_samples import write_wav
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.speech import features, load, shot_voice
from backend.speech.extractor import LogMel
from backend.speech.rows import ArrayRows, Energy, FileRows
from bridge.shot import Voice

pytestmark = pytest.mark.unit


def noise(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    loud = np.abs(np.sin(np.arange(int(seconds * rate)) / rate * 3)) * 0.2
    return (random.standard_normal(len(loud)) * loud).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([8000, 11025, 22050, 44100, 48000]), st.integers(1, 90_000), st.lists(st.integers(0, 30_000), max_size=6))
def test_resampling_in_blocks_equals_the_whole(rate, count, cuts):
    sound = np.random.default_rng(1).standard_normal((count, 1)).astype(np.float32)
    blocks = np.split(sound, sorted(min(cut, count) for cut in cuts))
    made = np.concatenate(list(load.resampled_blocks(blocks, rate, 16000)))
    np.testing.assert_allclose(made, load.resampled(sound, rate, 16000), atol=1e-5)


def test_long_sounds_are_resampled_in_blocks():
    sound = np.random.default_rng(1).standard_normal((44100 * 25, 1)).astype(np.float32)
    made = list(load.resampled_blocks([sound], 44100, 16000))
    assert len(made) > 1
    np.testing.assert_allclose(np.concatenate(made), load.resampled(sound, 44100, 16000), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40_000), st.lists(st.integers(0, 40_000), max_size=6))
def test_features_in_blocks_equal_the_whole(count, cuts):
    voice = np.random.default_rng(count).standard_normal(count).astype(np.float32) * 0.1
    blocks = np.split(voice, sorted(min(cut, count) for cut in cuts))
    made = np.concatenate(list(features.log_mel_stream(blocks)))
    np.testing.assert_allclose(made, features.log_mel(voice), atol=1e-4)
    assert len(made) == 4 * max(1, -(-count // 640))


def test_blocks_of_a_shot_are_its_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_BLOCK", 7000)
    first = write_wav(tmp_path / "a.wav", noise(3.0, 22050), 22050)
    second = write_wav(tmp_path / "b.wav", noise(2.0, 48000, 1), 48000)
    pieces = [Voice(str(first), offset=0.7, trim_start=0.3), Voice(str(second), offset=-0.4), Voice(str(first), offset=2.9, duration=0.9)]
    whole = load.load_voice(pieces, 5.1)
    blocks = list(load.voice_blocks(pieces, 5.1))
    assert [len(block) for block in blocks[:-1]] == [7000] * (len(blocks) - 1)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
    assert np.abs(whole).max() > 0.1 and not list(load.voice_blocks(pieces, 0.0))


@pytest.mark.parametrize("in_memory", [3000, 0])
def test_rows_of_a_shot_are_the_features_of_its_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shot_voice, "_IN_MEMORY", in_memory)
    monkeypatch.setattr(load, "_BLOCK", 9999)
    shot_voice.forget_voices()
    pieces = [Voice(str(write_wav(tmp_path / "a.wav", noise(4.0, 16000), 16000)))]
    rows = shot_voice.shot_rows(pieces, 5.0, LogMel())
    assert isinstance(rows, ArrayRows if in_memory else FileRows) and len(rows) == 125
    wanted = features.normalised_rows(features.log_mel(load.load_voice(pieces, 5.0)))
    np.testing.assert_allclose(rows.rows(0, 125), wanted, atol=1e-4)
    np.testing.assert_array_equal(rows.rows(40, 60), rows.rows(0, 125)[40:60])
    kept = list((tmp_path / "home").rglob("*.npy"))
    assert len(kept) == 1 and not list((tmp_path / "home").rglob("*.partial*"))
    monkeypatch.setattr(load.decode, "blocks", lambda *_: pytest.fail("read twice"))
    again = shot_voice.shot_rows(pieces, 5.0, LogMel())
    np.testing.assert_array_equal(again.rows(0, 125), rows.rows(0, 125))


def test_a_damaged_file_is_made_again_and_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    shot_voice.forget_voices()
    pieces = [Voice(str(write_wav(tmp_path / "a.wav", noise(2.0, 16000), 16000)))]
    first = shot_voice.shot_rows(pieces, 2.0, LogMel()).rows(0, 50)
    next((tmp_path / "home").rglob("*.npy")).write_bytes(b"\x93NUMPY no array")
    shot_voice.forget_voices()
    np.testing.assert_array_equal(shot_voice.shot_rows(pieces, 2.0, LogMel()).rows(0, 50), first)
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "a.wav"))  # a file where the folder should be
    np.testing.assert_allclose(shot_voice.shot_rows(pieces, 2.0, LogMel()).rows(0, 50), first, atol=1e-5)


def test_a_cancelled_reading_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    pieces = [Voice(str(write_wav(tmp_path / "a.wav", noise(2.0, 16000), 16000)))]

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shot_voice.shot_rows(pieces, 2.0, LogMel(), stop)
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def test_the_cache_is_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shot_voice, "_LARGEST_CACHE", 150_000)
    for seed in range(4):
        shot_voice.shot_rows([Voice(str(write_wav(tmp_path / f"{seed}.wav", noise(2.0, 16000, seed), 16000)))], 2.0, LogMel())
    sizes = [path.stat().st_size for path in (tmp_path / "home").rglob("*.npy")]
    assert 0 < sum(sizes[1:]) <= 150_000 and len(sizes) < 4


def test_a_line_in_a_long_quiet_shot_has_the_level_that_it_has_alone():
    line = noise(3.0, 16000)
    alone = features.normalised_rows(features.log_mel(line))
    hiss = np.random.default_rng(0).standard_normal(90 * 16000).astype(np.float32) * 1e-4
    for quiet in (np.zeros_like(hiss), hiss):
        quiet = quiet.copy()
        quiet[50 * 16000 : 50 * 16000 + len(line)] += line
        inside = features.normalised_rows(features.log_mel(quiet))[1250:1325]
        assert np.abs(inside - alone)[:, 80::81].mean() < 0.25
    click = np.zeros(30 * 16000, np.float32)
    click[1000:1100] = 0.9
    click[: len(line)] += line
    assert (
        abs(
            features.voice_level(features.band_energy(features.log_mel(click)))
            - features.voice_level(features.band_energy(features.log_mel(line)))
        )
        < 0.3
    )


def test_loudness_is_zero_where_no_voice_lies():
    rows = features.normalised_rows(features.log_mel(noise(1.0, 16000)))
    energy = Energy(ArrayRows(rows))
    around = energy.between(-5, 40)
    assert not around[:5].any() and not around[30:].any()
    np.testing.assert_array_equal(around[5:30], features.energy_of_rows(rows))
