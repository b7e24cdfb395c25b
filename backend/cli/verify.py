# SPDX-License-Identifier: GPL-3.0-or-later
"""What a movie says about where it comes from: content credentials and the notes inside the file."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Options of ``verify``."""
    parser.add_argument("movie", metavar="FILE", help="the movie to look at")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Reads the marks and says what they mean."""
    from ..provenance.verify import verify_movie

    found = verify_movie(arguments.movie)
    if not arguments.quiet:
        print(found.sentence)
    return found.to_dict()
