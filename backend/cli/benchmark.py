# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the speed of a stage. Without --stage, of both stages of the backend; `--stage blender` measures the add-on."""

from __future__ import annotations

import argparse
from typing import Any

from .stages import add_stage_arguments, chosen_stage, run_stages

STAGES = {"motion": ("backend.benchmark.motion",), "synthesis": ("backend.benchmark.synthesis",), "blender": ("backend.benchmark.blender",)}
STAGES |= {"sd15": ("backend.benchmark.sd15",)}
ONLY_WHEN_ASKED = ("blender", "sd15")  # one needs the Blenders of a checkout, the other large networks


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The stage, and its own options once it is known."""
    tier = chosen_stage(words, "--tier")
    parser.add_argument("--tier", choices=["small", "sd15"], help="sd15: the same as --stage sd15")
    if tier == "sd15" and chosen_stage(words, "--stage") is None:
        words = [*words, "--stage", "sd15"]
        parser.set_defaults(stage="sd15")
    add_stage_arguments(parser, words, "benchmark", STAGES)
    modules = parser.get_default("stage_modules")
    if len(modules) > 1:
        parser.set_defaults(stage_modules={name: module for name, module in modules.items() if name not in ONLY_WHEN_ASKED})


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Hands over to the stage, or to one after the other."""
    return run_stages(arguments)
