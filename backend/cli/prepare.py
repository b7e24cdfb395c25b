# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn a collection of talking-face videos, or synthetic actors, into training data: one npz for each clip."""

from __future__ import annotations

import argparse
from typing import Any

from .stages import chosen_stage, stage_module

_VIDEOS = ("backend.training.prepare.command", "backend.training.prepare")
LAYOUTS = {
    "grid": _VIDEOS,
    "mead": _VIDEOS,
    "clips": _VIDEOS,
    "actors": ("backend.training.actors.command", "backend.training.actors"),
    "revoiced": ("backend.training.prepare.revoiced", "backend.training.prepare"),
    "packed": ("backend.training.prepare.packing", "backend.training.prepare"),
}


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The layout, and its own options once it is known."""
    layout = chosen_stage(words, "--layout")
    parser.add_argument("--layout", required=True, choices=list(LAYOUTS), help="how the collection's folders are laid out")
    if layout in LAYOUTS:
        module = stage_module("prepare --layout", layout, LAYOUTS)
        module.add_arguments(parser)
        parser.set_defaults(stage_module=module)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Hands over to the layout."""
    return arguments.stage_module.run(arguments)
