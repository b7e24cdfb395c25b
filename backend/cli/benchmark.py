# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the speed of a stage. Without --stage, of both."""

from __future__ import annotations

import argparse
from typing import Any

from .stages import add_stage_arguments, run_stages

STAGES = {"motion": ("backend.benchmark.motion",), "synthesis": ("backend.benchmark.synthesis",)}


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The stage, and its own options once it is known."""
    add_stage_arguments(parser, words, "benchmark", STAGES)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Hands over to the stage, or to one after the other."""
    return run_stages(arguments)
