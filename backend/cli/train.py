# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the weights of a stage on prepared data."""

from __future__ import annotations

import argparse
from typing import Any

from .stages import chosen_stage, stage_module

STAGES = {
    "motion": ("backend.training.motion.command", "backend.training.motion"),
    "small": ("backend.training.small.command", "backend.training.small"),
    "sd15": (),
}


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The stage, and its own options once it is known."""
    stage = chosen_stage(words, "stage")
    parser.add_argument("stage", choices=list(STAGES), help="motion: voice and Action Units to landmarks; small: landmarks to pictures")
    if stage in STAGES:
        module = stage_module("train", stage, STAGES)
        module.add_arguments(parser)
        parser.set_defaults(stage_module=module)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Hands over to the stage."""
    return arguments.stage_module.run(arguments)
