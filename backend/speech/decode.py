# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding recordings in blocks: libsndfile where it can, FFmpeg's libraries for the rest (m4a, aac, video files)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault

_BLOCK = 1 << 19  # samples per channel
_SEEK_MARGIN = 1.0  # seconds: compressed streams need a run-up before the wanted place
_WITHOUT_INDEX = frozenset({"aac", "ac3", "eac3", "amr", "mp3", "loas"})  # bare streams: the stated length is a guess
_HINT = "Use a wav, flac, mp3, ogg, m4a or a video file with sound that plays elsewhere."


@dataclass(frozen=True)
class Source:
    """What a file holds. ``duration`` in seconds, ``sample_rate`` in Hz."""

    duration: float
    sample_rate: int
    channels: int


def probe(path: Path) -> Source:
    """Looks into a file's header. Raises Fault ``audio-missing`` or ``audio-unreadable``."""
    _check_there(path)
    with _sound_file(path) as file:
        if file is not None:
            return Source(file.frames / file.samplerate, file.samplerate, file.channels)
    with _container(path) as (container, stream):
        return Source(_av_duration(path, container, stream), int(stream.rate), int(stream.channels))


def blocks(path: Path, first: int, count: int) -> Iterator[NDArray[np.float32]]:
    """Samples ``first`` to ``first + count`` at the file's own rate, as (n, channels) float32 blocks; fewer at its end.

    Raises Fault ``audio-missing`` or ``audio-unreadable``. A file that breaks off in the middle ends there.
    """
    _check_there(path)
    done = 0
    with _sound_file(path) as file:
        if file is not None:
            for block in _sound_file_blocks(file, first, count):
                done += len(block)
                yield block
            if done >= min(count, max(file.frames - first, 0)):
                return
    # Another format, or a damaged file: FFmpeg plays those up to the damage.
    yield from _av_blocks(path, first + done, count - done)


def _check_there(path: Path) -> None:
    if path.is_dir():
        raise Fault("audio-unreadable", f"{path} is a folder, not a recording.", _HINT)
    if not path.is_file():
        raise Fault("audio-missing", f"There is no file {path}.", "Check the path of the voice, or choose the file again.")


@contextmanager
def _sound_file(path: Path) -> Iterator[Any]:
    """An open ``soundfile.SoundFile``, or None where libsndfile does not know the format."""
    import soundfile

    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, TypeError, OSError, ValueError):
        yield None
        return
    with file:
        yield file


def _sound_file_blocks(file: Any, first: int, count: int) -> Iterator[NDArray[np.float32]]:
    import soundfile

    if first >= file.frames:
        return
    left = min(count, file.frames - first)
    try:
        file.seek(first)
        while left > 0:
            block = file.read(min(left, _BLOCK), dtype="float32", always_2d=True)
            if len(block) == 0:
                return
            left -= len(block)
            yield block
    except soundfile.SoundFileError:
        return


@contextmanager
def _container(path: Path) -> Iterator[tuple[Any, Any]]:
    import av

    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError, OSError) as error:
        raise _unreadable(path, error) from None
    with container:
        if not container.streams.audio:
            raise Fault("audio-unreadable", f"{path.name} holds no sound.", _HINT)
        stream = container.streams.audio[0]
        if not stream.rate or not stream.channels:
            raise Fault("audio-unreadable", f"The sound of {path.name} cannot be decoded.", _HINT)
        yield container, stream


def _unreadable(path: Path, error: Exception) -> Fault:
    reason = getattr(error, "strerror", None) or str(error)
    return Fault("audio-unreadable", f"{path.name} cannot be read as audio ({reason}).", _HINT)


def _av_duration(path: Path, container: Any, stream: Any) -> float:
    """Seconds of sound; where the header does not say, the stream is walked through without decoding."""
    import av

    if stream.duration is not None and container.format.name not in _WITHOUT_INDEX:
        return float(stream.duration * stream.time_base)
    end = 0.0
    try:
        for packet in container.demux(stream):
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * stream.time_base))
    except av.FFmpegError as error:
        if end == 0.0:
            raise _unreadable(path, error) from None
    return end - _start_time(container)


def _start_time(container: Any) -> float:
    """Seconds that the container's clock shows at its beginning (transport streams do not start at 0)."""
    return max(container.start_time or 0, 0) / 1_000_000


def _av_blocks(path: Path, first: int, count: int) -> Iterator[NDArray[np.float32]]:
    import av

    with _container(path) as (container, stream):
        rate = int(stream.rate)
        resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
        seconds = first / rate
        if seconds > 2 * _SEEK_MARGIN and container.format.name not in _WITHOUT_INDEX:
            _seek(container, stream, seconds - _SEEK_MARGIN)
        position: int | None = None
        try:
            for frame in container.decode(stream):
                if frame.pts is not None:
                    position = round((float(frame.pts * frame.time_base) - _start_time(container)) * rate)
                position = position or 0
                for plain in resampler.resample(frame):
                    samples = plain.to_ndarray().T
                    lower, upper = max(first - position, 0), min(first + count - position, len(samples))
                    if upper > lower:
                        yield np.ascontiguousarray(samples[lower:upper], np.float32)
                    position += len(samples)
                if position >= first + count:
                    return
        except av.FFmpegError as error:
            if position is None and first == 0:
                raise _unreadable(path, error) from None


def _seek(container: Any, stream: Any, seconds: float) -> None:
    import av

    try:
        container.seek(int((seconds + _start_time(container)) / stream.time_base), stream=stream)
    except av.FFmpegError:
        container.seek(0)  # no index: decode from the beginning and drop what comes before
