# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice features: 80 log-mel bands and the energy at 100 Hz, four columns to each row of 25 frames a second."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.paths import cache_dir

SAMPLE_RATE = 16000
FRAME_RATE = 25
COLUMNS_PER_FRAME = 4
COLUMN_RATE = FRAME_RATE * COLUMNS_PER_FRAME
BANDS = 80
FEATURES = COLUMNS_PER_FRAME * (BANDS + 1)

_HOP = SAMPLE_RATE // COLUMN_RATE
_WINDOW = 400
_TRANSFORM = 512
_POWER_FLOOR = 1e-9
# Rooms and recorders are never silent; a recording whose loud parts stay under this level (natural logarithm of the
# summed mel power) is taken for silence and is not lifted to the level of speech.
_QUIETEST_SPEECH = -6.0
# Breaths and closures lie far below the vowels: 15 nepers of power (65 dB) under the loud parts are kept.
_RANGE = 15.0
_UNIT = 4.5
_CACHE_FORMAT = 2
_CHUNK_COLUMNS = 6000


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural logarithm of mel power, (4 x frames, 80) float32.

    ``samples``: (n,) mono float at 16 kHz, -1..1. There are ceil(n / 640) frames; the last is padded with silence.
    Column k is centred on sample 160 k + 80.
    """
    frames = max(1, -(-len(samples) // (_HOP * COLUMNS_PER_FRAME)))
    columns = frames * COLUMNS_PER_FRAME
    lead = (_WINDOW - _HOP) // 2
    padded = np.zeros(columns * _HOP + _WINDOW, np.float32)
    padded[lead : lead + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:columns]
    result = np.empty((columns, BANDS), np.float32)
    for start in range(0, columns, _CHUNK_COLUMNS):  # bounded memory for recordings of half an hour
        piece = windows[start : start + _CHUNK_COLUMNS] * _hann()
        power = np.abs(np.fft.rfft(piece, _TRANSFORM)).astype(np.float32) ** 2
        result[start : start + _CHUNK_COLUMNS] = np.log(power @ mel_filters().T / _WINDOW + _POWER_FLOOR)
    return result


def normalised_rows(log_power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows for the model, (frames, FEATURES) float32, from ``log_mel``'s columns (4 x frames, 80).

    The level of the loud parts is brought to zero, so that gain does not matter; what lies 15 nepers of power
    below it is cut off. Values lie in about -2.3..1.2.
    """
    energy = band_energy(log_power)[:, None]
    level = max(float(np.percentile(energy, 95)), _QUIETEST_SPEECH)
    both = np.concatenate([log_power + 3.0, energy], axis=1) - level
    scaled = (np.maximum(both, -_RANGE) + _UNIT) / _UNIT
    return scaled.reshape(-1, FEATURES).astype(np.float32)


def band_energy(log_power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural logarithm of the power summed over all bands, (columns,)."""
    return np.log(np.exp(log_power).sum(axis=1))


def silent_rows(frames: int) -> NDArray[np.float32]:
    """Rows of silence, (frames, FEATURES)."""
    return np.full((frames, FEATURES), 1.0 - _RANGE / _UNIT, np.float32)


def energy_of_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The energy of each row, (frames,) float32 in 0 (silent) to about 1 (loud)."""
    columns = rows.reshape(len(rows), COLUMNS_PER_FRAME, BANDS + 1)[:, :, -1]
    return np.clip((columns.mean(axis=1) + 1.0) / 2.0, 0.0, 1.2).astype(np.float32)


def speech_features(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of a voice, (frames at 25 a second, FEATURES) float32, kept in the cache by the samples' hash.

    ``samples``: (n,) float32 mono at 16 kHz.
    """
    samples = np.ascontiguousarray(samples, np.float32)
    digest = hashlib.sha256(samples.tobytes()).hexdigest()[:32]
    path = cache_dir() / "voice" / f"logmel{_CACHE_FORMAT}-{digest}.npy"
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        pass
    rows = normalised_rows(log_mel(samples))
    _store(path, rows)
    return rows


def _store(path: Path, rows: NDArray[np.float32]) -> None:
    """Write beside, then rename. A cache that cannot be written is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
        with os.fdopen(handle, "wb") as file:
            np.save(file, rows)
        os.replace(partial, path)
    except OSError:
        return


@lru_cache(maxsize=1)
def _hann() -> NDArray[np.float32]:
    return np.hanning(_WINDOW + 1)[:-1].astype(np.float32)


@lru_cache(maxsize=1)
def mel_filters() -> NDArray[np.float32]:
    """Triangular filters of equal area on the mel scale (2595 log10(1 + f / 700)), (80, 257) float32."""
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(2595.0 * np.log10(1.0 + 50.0 / 700.0), top, BANDS + 2) / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(_TRANSFORM, 1.0 / SAMPLE_RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles / np.maximum(triangles.sum(axis=1, keepdims=True), 1e-6)).astype(np.float32)
