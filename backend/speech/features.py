# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice features: 80 log-mel bands and the energy at 100 Hz, four columns to each row of 25 frames a second."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.half_written import partial_path, put_in_place, remove_abandoned
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
_DIGITAL_SILENCE = -15.0
_STRETCH = 2000  # columns
_SHORTEST_VOICE = 50  # columns: less is a click
_LEAD = (_WINDOW - _HOP) // 2
CACHE_FORMAT = 3
_CHUNK_COLUMNS = 6000


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural logarithm of mel power, (4 x frames, 80) float32.

    ``samples``: (n,) mono float at 16 kHz, -1..1. There are ceil(n / 640) frames; the last is padded with silence.
    Column k is centred on sample 160 k + 80.
    """
    return np.concatenate(list(log_mel_stream([samples])))


def log_mel_stream(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """``log_mel`` of a voice that comes in blocks (n,) of any length: pieces of columns, whole frames each."""
    waiting = np.zeros(_LEAD, np.float32)  # from the first sample of the next column's window on
    heard, made = 0, 0
    for block in blocks:
        heard += len(block)
        for start in range(0, len(block), _CHUNK_COLUMNS * _HOP):  # bounded memory for recordings of half an hour
            waiting = np.concatenate([waiting, block[start : start + _CHUNK_COLUMNS * _HOP]])
            columns = max(0, (len(waiting) - _WINDOW) // _HOP + 1) // COLUMNS_PER_FRAME * COLUMNS_PER_FRAME
            if columns:
                yield _columns(waiting, columns)
                waiting, made = waiting[columns * _HOP :], made + columns
    columns = max(1, -(-heard // (_HOP * COLUMNS_PER_FRAME))) * COLUMNS_PER_FRAME - made
    if columns:
        yield _columns(np.pad(waiting, (0, max(0, (columns - 1) * _HOP + _WINDOW - len(waiting)))), columns)


def _columns(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP][:count]
    power = np.abs(np.fft.rfft(windows * _hann(), _TRANSFORM)).astype(np.float32) ** 2
    return np.log(power @ mel_filters().T / _WINDOW + _POWER_FLOOR)


def normalised_rows(log_power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows for the model, (frames, FEATURES) float32, from ``log_mel``'s columns (4 x frames, 80).

    The level of the loud parts is brought to zero, so that gain does not matter; what lies 15 nepers of power
    below it is cut off. Values lie in about -2.3..1.2.
    """
    return rows_at_level(log_power, voice_level(band_energy(log_power)))


def rows_at_level(log_power: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """``normalised_rows`` for columns of a voice whose ``voice_level`` is known."""
    both = np.concatenate([log_power + 3.0, band_energy(log_power)[:, None]], axis=1) - np.float32(level)
    scaled = (np.maximum(both, -_RANGE) + _UNIT) / _UNIT
    return scaled.reshape(-1, FEATURES).astype(np.float32)


def voice_level(energy: NDArray[np.float32]) -> float:
    """Level of a voice's loud parts from the energy of its columns (columns,), natural logarithm of power.

    The 95th percentile of what is no digital silence, in the loudest stretch of 20 s: a line of speech in a long quiet shot has the
    level that it would have alone.
    """
    stretches = [_heard(energy[start : start + _STRETCH]) for start in range(0, max(1, len(energy) - _STRETCH // 2), _STRETCH // 2)]
    long_enough = [stretch for stretch in stretches if len(stretch) >= _SHORTEST_VOICE] or [_heard(energy)]
    return max([_QUIETEST_SPEECH] + [float(np.percentile(stretch, 95)) for stretch in long_enough if len(stretch)])


def _heard(energy: NDArray[np.float32]) -> NDArray[np.float32]:
    return energy[energy > _DIGITAL_SILENCE]


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
    path = cache_dir() / "voice" / f"logmel{CACHE_FORMAT}-{digest}.npy"
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        pass
    rows = normalised_rows(log_mel(samples))
    _store(path, rows)
    return rows


def _store(path: Path, rows: NDArray[np.float32]) -> None:
    """Write beside, then rename. A cache that cannot be written is no error."""
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        with partial.open("wb") as file:
            np.save(file, rows)
        put_in_place(partial, path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


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
