# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that ``prepare`` writes: one npz for each piece of a clip, and one report for each clip that is done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.files import written_beside
from backend.portrait.action_units import BLENDSHAPE_NAMES, estimate_aus
from backend.portrait.track import TrackedVideo
from backend.tables import read_au_csv
from backend.training.prepare.sources import Source

FloatArray = NDArray[np.float32]
REPORTS = ".reports"


@dataclass
class ClipReport:
    """What became of one clip. ``pieces``: names of the files written; ``left_out``: spans in seconds with the reason;
    ``fault``: why nothing could be used; ``notes``: what else one should know."""

    name: str
    video: str
    bytes: int
    seconds: float = 0.0
    used_seconds: float = 0.0
    pieces: list[str] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The report in one line."""
        reasons: dict[str, float] = {}
        for part in self.left_out:
            reasons[part["reason"]] = reasons.get(part["reason"], 0.0) + part["end"] - part["start"]
        lost = ", ".join(f"{reason} {seconds:.1f} s" for reason, seconds in reasons.items())
        if self.fault:
            return f"{self.name}: nothing used. {self.fault}"
        pieces = "1 piece" if len(self.pieces) == 1 else f"{len(self.pieces)} pieces"
        used = f"{self.name}: {self.used_seconds:.1f} of {self.seconds:.1f} s in {pieces}"
        return used + (f"; left out: {lost}" if lost else "") + "".join(f"; {note}" for note in self.notes)


@dataclass(frozen=True)
class RestingFace:
    """A person at rest, from clips without emotion. ``reading``: (52,) blendshapes. ``mesh``: (478, 3) in the canonical frame."""

    reading: FloatArray
    mesh: FloatArray


def write_piece(target: Path, tracked: TrackedVideo, source: Source, first: int, resting: RestingFace | None, with_sound: bool) -> str:
    """Writes one npz; the origin of its AUs.

    landmarks (n, 162, 2), mesh (n, 478, 3), pose (n, 4, 4), blendshapes (n, 52), aus (n, 18) 0..5 with the resting face taken off, found
    (n,), fps (numerator, denominator), size (width, height), video and audio paths, first_frame and audio_start (seconds) of row 0 in them,
    au_source, person, emotion, level; person_neutral (478, 3), canonical, where ``resting`` is known: the clip's own may smile.
    """
    start = float(first / tracked.fps)
    aus = estimate_aus(tracked.blendshapes, None if resting is None else resting.reading)
    origin = "estimated"
    if source.table is not None:
        values, given = read_au_csv(source.table, first + len(aus), tracked.fps)
        aus = np.where(given[first:], values[first:], aus).astype(np.float32)
        origin = source.table.name
    known: dict[str, Any] = {} if resting is None else {"person_neutral": resting.mesh}
    with written_beside(target) as partial, partial.open("wb") as file:
        np.savez(
            file,
            landmarks=tracked.landmarks,
            mesh=tracked.mesh,
            pose=tracked.pose,
            blendshapes=tracked.blendshapes,
            blendshape_names=np.array(BLENDSHAPE_NAMES),
            aus=aus,
            found=tracked.found,
            fps=np.array([tracked.fps.numerator, tracked.fps.denominator]),
            size=np.array(tracked.size),
            video=str(source.video),
            audio=str(source.audio) if with_sound else "",
            first_frame=np.int64(first),
            audio_start=np.float64(start),
            au_source=origin,
            person=source.person,
            emotion=source.emotion,
            level=np.int64(source.level),
            **known,
        )
    return origin


def is_prepared(path: Path) -> bool:
    """Whether a finished clip lies at ``path``."""
    if not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as data:
            return "aus" in data.files
    except (OSError, ValueError):
        return False


def write_report(out: Path, report: ClipReport) -> None:
    """Notes that a clip is done, and what became of it."""
    with written_beside(out / REPORTS / f"{report.name}.json") as partial:
        partial.write_text(json.dumps(asdict(report)), encoding="utf-8")


def finished_report(out: Path, source: Source) -> ClipReport | None:
    """The report of a clip that was done before and has not changed since; None where it must be done.

    A prepared file without a report (an older one) counts as done too.
    """
    path = out / REPORTS / f"{source.name}.json"
    try:
        report = ClipReport(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        whole = out / f"{source.name}.npz"
        return ClipReport(source.name, str(source.video), 0, pieces=[source.name]) if is_prepared(whole) else None
    same = report.bytes == source.video.stat().st_size
    return report if same and all(is_prepared(out / f"{piece}.npz") for piece in report.pieces) else None


def at_rate(rows: FloatArray, fps: Fraction, rate: Fraction) -> FloatArray:
    """Rows (n, ...) at ``fps`` as rows at ``rate``, linear in time; untouched where both are the same."""
    if fps == rate:
        return rows
    count = max(1, round(len(rows) / fps * rate))
    place = np.clip(np.arange(count) * float(fps / rate), 0, len(rows) - 1)
    low = np.floor(place).astype(int)
    part = (place - low).reshape(-1, *[1] * (rows.ndim - 1)).astype(np.float32)
    return (rows[low] * (1 - part) + rows[np.minimum(low + 1, len(rows) - 1)] * part).astype(np.float32)
