# SPDX-License-Identifier: GPL-3.0-or-later
"""What a movie says about where it comes from: content credentials, the notes inside the file, the mark in its pictures."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Options of ``verify``."""
    parser.add_argument("movie", metavar="FILE", help="the movie to look at")
    parser.add_argument(
        "--pictures", action="store_true", help="look for the invisible mark too where other marks are there (some seconds)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Reads the marks and says what they mean."""
    from ..provenance.verify import verify_movie

    found = verify_movie(arguments.movie, arguments.pictures)
    if not arguments.quiet:
        print(found.sentence)
    return found.to_dict()
