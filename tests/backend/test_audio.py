# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings: every format, every shape, and what is no recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from backend_samples import fault_of, tone_samples, write_wav

from backend.speech.load import is_silent, load_recording, load_voice, probe_audio
from bridge.shot import Voice

pytestmark = pytest.mark.unit


def onset(samples: np.ndarray, rate: int = 16000) -> float:
    """Seconds at which the tone begins."""
    return float(np.flatnonzero(np.abs(samples) > 0.05)[0]) / rate


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_formats_and_rates_keep_time_and_level(tmp_path: Path, suffix: str, rate: int) -> None:
    path = write_wav(tmp_path / f"voice.{suffix}", tone_samples(rate, 2.0), rate)
    info = probe_audio(path)
    assert info.sample_rate == rate and info.channels == 1 and info.duration == pytest.approx(2.0, abs=0.06)
    voice = load_voice([Voice(str(path))], 2.0)
    assert voice.shape == (32000,) and voice.dtype == np.float32
    assert onset(voice) == pytest.approx(1.0, abs=0.03)
    assert np.abs(voice).max() == pytest.approx(0.4, abs=0.06)


@pytest.mark.parametrize(("suffix", "codec"), [("m4a", "aac"), ("mka", "aac"), ("webm", "libopus"), ("mp4", "aac")])
def test_ffmpeg_formats(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"voice.{suffix}"
    encode(path, codec, tone_samples(48000, 2.0), 48000)
    voice = load_voice([Voice(str(path))], 2.0)
    assert onset(voice) == pytest.approx(1.0, abs=0.03)
    assert onset(load_voice([Voice(str(path), trim_start=0.8)], 1.0)) == pytest.approx(0.2, abs=0.03)


def encode(path: Path, codec: str, samples: np.ndarray, rate: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=rate, frame_size=stream.codec_context.frame_size or 960
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode())


def test_one_voice_among_eight_channels_keeps_its_level(tmp_path: Path) -> None:
    samples = np.zeros((8000 * 2, 8), np.float32)
    samples[:, 5] = tone_samples(8000, 2.0)
    path = write_wav(tmp_path / "eight.wav", samples, 8000)
    assert probe_audio(path).channels == 8
    assert np.abs(load_voice([Voice(str(path))], 2.0)).max() == pytest.approx(0.4, abs=0.05)
    assert load_recording([Voice(str(path))], 2.0).shape == (96000, 1)


def test_a_side_wired_the_wrong_way_round_does_not_cancel_the_voice(tmp_path: Path) -> None:
    mono = tone_samples(16000, 2.0)
    path = write_wav(tmp_path / "anti.wav", np.stack([mono, -mono], 1), 16000)
    assert np.abs(load_voice([Voice(str(path))], 2.0)).max() == pytest.approx(0.4, abs=0.05)


def test_stereo_stays_stereo_in_the_movie(tmp_path: Path) -> None:
    mono = tone_samples(44100, 2.0)
    path = write_wav(tmp_path / "stereo.wav", np.stack([mono, 0 * mono], 1), 44100)
    sound = load_recording([Voice(str(path))], 1.5)
    assert sound.shape == (72000, 2)
    assert np.abs(sound[:, 0]).max() > 0.35 and np.abs(sound[:, 1]).max() < 0.02


def test_not_a_number_becomes_silence(tmp_path: Path) -> None:
    samples = tone_samples(16000, 2.0)
    samples[100:200], samples[300] = np.nan, np.inf
    path = write_wav(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    voice = load_voice([Voice(str(path))], 2.0)
    assert np.isfinite(voice).all() and np.abs(voice).max() < 0.5


def test_pieces_lie_where_the_shot_says(tone: Path) -> None:
    whole = load_voice([Voice(str(tone))], 2.0)
    late = load_voice([Voice(str(tone), offset=0.5, trim_start=0.9, duration=0.4)], 2.0)
    assert onset(late) == pytest.approx(0.6, abs=0.005)
    assert not np.abs(late[round(0.92 * 16000) :]).any(), "the piece ends after .4 s"
    early = load_voice([Voice(str(tone), offset=-0.75)], 0.5)
    assert onset(early) == pytest.approx(0.25, abs=0.005)
    both = load_voice([Voice(str(tone)), Voice(str(tone))], 2.0)
    assert np.allclose(both, 2 * whole)
    assert np.allclose(load_voice([Voice(str(tone), gain=0.25)], 2.0), 0.25 * whole)
    for gain in (-1.0, float("nan")):
        assert fault_of(lambda gain=gain: load_voice([Voice(str(tone), gain=gain)], 2.0)).code == "shot-invalid"
    assert not load_voice([Voice(str(tone), offset=5.0)], 1.0).any()
    assert not load_voice([Voice(str(tone), trim_start=50.0)], 1.0).any()
    assert load_voice([], 1.0).shape == (16000,)


def test_a_window_of_a_long_recording_reads_only_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import soundfile

    path = tmp_path / "four_hours.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, subtype="PCM_U8") as file:
        minute = np.zeros(8000 * 60, np.float32)
        for _ in range(240):
            file.write(minute)
    read: list[int] = []
    original = soundfile.SoundFile.read

    def counting(self, frames: int = -1, *rest, **choices):  # type: ignore[no-untyped-def]
        read.append(frames)
        return original(self, frames, *rest, **choices)

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    assert probe_audio(path).duration == 4 * 3600
    load_voice([Voice(str(path), trim_start=13000.0)], 4.0)
    assert 4 * 8000 <= sum(read) < 5 * 8000


def test_silence_is_allowed_and_noticed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "silent.wav", np.zeros(16000, np.float32), 16000)
    assert is_silent(load_voice([Voice(str(path))], 1.0))
    assert not is_silent(tone_samples(16000, 1.0))


def test_what_is_no_recording(tmp_path: Path) -> None:
    text = tmp_path / "voice.wav"
    text.write_text("This is a letter, not a voice.")
    assert fault_of(lambda: probe_audio(text)).code == "audio-unreadable"
    assert "voice.wav" in fault_of(lambda: load_voice([Voice(str(text))], 1.0)).sentence
    assert fault_of(lambda: probe_audio(tmp_path / "gone.wav")).code == "audio-missing"
    assert fault_of(lambda: probe_audio(tmp_path)).code == "audio-unreadable"
    empty = tmp_path / "empty.mp3"
    empty.touch()
    assert fault_of(lambda: probe_audio(empty)).code == "audio-unreadable"
    no_samples = write_wav(tmp_path / "none.wav", np.zeros(0, np.float32), 16000)
    assert fault_of(lambda: probe_audio(no_samples)).code == "audio-empty"


def test_a_film_without_sound(tmp_path: Path) -> None:
    from fractions import Fraction

    from backend.video.write import write_movie

    path = tmp_path / "mute.mp4"
    write_movie(path, (np.zeros((64, 64, 3), np.uint8) for _ in range(3)), Fraction(25), 3, None)
    fault = fault_of(lambda: probe_audio(path))
    assert fault.code == "audio-unreadable" and "no sound" in fault.sentence


def test_a_broken_off_file_ends_where_it_breaks(tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "whole.flac", np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32), 16000)
    broken = tmp_path / "broken.flac"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    voice = load_voice([Voice(str(broken))], 2.0)
    assert voice.shape == (32000,) and np.abs(voice[:8000]).max() > 0.1 and not voice[28000:].any()
