# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot folder (an exported job, or the folder of a take) in, a video out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bridge.faults import Fault
from bridge.shot import Shot, Track
from bridge.shot_folder import ShotFolder, read_shot_folder, update_record, write_shot_folder

from ..model_versions import model_versions
from .animate import say
from .progress import ProgressBar

Progress = Callable[[int, int, str], None]


def is_wanted(words: list[str]) -> bool:
    """Whether the command line names a job."""
    return any(word == "--job" or word.startswith("--job=") for word in words)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``render --job``."""
    parser.add_argument("--job", required=True, metavar="FOLDER", help="folder that Blender's Export Job wrote, or the folder of a take")
    parser.add_argument("--out", metavar="MP4", help="the movie to write (default: the name that the job gives, in its folder)")
    parser.add_argument("--frames", metavar="A-B", help="only these frames of the shot, counted from 1, both included")
    parser.add_argument("--tier", metavar="small|sd15", help="another renderer than the job says")
    parser.add_argument("--steps", type=int, help="other diffusion steps than the job says")
    parser.add_argument("--keep-partial", action="store_true", help="on Ctrl-C keep a movie of the frames that are done")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Predicts where the job holds no track yet, renders, and notes in the folder what was made."""
    from .. import pipeline
    from .render import frame_range

    folder = Path(arguments.job)
    content = read_shot_folder(folder)
    shot = _with_choices(content.shot, arguments)
    pipeline.check_render_settings(shot.render)
    out = Path(arguments.out) if arguments.out else folder / _movie_name(content, folder)
    rows = frame_range(arguments.frames, shot.frame_count)
    with ProgressBar(arguments.quiet, gentle_interrupt=arguments.keep_partial) as progress:
        track = content.track or _predicted(shot, folder, content, progress)
        report = asdict(pipeline.render(shot, track, out, progress, rows, keep_partial=arguments.keep_partial))
    told: dict[str, Any] = {
        "models": model_versions(shot.render.tier),
        "movie": str(out.resolve().relative_to(folder.resolve())) if out.resolve().is_relative_to(folder.resolve()) else str(out.resolve()),
    }
    update_record(
        folder, {**told, "report": {**report, "path": str(out), "size": list(report["size"])}, "rows": list(rows) if rows else None}
    )
    say(report, arguments.quiet)
    return {**report, "job": str(folder)}


def _with_choices(shot: Shot, arguments: argparse.Namespace) -> Shot:
    chosen = {name: value for name in ("tier", "steps") if (value := getattr(arguments, name)) is not None}
    return replace(shot, render=replace(shot.render, **chosen))


def _predicted(shot: Shot, folder: Path, content: ShotFolder, progress: Progress) -> Track:
    """The track, kept in the folder for the next time."""
    from .. import pipeline

    track = pipeline.predict(shot, progress)
    write_shot_folder(folder, replace(content, track=track), project=folder)
    return track


def _movie_name(content: ShotFolder, folder: Path) -> str:
    name = content.record.get("movie")
    if not isinstance(name, str) or not name:
        return f"{folder.resolve().name}.mp4"
    if Path(name).name != name:  # only ever a name: a job comes from elsewhere
        raise Fault("path-invalid", f"The job names its movie {name!r}, which is no plain file name.", "Give --out.")
    return name
