# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend prepare --layout actors``: synthetic people as landmark clips, as pictures, and as movies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bridge.faults import Fault

from .acting import MANNERS
from .parts import DATA_VARIABLE, data_folder, load_parts

SYNTHESISED = "synthesised"
_WHAT = ("clips", "pictures", "both", "videos")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the layout ``actors``."""
    parser.add_argument("--data", metavar="FOLDER", help=f"folder that holds actors/ and speech/ (default: {DATA_VARIABLE})")
    parser.add_argument(
        "--out",
        default="work/data",
        metavar="FOLDER",
        help="clips go to FOLDER/actors_motion, pictures to FOLDER/actors, movies to FOLDER/actors_video",
    )
    parser.add_argument("--clips-to", metavar="FOLDER", help="folder of the clips or movies itself")
    parser.add_argument("--what", choices=_WHAT, default="both", help="landmark clips, rendered pictures, both, or tracked movies")
    parser.add_argument(
        "--speech",
        nargs="+",
        metavar="FOLDER",
        help=f"recordings with transcripts.csv, or `{SYNTHESISED}` (default: speech/lj in the data folder)",
    )
    parser.add_argument("--voices", nargs="+", default=["heart"], help=f"voices of `--speech {SYNTHESISED}`, e.g. heart heart-4 joe joe+4")
    parser.add_argument("--people", type=int, default=48, help="people in the clips")
    parser.add_argument("--seconds", type=float, help="speech of each person in seconds, instead of --passes and --silent")
    parser.add_argument("--passes", type=int, default=3, help="clips made of each recording")
    parser.add_argument("--silent", type=int, default=90, help="clips without speech")
    parser.add_argument("--manner", choices=MANNERS, help="how everybody acts (default: a mixture)")
    parser.add_argument("--pictured-people", type=int, help="people in the pictures (default: as in the clips, 64 at most)")
    parser.add_argument("--first-person", type=int, default=0, help="number of the first person; other numbers are other people")
    parser.add_argument("--frames", type=int, default=32, help="pictures of each person")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Makes what was asked for and returns counts.

    Raises Fault ``data-missing``, ``voice-unknown``, ``package-missing`` or ``bad-option``.
    """
    from backend.cli.progress import ProgressBar

    if arguments.people < 1 or (arguments.seconds is not None and arguments.seconds <= 0):
        raise Fault("bad-option", "There must be at least one person and some seconds of speech.", "Use e.g. --people 200 --seconds 20.")
    folder = data_folder(arguments.data)
    parts, out = load_parts(folder), Path(arguments.out)
    report: dict[str, Any] = {}
    with ProgressBar(getattr(arguments, "quiet", False)) as progress:
        if arguments.what != "pictures":
            report |= _clips(arguments, folder, parts, out, progress)
        if arguments.what in ("pictures", "both"):
            from .pictures import write_people

            people = arguments.pictured_people or min(arguments.people, 64)
            report["pictures"] = write_people(parts, out / "actors", people, arguments.frames, progress, arguments.first_person)
    if not getattr(arguments, "quiet", False):
        for name, counts in report.items():
            print(f"{name}: " + ", ".join(f"{value:.4g} {key.replace('_', ' ')}" for key, value in counts.items()))
    return report


def _clips(arguments: argparse.Namespace, folder: Path, parts: Any, out: Path, progress: Any) -> dict[str, Any]:
    """The landmark clips, or the movies."""
    from .clips import planned, write_clips
    from .phones import read_lines

    lines = []
    for place in arguments.speech or [str(folder / "speech/lj")]:
        if place == SYNTHESISED:
            from .voices import speak_lines

            lines += read_lines(speak_lines(out / "actors_speech", tuple(arguments.voices), progress))
        else:
            lines += read_lines(Path(place))
    jobs = planned(lines, arguments.people, arguments.passes, arguments.silent, arguments.seconds, arguments.first_person)
    if arguments.what == "videos":
        from .videos import write_videos

        target = Path(arguments.clips_to or out / "actors_video")
        return {"movies": write_videos(parts, jobs, target, progress, arguments.manner) | {"recordings": len(lines)}}
    target = Path(arguments.clips_to or out / "actors_motion")
    return {"clips": write_clips(parts, jobs, target, progress, arguments.manner) | {"recordings": len(lines)}}
