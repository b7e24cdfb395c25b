# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the speed of a stage. Without --stage, of both stages of the backend; `--stage blender` measures the add-on."""

from __future__ import annotations

import argparse
from typing import Any

from .stages import add_stage_arguments, run_stages

STAGES = {"motion": ("backend.benchmark.motion",), "synthesis": ("backend.benchmark.synthesis",), "blender": ("backend.benchmark.blender",)}
ONLY_WHEN_ASKED = "blender"  # it needs the Blenders of a checkout


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The stage, and its own options once it is known."""
    add_stage_arguments(parser, words, "benchmark", STAGES)
    modules = parser.get_default("stage_modules")
    if len(modules) > 1:
        parser.set_defaults(stage_modules={name: module for name, module in modules.items() if name != ONLY_WHEN_ASKED})


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Hands over to the stage, or to one after the other."""
    return run_stages(arguments)
