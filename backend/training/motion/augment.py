# SPDX-License-Identifier: GPL-3.0-or-later
"""Other voices, microphones and rooms from one recording: augmentation of log-mel power, cheap enough for every draw.

All functions take and give natural-log mel power, (columns, 80) float32 at 100 Hz.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from backend.speech.features import BANDS, COLUMN_RATE, SAMPLE_RATE, band_energy, mel_filters

FloatArray = NDArray[np.float32]


def augmented(log_power: FloatArray, generator: np.random.Generator) -> FloatArray:
    """A random other voice in another room, recorded by another microphone."""
    voice = log_power
    if generator.random() < 0.6:
        voice = warped(voice, generator.uniform(0.8, 1.28))
    if generator.random() < 0.3:
        voice = smoothed_bands(voice, int(generator.integers(1, 4)))
    if generator.random() < 0.6:
        voice = voice + colour(generator, 0.8)
    if generator.random() < 0.3:
        voice = reverberated(voice, generator.uniform(0.1, 0.6), generator.uniform(-3.0, -0.7))
    if generator.random() < 0.4:
        voice = noisy(voice, generator, generator.uniform(0.5, 8.0))
    if generator.random() < 0.12:
        voice = narrow_band(voice)
    return voice.astype(np.float32)


def warped(log_power: FloatArray, factor: float) -> FloatArray:
    """A longer or shorter vocal tract: all frequencies multiplied by ``factor`` (Jaitly and Hinton 2013)."""
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


def narrow_band(log_power: FloatArray) -> FloatArray:
    """A telephone: nothing above 4 kHz and little below 300 Hz."""
    centres = _centres()
    return log_power - np.where(centres > 3800, 12.0, np.where(centres < 280, 4.0, 0.0))


def _centres() -> NDArray[np.float64]:
    filters = mel_filters()
    bins = np.fft.rfftfreq(2 * (filters.shape[1] - 1), 1.0 / SAMPLE_RATE)
    return (filters @ bins) / np.maximum(filters.sum(axis=1), 1e-9)
