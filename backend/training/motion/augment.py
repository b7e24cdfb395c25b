# SPDX-License-Identifier: GPL-3.0-or-later
"""Other voices, microphones and rooms from one recording: augmentation of log-mel power, cheap enough for every draw.

All functions take and give natural-log mel power, (columns, 80) float32 at 100 Hz.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from backend.speech.features import BANDS, COLUMN_RATE, SAMPLE_RATE, band_energy, mel_filters

FloatArray = NDArray[np.float32]


def augmented(log_power: FloatArray, generator: np.random.Generator) -> FloatArray:
    """A random other voice in another room, recorded by another microphone."""
    voice = log_power
    if generator.random() < 0.5:
        voice = other_pitch(voice, generator.uniform(0.6, 1.7), generator.uniform(0.3, 1.5))
    if generator.random() < 0.7:
        voice = warped(voice, bent(generator, generator.uniform(0.78, 1.3)))
    if generator.random() < 0.25:
        voice = smoothed_bands(voice, int(generator.integers(1, 4)))
    if generator.random() < 0.6:
        voice = voice + colour(generator, 0.9)
    if generator.random() < 0.3:
        voice = pressed(voice, generator.uniform(0.75, 1.25))
    if generator.random() < 0.3:
        voice = reverberated(voice, generator.uniform(0.1, 0.6), generator.uniform(-3.0, -0.7))
    if generator.random() < 0.4:
        voice = noisy(voice, generator, generator.uniform(0.5, 8.0))
    if generator.random() < 0.3:
        voice = over_music(voice, generator, generator.uniform(0.7, 5.0))
    if generator.random() < 0.18:
        voice = narrow_band(voice, generator.uniform(3200.0, 3900.0), generator.uniform(200.0, 330.0))
    if generator.random() < 0.25:
        voice = masked(voice, generator)
    return voice.astype(np.float32)


def varied(log_power: FloatArray, generator: np.random.Generator) -> FloatArray:
    """The same voice on another day: a slightly other throat and microphone, a little noise. Speech as it was recorded is seen so often
    that it would be learnt by heart otherwise."""
    voice = warped(log_power, bent(generator, generator.uniform(0.95, 1.05))) + colour(generator, 0.25)
    return noisy(voice, generator, generator.uniform(6.0, 12.0)).astype(np.float32)


def other_pitch(log_power: FloatArray, factor: float, depth: float) -> FloatArray:
    """The same mouth with a higher or lower voice: the fine structure over the bands, where the harmonics show, is moved by ``factor`` and
    made ``depth`` times as deep; the envelope with its formants stays."""
    envelope = smoothed_bands(log_power, 3)
    return envelope + np.float32(depth) * warped(log_power - envelope, factor)


def bent(generator: np.random.Generator, factor: float) -> NDArray[np.float64]:
    """Factors of ``warped`` for every band, (80,): another throat and another mouth, so formants do not all move alike."""
    knots = factor * np.exp(generator.normal(0.0, 0.06, 4))
    return np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 4), knots)


def pressed(log_power: FloatArray, ratio: float) -> FloatArray:
    """A voice with less (``ratio`` under 1) or more difference between loud and soft sounds, in every band about its loud level."""
    loud = np.percentile(log_power, 95, axis=0).astype(np.float32)
    return loud + np.float32(ratio) * (log_power - loud)


def warped(log_power: FloatArray, factor: float | NDArray[np.float64]) -> FloatArray:
    """A longer or shorter vocal tract: frequencies multiplied by ``factor`` (Jaitly and Hinton 2013), or each band's by its own (80,)."""
    centres = _centres()
    position = np.interp(centres / factor, centres, np.arange(BANDS))
    low = np.clip(np.floor(position).astype(int), 0, BANDS - 2)
    part = (position - low).astype(np.float32)
    return log_power[:, low] * (1 - part) + log_power[:, low + 1] * part


def smoothed_bands(log_power: FloatArray, reach: int) -> FloatArray:
    """Bands blurred over ``reach`` neighbours on either side: takes the pitch away, as in a whisper."""
    padded = np.pad(log_power, ((0, 0), (reach, reach)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1).mean(axis=2)


def colour(generator: np.random.Generator, size: float) -> FloatArray:
    """A random smooth frequency response, (80,), in nepers of power."""
    knots = generator.normal(0.0, size, 6).cumsum() * 0.6
    return np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 6), knots - knots.mean()).astype(np.float32)


def reverberated(log_power: FloatArray, seconds: float, level: float) -> FloatArray:
    """Power that decays by 60 dB within ``seconds`` added behind every sound, ``level`` nepers below it."""
    decay = float(np.exp(-np.log(1e6) / (seconds * COLUMN_RATE)))
    power = np.exp(log_power)
    tail = lfilter([0.0, 1.0 - decay], [1.0, -decay], power, axis=0)
    return np.log(power + np.exp(level) / 0.3 * tail)


