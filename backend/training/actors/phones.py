# SPDX-License-Identifier: GPL-3.0-or-later
"""Phones with times: a recording and its text aligned by pocketsphinx (10 ms frames, ARPAbet)."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault

SAMPLE_RATE = 16000
_FRAME = 0.01
_SILENCES = {"SIL", "+NSN+", "+SPN+", "+BREATH+", "+COUGH+"}


@dataclass(frozen=True)
class Phone:
    """One phone: ARPAbet without stress (``SIL`` for silence), start and end in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class SpokenLine:
    """A recording with its text and phones."""

    stem: str
    audio: Path
    text: str
    phones: tuple[Phone, ...]
    duration: float


def read_lines(folder: Path) -> list[SpokenLine]:
    """Every line of a speech folder with a ``transcripts.csv`` (id|text|normalised text) that can be aligned; sound as FLAC or WAV.

    Raises Fault ``data-missing`` where there is no such table or none of its lines can be used.
    """
    lines = []
    if not (folder / "transcripts.csv").is_file():
        raise Fault("data-missing", f"There is no transcripts.csv in {folder}.", "Each of its lines reads id|text; id.flac lies beside it.")
    with (folder / "transcripts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE))
    for row in rows:
        audio = next((path for ending in (".flac", ".wav") if row and (path := folder / f"{row[0]}{ending}").is_file()), None)
        if audio is None:
            continue
        samples = _read(audio)
        phones = align(samples, row[-1])
        if phones:
            lines.append(SpokenLine(row[0], audio, row[-1], phones, len(samples) / SAMPLE_RATE))
    if not lines:
        raise Fault(
            "data-missing", f"No line of {folder / 'transcripts.csv'} could be aligned with its sound.", "English sentences are needed."
        )
    return lines


def align(samples: NDArray[np.int16], text: str) -> tuple[Phone, ...]:
    """Phones of ``text`` in ``samples`` (n,) int16 16 kHz mono; empty where a word is not in the dictionary or nothing fits."""
    words = _words(text)
    decoder = _decoder()
    if not words or any(decoder.lookup_word(word) is None for word in words):
        return ()
    data = samples.tobytes()
    decoder.set_align_text(" ".join(words))
    if not _pass_over(decoder, data) or decoder.hyp() is None:
        return ()
    decoder.set_alignment()
    if not _pass_over(decoder, data):
        return ()
    alignment = decoder.get_alignment()
    if alignment is None:
        return ()
    result = []
    for phone in alignment.phones():
        name = "SIL" if phone.name in _SILENCES or phone.name.startswith("<") else re.sub(r"\d", "", phone.name)
        result.append(Phone(name, phone.start * _FRAME, (phone.start + phone.duration) * _FRAME))
    return tuple(result)


def _pass_over(decoder: Any, data: bytes) -> bool:
    try:
        decoder.start_utt()
        decoder.process_raw(data, full_utt=True)
        decoder.end_utt()
    except RuntimeError:  # no path fits
        return False
    return True


@lru_cache(maxsize=1)
def _decoder() -> Any:
    from pocketsphinx import Decoder

    return Decoder(samprate=SAMPLE_RATE, bestpath=False, loglevel="FATAL", beam=1e-80, wbeam=1e-60, pbeam=1e-80)


def _words(text: str) -> list[str]:
    plain = text.lower().replace("’", "'")
    return [word for raw in re.split(r"[^a-z']+", plain) if (word := raw.strip("'"))]


def _read(path: Path) -> NDArray[np.int16]:
    """(n,) int16 mono at 16 kHz, whatever rate the file has."""
    import soundfile

    from backend.speech.load import resampled

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = np.asarray(samples.mean(axis=1), np.float32)
    if rate != SAMPLE_RATE:
        mono = np.asarray(resampled(mono[:, None], rate, SAMPLE_RATE), np.float32).reshape(-1)
    return np.ascontiguousarray((np.clip(mono, -1, 1) * 32767).astype(np.int16))
