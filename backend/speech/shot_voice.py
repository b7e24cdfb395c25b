# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice of a shot as rows of features: worked out once in a stream and kept in the cache, whatever its length."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.speech.extractor import FeatureExtractor
from backend.speech.features import CACHE_FORMAT
from backend.speech.load import is_silent, voice_blocks
from backend.speech.rows import ArrayRows, FileRows, VoiceRows
from bridge.half_written import partial_path, put_in_place, remove_abandoned
from bridge.paths import cache_dir
from bridge.shot import Voice

FloatArray = NDArray[np.float32]
_IN_MEMORY = 3000  # rows (two minutes) up to which a voice is not read from its file for every window
_LARGEST_CACHE = 512 * 2**20  # bytes of all voices: two hours and a half
_ROWS_TOGETHER = 1500


def shot_rows(
    pieces: Sequence[Voice], duration: float, extractor: FeatureExtractor, progress: Callable[[float], None] | None = None
) -> VoiceRows:
    """Rows of a shot's voice, 25 a second from its first frame on. ``duration`` in seconds.

    ``progress`` gets the share that is done, 0..1, and may raise. Raises the faults of ``load.probe_audio``.
    """
    key = json.dumps([[*astuple(piece), *_file_state(piece.path)] for piece in pieces])
    digest = hashlib.sha256(f"{CACHE_FORMAT} {extractor.name} {duration!r} {key}".encode()).hexdigest()[:32]
    folder = cache_dir() / "voice"
    path = folder / f"shot-{digest}.npy"
    with suppress(OSError, ValueError):
        return _opened(path, path.stat().st_mtime_ns)
    partial = partial_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        write_rows(partial, _watched(voice_blocks(pieces, duration), duration, progress), extractor)
        put_in_place(partial, path)
    except OSError:  # a cache that cannot be written, or becomes full meanwhile, is no error
        return ArrayRows(_in_memory(_watched(voice_blocks(pieces, duration), duration, progress), extractor))
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    _prune(folder, path)
    return _opened(path, path.stat().st_mtime_ns)


def write_rows(path: Path, blocks: Iterable[FloatArray], extractor: FeatureExtractor) -> None:
    """Writes the final rows of a voice that comes in blocks (n,) at 16 kHz: once as streamed, then at the level of the whole."""
    loudness: list[FloatArray] = []
    raw = path.with_suffix(".raw.partial")
    count, width = 0, 0
    try:
        with raw.open("wb") as file:
            for rows in extractor.stream(blocks):
                loudness.append(extractor.loudness(rows))
                count, width = count + len(rows), rows.shape[1]
                np.ascontiguousarray(rows, np.float32).tofile(file)
        level = extractor.level_of(np.concatenate(loudness))
        with raw.open("rb") as source, path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, extractor.silent_rows(1).shape[1])}
            np.lib.format.write_array_header_1_0(file, header)
            for first in range(0, count, _ROWS_TOGETHER):
                rows = np.fromfile(source, np.float32, min(_ROWS_TOGETHER, count - first) * width).reshape(-1, width)
                extractor.normalised(rows, level).tofile(file)
    finally:
        with suppress(OSError):
            raw.unlink(missing_ok=True)


def silent_voice(pieces: Sequence[Voice], duration: float) -> bool:
    """Whether nothing can be heard in a shot; reads no further than to the first sound. Raises the faults of ``load.probe_audio``."""
    return all(is_silent(block) for block in voice_blocks(pieces, duration))


def _in_memory(blocks: Iterable[FloatArray], extractor: FeatureExtractor) -> FloatArray:
    rows = np.concatenate(list(extractor.stream(blocks)))
    return extractor.normalised(rows, extractor.level_of(extractor.loudness(rows)))


@lru_cache(maxsize=4)
def _opened(path: Path, _state: int) -> VoiceRows:
    rows = FileRows(path)
    return ArrayRows(rows.rows(0, len(rows))) if len(rows) <= _IN_MEMORY else rows


def _watched(blocks: Iterable[FloatArray], duration: float, progress: Callable[[float], None] | None) -> Iterable[FloatArray]:
    heard = 0
    for block in blocks:
        heard += len(block)
        yield block
        if progress is not None:
            progress(min(1.0, heard / max(1.0, duration * 16000)))


def _prune(folder: Path, keep: Path) -> None:
    """Removes the voices that were longest not made anew, until the rest is small enough."""
    with suppress(OSError):
        files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("*.npy") if path != keep)
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= _LARGEST_CACHE:
                return
            path.unlink(missing_ok=True)
            total -= size


def _file_state(path: str) -> tuple[int, int]:
    """Time of change and size: a file that was written anew is read anew."""
    try:
        status = Path(path).stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def forget_voices() -> None:
    """Drops the voices that are kept in memory."""
    _opened.cache_clear()