def noisy(log_power: FloatArray, generator: np.random.Generator, distance: float) -> FloatArray:
    """Noise of a random colour, ``distance`` nepers of power below the loud parts; half the time it swells and fades."""
    loud = float(np.percentile(band_energy(log_power), 95))
    floor = colour(generator, 1.2) + loud - np.log(BANDS) - distance
    grain = generator.standard_normal(log_power.shape, np.float32) * np.float32(0.55)
    swell: FloatArray | float = 0.0
    if generator.random() < 0.5:
        knots = generator.normal(0.0, 1.0, len(log_power) // 25 + 2)
        swell = np.interp(np.arange(len(log_power)) / 25, np.arange(len(knots)), knots)[:, None].astype(np.float32)
    return np.log(np.exp(log_power) + np.exp((floor + grain + swell).astype(np.float32)))


def over_music(log_power: FloatArray, generator: np.random.Generator, distance: float) -> FloatArray:
    """Music under the voice, ``distance`` nepers of power below its loud parts: a few instruments whose notes or chords sound and die
    away, each with its overtones, and often a beat of noise."""
    columns = len(log_power)
    power = np.zeros((columns, BANDS), np.float32)
    for _ in range(int(generator.integers(1, 4))):
        start, base = 0, generator.uniform(80.0, 500.0)
        fade = generator.uniform(0.3, 4.0)  # seconds until a note has died away by one neper
        falling = generator.uniform(1.4, 3.0)
        voices = int(generator.integers(1, 5)) if generator.random() < 0.5 else 1
        while start < columns:
            end = min(columns, start + int(generator.integers(12, 90)))
            steps = _SCALE[generator.integers(len(_SCALE), size=voices)]
            chord = np.sum([_overtones(base * 2.0 ** (step / 12), falling) for step in steps], axis=0)
            power[start:end] += np.exp(-np.arange(end - start) / (fade * COLUMN_RATE))[:, None].astype(np.float32) * chord
            start = end
    if generator.random() < 0.5:
        beat = np.arange(columns) % int(generator.integers(25, 70))
        power += np.exp(-beat / generator.uniform(2.0, 8.0))[:, None] * np.exp(colour(generator, 1.0)) / BANDS
    level = float(np.percentile(band_energy(log_power), 95)) - distance
    loudness = float(np.percentile(power.sum(axis=1), 90))
    return np.log(np.exp(log_power) + power * np.float32(np.exp(level) / loudness)).astype(np.float32)


_SCALE = np.array((0, 2, 3, 4, 5, 7, 9, 12))  # semitones


def _overtones(note: float, falling: float) -> FloatArray:
    """Mel power of a tone of ``note`` hertz with overtones whose power falls with that power of their number, (80,), sum about 1."""
    centres = _centres()
    bands = np.interp(note * np.arange(1, 16), centres, np.arange(BANDS), right=BANDS)
    bands = bands[bands < BANDS - 1]
    low, strength = bands.astype(int), np.arange(1, len(bands) + 1) ** -falling
    power = np.bincount(np.concatenate([low, low + 1]), np.concatenate([(low + 1 - bands) * strength, (bands - low) * strength]), BANDS)
    return (power / max(float(power.sum()), 1e-9)).astype(np.float32)


def masked(log_power: FloatArray, generator: np.random.Generator) -> FloatArray:
    """A stretch of bands and a few short moments at the recording's own floor, so that no single cue is relied on (SpecAugment, Park et al.
    2019). Moments stay shorter than a phone, since lips must still be found."""
    voice = log_power.copy()
    floor = np.percentile(log_power, 5, axis=0).astype(np.float32)
    first, wide = int(generator.integers(BANDS)), int(generator.integers(3, 14))
    voice[:, first : first + wide] = floor[first : first + wide]
    for start in generator.integers(0, len(voice), int(generator.integers(0, 1 + len(voice) // 60))):
        voice[start : start + int(generator.integers(2, 6))] = floor
    return voice


def narrow_band(log_power: FloatArray, highest: float = 3400.0, lowest: float = 300.0) -> FloatArray:
    """A telephone: nothing above ``highest`` hertz and little below ``lowest``."""
    centres = _centres()
    kept = log_power - np.where(centres < lowest, np.minimum(6.0, (lowest - centres) / 25.0), 0.0)
    return np.asarray(np.where(centres > highest, np.log(1e-9), np.maximum(kept, np.log(1e-9))), np.float32)


@lru_cache(maxsize=1)
def _centres() -> NDArray[np.float64]:
    filters = mel_filters()
    bins = np.fft.rfftfreq(2 * (filters.shape[1] - 1), 1.0 / SAMPLE_RATE)
    return (filters @ bins) / np.maximum(filters.sum(axis=1), 1e-9)
