# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend prepare --layout grid|clips|mead``: tracks a collection of talking faces into training data."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--clips",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="grid, clips: folder of videos, each with its own sound or a sound file of its name beside it; mead: folder of MEAD's people",
    )
    parser.add_argument(
        "--out", type=Path, default=None, help="folder for one npz per clip (default: work/data/LAYOUT); finished clips are kept"
    )
    parser.add_argument("--most", type=int, default=None, help="prepare only the first so many clips")
    parser.add_argument("--shortest", type=float, default=1.0, help="seconds; shorter pieces between cuts are left out")
    parser.add_argument("--silent-clips", action="store_true", help="also use videos without sound (for training of stage 2)")
    parser.add_argument("--views", nargs="+", default=["front"], help="mead: cameras to use, e.g. front left_30 right_30")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prepares the collection. Raises Fault ``data-missing`` and those of a disk that is full or must not be written."""
    from backend.cli.progress import ProgressBar
    from backend.training.prepare.clips import prepare_all
    from backend.training.prepare.sources import find_sources

    layout, quiet = arguments.layout, getattr(arguments, "quiet", False)
    out = arguments.out or Path("work/data") / layout
    sources = find_sources(layout, arguments.clips, tuple(arguments.views))[: arguments.most]
    with ProgressBar(quiet, gentle_interrupt=True) as progress:
        counts, reports = prepare_all(sources, out, progress, arguments.silent_clips, arguments.shortest, None if quiet else print)
    used = sum(report.used_seconds for report in reports)
    if not quiet:
        named = {"written": "written", "kept": "kept from before", "without_face": "without a usable face", "unusable": "unusable"}
        print(", ".join(f"{counts[key]} {words}" for key, words in named.items()) + f"; {used / 60:.1f} minutes in {out}")
    return {"out": str(out), **counts, "clips": [asdict(report) for report in reports]}
