# SPDX-License-Identifier: GPL-3.0-or-later
"""Phone times of a known sentence, by forced alignment with pocketsphinx where that is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BILABIAL = frozenset({"P", "B", "M"})
SILENT = frozenset({"SIL", "+SPN+", "+NSN+", "<s>", "</s>", "(NULL)"})


@dataclass(frozen=True)
class Phone:
    """A phone (ARPABET) and when it sounds, seconds."""

    name: str
    start: float
    end: float


def words_of(align: Path) -> list[str]:
    """Words of a GRID ``.align`` file, silences left out; none where there is no such file."""
    if not align.is_file():
        return []
    rows = [line.split() for line in align.read_text(encoding="utf-8").splitlines()]
    return [row[2].lower() for row in rows if len(row) == 3 and row[2] not in ("sil", "sp")]


class Aligner:
    """Finds phone times; ``available`` is False where pocketsphinx is not installed."""

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder

            self._decoder = Decoder(samprate=16000, loglevel="FATAL")
        except ImportError:
            self._decoder = None

    @property
    def available(self) -> bool:
        """Whether phones can be found at all."""
        return self._decoder is not None

    def phones(self, samples: NDArray[np.float32], words: list[str]) -> list[Phone]:
        """Phones of ``words`` in a voice at 16 kHz; none where the sentence does not fit the sound."""
        if self._decoder is None or not words:
            return []
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
        try:
            self._decoder.set_align_text(" ".join(words))
            self._pass(pcm)
            self._decoder.set_alignment()
            self._pass(pcm)
            found = [phone for word in self._decoder.get_alignment() for phone in word]
        except (RuntimeError, ValueError):
            return []
        return [Phone(phone.name, phone.start / 100.0, (phone.start + phone.duration) / 100.0) for phone in found]

    def _pass(self, pcm: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
