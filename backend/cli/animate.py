# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait and a voice in, a talking-head video out."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import Any

from . import options
from .progress import ProgressBar


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Options of ``animate``."""
    options.add_portrait_argument(parser)
    options.add_voice_arguments(parser)
    options.add_shot_arguments(parser)
    options.add_render_arguments(parser)
    parser.add_argument("--track", metavar="NPZ", help="keep the landmark track in this file too")
    parser.add_argument("--out", required=True, metavar="MP4", help="the movie to write")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Predicts, renders, and says what was made."""
    from .. import pipeline, tracks
    from ..files import check_writable
    from ..video.write import check_target

    settings = options.render_settings(arguments)
    pipeline.check_render_settings(settings)
    shot = replace(options.shot_of(arguments), render=settings)
    face = pipeline.load_face(shot.portrait)
    check_target(arguments.out, face.size, shot.frame_count, shot.fps)  # better now than after the work
    if arguments.track:
        check_writable(arguments.track)
    with ProgressBar(arguments.quiet, gentle_interrupt=arguments.keep_partial) as progress:
        track = pipeline.predict(shot, progress)
        if arguments.track:
            tracks.write_track(arguments.track, track)
        report = asdict(pipeline.render(shot, track, arguments.out, progress, keep_partial=arguments.keep_partial))
    say(report, arguments.quiet)
    return {**report, "track": arguments.track}


def say(report: dict[str, Any], quiet: bool) -> None:
    """One line about a movie, and its notes."""
    if quiet:
        return
    width, height = report["size"]
    print(
        f"{report['path']}: {report['frames']} frames of {width} x {height} at {report['fps']:g} fps, "
        f"{report['duration']:.2f} s, made in {report['seconds']:.1f} s ({report['frames_per_second']:.1f} frames a second)"
    )
    if report["cancelled"]:
        print("Note: it was cut short by an interruption.")
    for note in report["notes"]:
        print(f"Note: {note}")
