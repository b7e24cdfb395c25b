# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of any common format, mixed into a shot's own time: mono 16 kHz to analyse, 48 kHz for the movie.

Only the part that lies in the shot is decoded, so a four-second window of a four-hour recording costs four seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
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
_BLOCK = 20 * SAMPLE_RATE
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
        for block, start in _piece(piece, duration, rate, most_channels):
            sound = block[: max(len(mix) - start, 0)]
            if sound.shape[1] > mix.shape[1]:
                mix = np.repeat(mix, sound.shape[1], axis=1)
            mix[start : start + len(sound)] += sound  # a mono piece goes to both sides
    return mix


def voice_blocks(pieces: Sequence[Voice], duration: float) -> Iterator[NDArray[np.float32]]:
    """``load_voice`` in blocks (n,) that follow each other: the memory it needs does not grow with the shot."""
    count = round(duration * SAMPLE_RATE)
    places = [_piece(piece, duration, SAMPLE_RATE, 1) for piece in pieces]
    waiting: list[list[tuple[NDArray[np.float32], int]]] = [[] for _ in pieces]
    for first in range(0, count, _BLOCK):
        mix = np.zeros(min(_BLOCK, count - first), np.float32)
        for source, held in zip(places, waiting, strict=True):
            while not held or held[-1][1] + len(held[-1][0]) < first + len(mix):
                if (following := next(source, None)) is None:
                    break
                held.append(following)
            for block, start in held:
                low, high = max(start, first), min(start + len(block), first + len(mix))
                if high > low:
                    mix[low - first : high - first] += block[low - start : high - start, 0]
            held[:] = [(block, start) for block, start in held if start + len(block) > first + len(mix)]
        yield mix


def _piece(piece: Voice, duration: float, rate: int, most_channels: int) -> Iterator[tuple[NDArray[np.float32], int]]:
    """The part of one piece that lies in the shot: blocks (n, channels) at ``rate`` that follow each other, each with its first sample
    in the shot."""
    times = (piece.offset, piece.trim_start, 0.0 if piece.duration is None else piece.duration)
    if not (math.isfinite(piece.gain) and piece.gain >= 0):
        raise Fault("shot-invalid", f"The volume of {Path(piece.path).name} is not a number from 0 up.", "Look at the strip's volume.")
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
        return
    place = round(max(piece.offset, 0.0) * rate)
    for block in _section(Path(piece.path), info, max(piece.trim_start, 0.0) + before, length, rate, most_channels):
        yield (block if piece.gain == 1 else block * np.float32(piece.gain)), place
        place += len(block)


def _section(path: Path, info: AudioInfo, start: float, length: float, rate: int, most_channels: int) -> Iterator[NDArray[np.float32]]:
    """``length`` seconds of a file from ``start`` on, in blocks (n, channels) at ``rate``."""
    margin = min(_FILTER_MARGIN, start)
    first = round((start - margin) * info.sample_rate)
    count = round((length + margin + _FILTER_MARGIN) * info.sample_rate)
    weights = _mix_weights(path, info, first, count, most_channels)
    mono = ((np.nan_to_num(block, posinf=0, neginf=0) @ weights).astype(np.float32) for block in decode.blocks(path, first, count))
    skip = round(start * rate) - round(first * rate / info.sample_rate)
    left = round(length * rate)
    for block in resampled_blocks(mono, info.sample_rate, rate):
        wanted = block[skip : skip + left]
        skip = max(0, skip - len(block))
        left -= len(wanted)
        if len(wanted):
            yield wanted


def resampled_blocks(blocks: Iterable[NDArray[np.float32]], source_rate: int, rate: int) -> Iterator[NDArray[np.float32]]:
    """(n, channels) blocks that follow each other at another rate, as ``resampled`` makes the whole."""
    if source_rate == rate:
        yield from blocks
        return
    common = math.gcd(source_rate, rate)
    up, down = rate // common, source_rate // common
    context = -(-(10 * max(up, down) // up + 1) // down) * down  # half the filter that scipy designs, whole steps
    length = max(1, 10 * source_rate // down) * down
    waiting: NDArray[np.float32] | None = None
    lead = 0  # samples at the front of ``waiting`` that have been resampled and are kept as surroundings
    for block in blocks:
        waiting = block if waiting is None else np.concatenate([waiting, block])
        while len(waiting) >= lead + length + context:
            part = resampled(waiting[: lead + length + context], source_rate, rate)
            yield part[lead // down * up : (lead + length) // down * up]
            waiting, lead = waiting[lead + length - context :], context
    if waiting is not None and len(waiting) > lead:
        yield resampled(waiting, source_rate, rate)[lead // down * up :]


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
