# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of any common format, mixed into a shot's own time: mono 16 kHz to analyse, 48 kHz for the movie.

Only the part that lies in the shot is decoded, so a four-second window of a four-hour recording costs four seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.shot import Voice

from . import decode

SAMPLE_RATE = 16000  # of the voice that is analysed
RECORDING_RATE = 48000  # of the movie's sound
SILENCE_PEAK = 1e-4  # -80 dB
_FILTER_MARGIN = 0.05  # seconds read on either side, so that the resampling filter does not ring at the cut
_QUIETEST_CHANNEL = 1e-4  # energy, relative to the loudest channel, below which a channel is left out of the mix
_CANCELLED_MIX = 1e-2  # energy, relative to the loudest channel, below which the channels cancel each other


@dataclass(frozen=True)
class AudioInfo:
    """``duration`` in seconds, ``sample_rate`` in Hz."""

    duration: float
    sample_rate: int
    channels: int


def probe_audio(path: str | Path) -> AudioInfo:
    """What a recording holds. Raises Fault ``audio-missing``, ``audio-unreadable`` or ``audio-empty``."""
    source = decode.probe(Path(path))
    if source.duration <= 0:
        raise Fault("audio-empty", f"{Path(path).name} holds no samples.", "Record or export the voice again.")
    return AudioInfo(source.duration, source.sample_rate, source.channels)


def load_voice(pieces: Sequence[Voice], duration: float) -> NDArray[np.float32]:
    """The voice in shot time, mono at 16 kHz.

    Returns (round(duration * 16000),) float32, silent where no piece lies; overlapping pieces add up. ``duration`` in
    seconds. Raises the faults of ``probe_audio``.
    """
    return _mixed(pieces, duration, SAMPLE_RATE, most_channels=1)[:, 0]


def load_recording(pieces: Sequence[Voice], duration: float, sample_rate: int = RECORDING_RATE) -> NDArray[np.float32]:
    """The same mix in its recorded quality for the movie's sound: (n, 1 or 2) float32 at ``sample_rate``."""
    return _mixed(pieces, duration, sample_rate, most_channels=2)


def is_silent(samples: NDArray[np.float32]) -> bool:
    """Whether nothing in the samples can be heard."""
    return samples.size == 0 or float(np.abs(samples).max()) < SILENCE_PEAK


def _mixed(pieces: Sequence[Voice], duration: float, rate: int, most_channels: int) -> NDArray[np.float32]:
    mix = np.zeros((round(duration * rate), 1), np.float32)
    for piece in pieces:
        sound, start = _piece(piece, duration, rate, most_channels)
        sound = sound[: max(len(mix) - start, 0)]
        if sound.shape[1] > mix.shape[1]:
            mix = np.repeat(mix, sound.shape[1], axis=1)
        mix[start : start + len(sound)] += sound  # a mono piece goes to both sides
    return mix


def _piece(piece: Voice, duration: float, rate: int, most_channels: int) -> tuple[NDArray[np.float32], int]:
    """The part of one piece that lies in the shot, (n, channels) at ``rate``, and its first sample in the shot."""
    times = (piece.offset, piece.trim_start, 0.0 if piece.duration is None else piece.duration)
    if not all(math.isfinite(time) for time in times):
        raise Fault(
            "shot-invalid", f"The place of {Path(piece.path).name} in the shot is not a number.", "Look at the strip's offset and trim."
        )
    info = probe_audio(piece.path)
    length = info.duration - piece.trim_start
    if piece.duration is not None:
        length = min(length, piece.duration)
    before = max(-piece.offset, 0.0)  # part of the piece that lies before the shot
    length = min(length - before, duration - max(piece.offset, 0.0))
    if length <= 0:
        return np.zeros((0, 1), np.float32), 0
    sound = _section(Path(piece.path), info, max(piece.trim_start, 0.0) + before, length, rate, most_channels)
    return sound, round(max(piece.offset, 0.0) * rate)


def _section(path: Path, info: AudioInfo, start: float, length: float, rate: int, most_channels: int) -> NDArray[np.float32]:
    margin = min(_FILTER_MARGIN, start)
    first = round((start - margin) * info.sample_rate)
    count = round((length + margin + _FILTER_MARGIN) * info.sample_rate)
    weights = _mix_weights(path, info, first, count, most_channels)
    blocks = [np.nan_to_num(block, posinf=0, neginf=0) @ weights for block in decode.blocks(path, first, count)]
    sound = np.concatenate(blocks) if blocks else np.zeros((0, weights.shape[1]), np.float32)
    sound = resampled(sound.astype(np.float32, copy=False), info.sample_rate, rate)
    skip = round(start * rate) - round(first * rate / info.sample_rate)
    return sound[skip : skip + round(length * rate)]


def resampled(sound: NDArray[np.float32], source_rate: int, rate: int) -> NDArray[np.float32]:
    """(n, channels) at another rate, through a linear-phase low-pass."""
    if source_rate == rate or len(sound) == 0:
        return sound
    from scipy.signal import resample_poly

    common = math.gcd(source_rate, rate)
    return resample_poly(sound, rate // common, source_rate // common, axis=0).astype(np.float32, copy=False)


def _mix_weights(path: Path, info: AudioInfo, first: int, count: int, most_channels: int) -> NDArray[np.float32]:
    """(channels, channels out) mixing matrix.

    More channels than wanted are averaged, silent ones left out, so that a voice on one of eight channels keeps its
    level; where the channels cancel each other (one side wired the wrong way round) the loudest stands alone.
    """
    if info.channels <= most_channels:
        return np.eye(info.channels, dtype=np.float32)
    products = np.zeros((info.channels, info.channels))
    for block in decode.blocks(path, first, count):
        clean = np.nan_to_num(block, posinf=0, neginf=0).astype(np.float64)
        products += clean.T @ clean
    energy = np.diag(products)
    active = energy > _QUIETEST_CHANNEL * energy.max()
    weights = active / max(active.sum(), 1)
    if weights @ products @ weights < _CANCELLED_MIX * energy.max():
        weights = np.eye(info.channels)[energy.argmax()]
    return weights[:, None].astype(np.float32)
