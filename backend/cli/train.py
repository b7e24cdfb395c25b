# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the weights of a stage on prepared data."""

from __future__ import annotations

import argparse
from typing import Any

from .stages import chosen_stage, stage_module

STAGES = {
    "motion": ("backend.training.motion.command", "backend.training.motion"),
    "au-regressor": ("backend.training.motion.au_regressor",),
    "lip-expert": ("backend.training.motion.lip_expert",),
    "skin": ("backend.training.small.skin", "backend.training.small"),
    "small": ("backend.training.small.command", "backend.training.small"),
    "sd15": ("backend.training.sd15.command",),
}
_HELP = (
    "motion: voice and Action Units to landmarks; au-regressor, lip-expert: what judges its motion in training, trained first; "
    "small: landmarks to pictures, and skin: where they take the skin between them; sd15: the same with Stable Diffusion, in two steps"
)


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The stage, and its own options once it is known."""
    stage = chosen_stage(words, "stage")
    parser.add_argument("stage", choices=list(STAGES), help=_HELP)
    if stage in STAGES:
        module = stage_module("train", stage, STAGES)
        module.add_arguments(parser)
        parser.set_defaults(stage_module=module)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Hands over to the stage."""
    return arguments.stage_module.run(arguments)
