# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend prepare --layout actors``: synthetic people as landmark clips, and as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .parts import DATA_VARIABLE, data_folder, load_parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the layout ``actors``."""
    parser.add_argument("--data", metavar="FOLDER", help=f"folder that holds actors/ and speech/ (default: {DATA_VARIABLE})")
    parser.add_argument("--out", default="work/data", metavar="FOLDER", help="clips go to FOLDER/actors_motion, pictures to FOLDER/actors")
    parser.add_argument("--what", choices=("clips", "pictures", "both"), default="both", help="landmark clips, rendered pictures, or both")
    parser.add_argument("--speech", metavar="FOLDER", help="recordings with transcripts.csv (default: speech/lj in the data folder)")
    parser.add_argument("--people", type=int, default=48, help="people in the clips")
    parser.add_argument("--passes", type=int, default=3, help="clips made of each recording")
    parser.add_argument("--silent", type=int, default=90, help="clips without speech")
    parser.add_argument("--pictured-people", type=int, default=64, help="people in the pictures")
    parser.add_argument("--first-person", type=int, default=0, help="number of the first person in the pictures")
    parser.add_argument("--frames", type=int, default=32, help="pictures of each person")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Makes what was asked for and returns counts."""
    from backend.cli.progress import ProgressBar

    folder = data_folder(arguments.data)
    parts, out = load_parts(folder), Path(arguments.out)
    report: dict[str, Any] = {}
    with ProgressBar(getattr(arguments, "quiet", False)) as progress:
        if arguments.what in ("clips", "both"):
            from .clips import write_clips
            from .phones import read_lines

            lines = read_lines(Path(arguments.speech) if arguments.speech else folder / "speech/lj")
            count = write_clips(parts, lines, out / "actors_motion", arguments.people, arguments.passes, arguments.silent, progress)
            report["clips"] = {"clips": count, "recordings": len(lines), "people": arguments.people}
        if arguments.what in ("pictures", "both"):
            from .pictures import write_people

            report["pictures"] = write_people(
                parts, out / "actors", arguments.pictured_people, arguments.frames, progress, arguments.first_person
            )
    if not getattr(arguments, "quiet", False):
        for name, counts in report.items():
            print(f"{name}: " + ", ".join(f"{value:g} {key.replace('_', ' ')}" for key, value in counts.items()))
    return report
