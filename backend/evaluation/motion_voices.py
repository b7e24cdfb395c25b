# SPDX-License-Identifier: GPL-3.0-or-later
"""Voices that were never trained on, made of known ones: other pitch and vocal tract, noise, music, a telephone.

All functions take and give (n,) float32 mono at 16 kHz and keep sound and lips in step.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

FloatArray = NDArray[np.float32]

RATE = 16000
_PROGRESSION = ((45, 57, 60, 64), (41, 53, 57, 60), (48, 55, 60, 64), (43, 55, 59, 62))  # MIDI notes: Am F C G
_BEAT = 0.42  # seconds


def pitched(samples: FloatArray, semitones: float) -> FloatArray:
    """Pitch and formants moved together, as by a shorter or longer vocal tract; the time stays (FFmpeg's atempo, a WSOLA)."""
    import av
    from av.filter import Graph

    factor = 2.0 ** (semitones / 12.0)
    graph = Graph()
    source = graph.add_abuffer(sample_rate=RATE, format="flt", layout="mono", time_base=Fraction(1, RATE))
    chain = [source, graph.add("asetrate", str(round(RATE * factor))), graph.add("atempo", f"{1 / factor:.6f}")]
    chain += [graph.add("aresample", str(RATE)), graph.add("abuffersink")]
    for first, second in zip(chain[:-1], chain[1:], strict=True):
        first.link_to(second)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.pts = RATE, 0
    pieces: list[FloatArray] = []
    for pushed in (frame, None):
        source.push(pushed)
        pieces += _drained(chain[-1])
    return _as_long(np.concatenate(pieces) if pieces else np.zeros(0, np.float32), len(samples))


def in_noise(samples: FloatArray, decibels: float = 10.0, seed: int = 0) -> FloatArray:
    """Pink noise ``decibels`` under the speech."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    spectrum = np.fft.rfft(noise)
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(len(noise), 1 / RATE), 20.0))
    return _mixed(samples, np.fft.irfft(spectrum, len(noise)), decibels)


def over_music(samples: FloatArray, decibels: float = 10.0, seed: int = 0) -> FloatArray:
    """Chords, a bass and a drum ``decibels`` under the speech."""
    random = np.random.default_rng(seed)
    times = np.arange(len(samples)) / RATE + random.uniform(0, 8)
    bar = (times / (4 * _BEAT)).astype(int) % len(_PROGRESSION)
    music = np.zeros(len(times))
    for index, chord in enumerate(_PROGRESSION):
        within = np.exp(-0.8 * (times % (2 * _BEAT)) / _BEAT)
        for note in chord:
            pitch = 440.0 * 2 ** ((note - 69) / 12)
            tone = sum(np.sin(2 * np.pi * pitch * harmonic * times) / harmonic**1.3 for harmonic in range(1, 7))
            music += np.where(bar == index, tone * within, 0.0)
    drum = random.standard_normal(len(times)) * np.exp(-(times % _BEAT) / 0.04)
    return _mixed(samples, music + 2.0 * drum, decibels)


def by_phone(samples: FloatArray) -> FloatArray:
    """A telephone: 300 to 3400 Hz, 8 kHz, eight-bit mu-law."""
    sections = butter(4, (300, 3400), "bandpass", fs=RATE, output="sos")
    forward = sosfilt(sections, samples)
    narrow = resample_poly(sosfilt(sections, forward[::-1])[::-1], 1, 2)  # both ways: no delay
    loud = max(float(np.abs(narrow).max()), 1e-6)
    code = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / loud) / np.log(256.0)
    code = np.round(code * 127) / 127
    decoded = np.sign(code) * (256.0 ** np.abs(code) - 1) / 255 * loud
    return _as_long(resample_poly(decoded, 2, 1), len(samples))


TRANSFORMS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "six semitones up": lambda samples: pitched(samples, 6.0),
    "six semitones down": lambda samples: pitched(samples, -6.0),
    "noise 10 dB under": in_noise,
    "music 10 dB under": over_music,
    "8 kHz telephone": by_phone,
}


def _drained(sink: object) -> list[FloatArray]:
    import av

    pieces = []
    while True:
        try:
            pieces.append(sink.pull().to_ndarray().reshape(-1))  # type: ignore[attr-defined]
        except (av.error.BlockingIOError, av.error.EOFError):
            return pieces


def _mixed(samples: FloatArray, other: NDArray[np.floating], decibels: float) -> FloatArray:
    speech = float(np.sqrt(np.mean(samples**2))) + 1e-9
    level = speech * 10 ** (-decibels / 20) / (float(np.sqrt(np.mean(other**2))) + 1e-9)
    return (samples + level * other).astype(np.float32)


def _as_long(samples: NDArray[np.floating], count: int) -> FloatArray:
    return np.pad(samples[:count], (0, max(0, count - len(samples)))).astype(np.float32)
