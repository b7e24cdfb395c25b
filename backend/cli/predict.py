# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait and a voice in, a landmark track out."""

from __future__ import annotations

import argparse
from typing import Any

from . import options
from .progress import ProgressBar


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Options of ``predict``."""
    options.add_portrait_argument(parser)
    options.add_voice_arguments(parser)
    options.add_shot_arguments(parser)
    parser.add_argument("--aus-out", metavar="CSV", help="write the Action Units too, keyed and filled in")
    parser.add_argument("--out", required=True, metavar="NPZ", help="the landmark track to write")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Predicts, writes the track, and says what was made."""
    from .. import pipeline, tables, tracks
    from ..files import check_writable
    from ..prediction import Prediction

    shot = options.shot_of(arguments)
    pipeline.load_face(shot.portrait)  # what is wrong with the portrait is said before a folder is made
    for target in filter(None, (arguments.out, arguments.aus_out)):
        check_writable(target)
    with ProgressBar(arguments.quiet) as progress:
        prediction = Prediction(shot, progress)
        face = prediction.face
        aus = tracks.write_track_pieces(arguments.out, prediction.pieces(), shot.fps, face.size, face.landmarks)
    if arguments.aus_out:
        tables.write_au_csv(arguments.aus_out, aus, shot.fps)
    notes = pipeline.shot_notes(shot)
    if not arguments.quiet:
        print(f"{arguments.out}: {len(aus)} frames at {float(shot.fps):g} fps")
        print(*(f"Note: {note}" for note in notes), sep="\n", end="\n" if notes else "")
    return {"path": arguments.out, "frames": len(aus), "fps": float(shot.fps), "seed": shot.seed, "notes": notes}
