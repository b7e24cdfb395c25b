# SPDX-License-Identifier: GPL-3.0-or-later
"""Feature rows of a voice, 25 a second, read in stretches: from an array, or from a file where the voice is long."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.speech.features import energy_of_rows

FloatArray = NDArray[np.float32]


class VoiceRows(Protocol):
    """Rows of features, 25 a second, the first at the shot's first frame."""

    def __len__(self) -> int:
        """Number of rows."""

    def rows(self, first: int, end: int) -> FloatArray:
        """Rows ``first`` to ``end`` (not included), (end - first, features) float32; they must lie inside."""


class ArrayRows:
    """Rows that are in memory, (n, features) float32."""

    def __init__(self, rows: FloatArray) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, first: int, end: int) -> FloatArray:
        """See ``VoiceRows``."""
        return self._rows[first:end]


class FileRows:
    """Rows in an ``npy`` file; each stretch is read when it is wanted and not kept. Raises OSError, ValueError on a damaged file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError(f"{path.name} is of another format")
            shape, turned, kind = np.lib.format.read_array_header_1_0(file)
            self._start = file.tell()
        if len(shape) != 2 or turned or kind != np.float32 or path.stat().st_size != self._start + 4 * shape[0] * shape[1]:
            raise ValueError(f"{path.name} does not hold rows of features")
        self._count, self._width = shape

    def __len__(self) -> int:
        return int(self._count)

    def rows(self, first: int, end: int) -> FloatArray:
        """See ``VoiceRows``."""
        with self._path.open("rb") as file:
            file.seek(self._start + 4 * first * self._width)
            values = np.fromfile(file, np.float32, max(0, end - first) * self._width)
        return values.reshape(-1, self._width)


class Energy:
    """Loudness of a voice from rows of log-mel features: what the head's idle motion follows."""

    def __init__(self, voice: VoiceRows) -> None:
        self._voice = voice

    def between(self, first: int, end: int) -> FloatArray:
        """Energy of the rows ``first`` to ``end``, (end - first,) 0..1.2; zero where no voice lies. ``first`` may be below 0."""
        result = np.zeros(max(0, end - first), np.float32)
        inside, beyond = max(0, first), min(end, len(self._voice))
        if beyond > inside:
            result[inside - first : beyond - first] = energy_of_rows(self._voice.rows(inside, beyond))
        return result
