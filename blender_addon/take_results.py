# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays a finished render into the sequencer, and remembers how fast it went."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import backend_link, compat, estimates, sequencer
from .bridge.faults import Fault
from .jobs import Job


def add_take(context: bpy.types.Context, job: Job) -> str:
    """Movie and sound strips of a finished render; the sentence to report. Raises Fault ``movie-missing`` or ``channels-full``."""
    shot = job.details["shot"]
    movie = Path(str(job.result.header.get("path") or job.details["path"]))
    if not movie.is_file():
        raise Fault("movie-missing", f"The finished movie {movie} is not there.", "Render it again into another folder.")
    report = {"seconds": job.result.header.get("seconds"), **(job.result.header.get("report") or {})}
    scene = bpy.data.scenes.get(job.details["sequencer_scene"]) or compat.sequencer_scene(context)
    sequencer.add_take(scene, movie, shot, job.details.get("actor") or job.origin.actor, report)
    client = backend_link.current_client()
    estimates.note(shot.render, report, client.memory_mb if client is not None else 0.0)
    told = _told(movie, shot.frame_count, report)
    now = compat.frame_rate(scene)
    if now != shot.fps:  # a movie strip is never conformed: it would drift against its voice
        told += f" The scene's rate has changed since: the take runs at {float(shot.fps):g}, the scene at {float(now):g}; render it again."
    return " ".join([told, *(str(note) for note in report.get("notes") or ())])


def _told(movie: Path, wanted: int, report: dict[str, object]) -> str:
    frames, made = report.get("frames") or wanted, report.get("made")
    if report.get("cancelled"):
        return f"Cancelled: the {frames} of {wanted} frames that were done are kept in {movie.name}."
    if isinstance(made, int):
        return f"Rendered {made} of {frames} frames anew; {movie.name} has them all."
    return f"Rendered {frames} frames to {movie.name}."
