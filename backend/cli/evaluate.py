# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the quality of a stage beside its baselines. Without --stage, of both."""

from __future__ import annotations

import argparse
from typing import Any

from .stages import add_stage_arguments, run_stages

STAGES = {
    "motion": ("backend.evaluation.motion",),
    "synthesis": ("backend.evaluation.synthesis",),
    "parity": ("backend.evaluation.sd15_parity",),
}
BY_NAME_ONLY = ("parity",)  # compares code with code, on a file that has to be named


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The stage, and its own options once it is known."""
    add_stage_arguments(parser, words, "evaluate", STAGES)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Hands over to the stage, or to one after the other."""
    if arguments.stage is None:
        arguments.stage_modules = {name: module for name, module in arguments.stage_modules.items() if name not in BY_NAME_ONLY}
    return run_stages(arguments)
