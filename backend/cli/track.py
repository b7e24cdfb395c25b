# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks and Action Unit estimates of a real video."""

from __future__ import annotations

import argparse
from typing import Any

from .progress import ProgressBar


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Options of ``track``."""
    parser.add_argument("--video", required=True, metavar="FILE", help="video of one face")
    parser.add_argument("--aus", metavar="CSV", help="write the Action Unit estimates to this file, with OpenFace's columns")
    parser.add_argument("--out", required=True, metavar="NPZ", help="the landmark track to write")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Tracks, writes, and says what was found."""
    from .. import pipeline, tables, tracks
    from ..files import check_writable

    for target in filter(None, (arguments.out, arguments.aus)):
        check_writable(target)
    with ProgressBar(arguments.quiet) as progress:
        track = pipeline.track_movie(arguments.video, progress)
    tracks.write_track(arguments.out, track)
    if arguments.aus and track.aus is not None:
        tables.write_au_csv(arguments.aus, track.aus, track.fps)
    if not arguments.quiet:
        print(f"{arguments.out}: {len(track.landmarks)} frames at {float(track.fps):g} fps")
    return {
        "path": arguments.out,
        "aus": arguments.aus,
        "frames": len(track.landmarks),
        "fps": float(track.fps),
        "size": list(track.portrait_size),
    }
