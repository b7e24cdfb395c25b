# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a collection clip by clip: finished clips are kept, a bad one is told and passed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from backend.motion.canonical import neutral_mesh
from backend.portrait.action_units import resting_face
from backend.training.prepare.pieces import SHORTEST_PIECE, LeftOut, find_pieces, look_at
from backend.training.prepare.prepared import ClipReport, RestingFace, finished_report, write_piece, write_report
from backend.training.prepare.sources import Source
from backend.video.read import probe_video
from bridge.faults import Fault

Progress = Callable[[int, int, str], None]
_STOPPING = ("disk-full", "folder-read-only", "cancelled")  # no other clip would fare better


def prepare_all(
    sources: Sequence[Source],
    out: Path,
    progress: Progress | None = None,
    silent_clips: bool = False,
    shortest: float = SHORTEST_PIECE,
    tell: Callable[[str], None] | None = None,
) -> tuple[dict[str, int], list[ClipReport]]:
    """Tracks every clip into ``out``/NAME.npz (NAME-1.npz ... where cuts divide it). A broken run goes on where it stopped.

    ``silent_clips``: also use videos without sound. ``tell``: is called with one line for each clip that did not go in whole.
    Returns how many clips were written, kept from before, left out because they had no face or could not be read, and the reports.
    """
    out.mkdir(parents=True, exist_ok=True)
    counts = {"written": 0, "kept": 0, "without_face": 0, "unusable": 0}
    reports: list[ClipReport] = []
    resting: dict[str, list[RestingFace]] = {}
    for index, source in enumerate(sources):
        report = finished_report(out, source)
        if report is not None:
            counts["kept"] += 1
        else:
            report = prepare_clip(source, out, _resting(resting, source), silent_clips, shortest)
            counts[_outcome(report)] += 1
            if tell is not None and (report.fault or report.left_out or report.notes):
                tell(report.line)
        if source.at_rest:
            resting.setdefault(source.person, []).extend(_resting_faces(out, report))
        reports.append(report)
        if progress is not None:
            progress(index + 1, len(sources), source.name)
    return counts, reports


def prepare_clip(source: Source, out: Path, resting: RestingFace | None, silent_clips: bool, shortest: float) -> ClipReport:
    """Tracks one clip and writes its pieces and its report; what goes wrong with the clip is in the report."""
    report = ClipReport(source.name, str(source.video), source.video.stat().st_size)
    try:
        _into(report, source, out, resting, silent_clips, shortest)
    except Fault as fault:
        if fault.code in _STOPPING:
            raise
        report.fault = fault.sentence
    write_report(out, report)
    return report


def _into(report: ClipReport, source: Source, out: Path, resting: RestingFace | None, silent_clips: bool, shortest: float) -> None:
    with_sound = source.audio != source.video or probe_video(source.video).has_audio
    if not with_sound and not silent_clips:
        raise Fault("audio-missing", "The video has no sound, and no sound file of its name lies beside it.", "Put one there.")
    frames, fps, size = look_at(source.video)
    pieces, left_out = find_pieces(frames, fps, shortest)
    report.seconds = float(len(frames) / fps)
    report.left_out = [_span(part, fps) for part in left_out]
    if not any(seen.faces for seen in frames):
        raise Fault("face-none", "No face was found.", "Leave the video out.")
    if not pieces:
        raise Fault("no-piece", f"No stretch of {shortest:g} s shows one face alone: {_reasons(left_out)}.", "Leave the video out.")
    for number, piece in enumerate(pieces):
        name = source.name if len(pieces) == 1 else f"{source.name}-{number + 1}"
        origin = write_piece(out / f"{name}.npz", piece.tracked(fps, size), source, piece.first, resting, with_sound)
        report.pieces.append(name)
        report.used_seconds += float((piece.last - piece.first) / fps)
        lost = sum(reading is None for reading in piece.readings)
        if lost:
            report.notes.append(f"{lost} frames without the face were bridged")
    if source.table is not None:
        report.notes.append(f"AUs from {origin}")
    if not with_sound:
        report.notes.append("no sound")


def _span(part: LeftOut, fps: Fraction) -> dict[str, float | str]:
    return {"start": round(float(part.first / fps), 3), "end": round(float(part.last / fps), 3), "reason": part.reason}


def _reasons(left_out: Sequence[LeftOut]) -> str:
    return ", ".join(sorted({part.reason for part in left_out}))


def _outcome(report: ClipReport) -> str:
    if not report.fault:
        return "written"
    return "without_face" if "face" in report.fault.lower() and not report.pieces else "unusable"


def _resting(known: dict[str, list[RestingFace]], source: Source) -> RestingFace | None:
    """The person at rest, from neutral clips; None (the clip's own) where none were seen or this is one of them."""
    faces = known.get(source.person, []) if source.person and not source.at_rest else []
    if not faces:
        return None
    readings, meshes = np.stack([face.reading for face in faces]), np.stack([face.mesh for face in faces])
    return RestingFace(np.median(readings, axis=0).astype(np.float32), np.median(meshes, axis=0).astype(np.float32))


def _resting_faces(out: Path, report: ClipReport) -> list[RestingFace]:
    """What the pieces of a neutral clip say of the person at rest."""
    faces = []
    for piece in report.pieces:
        with np.load(out / f"{piece}.npz", allow_pickle=False) as data:
            faces.append(RestingFace(resting_face(data["blendshapes"]), neutral_mesh(data["mesh"], data["pose"])))
    return faces
