# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that hand over to a stage's own module, which is imported only when that stage was chosen.

Such a module has ``add_arguments(parser)`` and ``run(arguments) -> dict``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bridge.faults import Fault


class StageModule(Protocol):
    """What a stage's module offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the stage's own options."""

    def run(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """Does the work and prints its own table; the report."""
        ...


Stages = Mapping[str, Sequence[str]]  # name: modules to look for, the first that exists counts; none: a later release


def chosen_stage(words: Sequence[str], option: str) -> str | None:
    """The value of an option (``--stage``), or of the first word where ``option`` has no dashes, before anything else is parsed."""
    if not option.startswith("-"):
        return next((word for word in words if not word.startswith("-")), None)
    peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    peek.add_argument(option, dest="stage")
    try:
        return peek.parse_known_args([word for word in words if word not in ("-h", "--help")])[0].stage
    except SystemExit:  # the option without its value: the real parser says it better
        return None


def stage_module(command: str, stage: str, stages: Stages) -> StageModule:
    """The module of a stage. Raises Fault ``later-release`` where this release has none."""
    for name in stages[stage]:
        if _exists(name):
            module = importlib.import_module(name)
            if hasattr(module, "run") and hasattr(module, "add_arguments"):
                return module  # type: ignore[return-value]
    there = ", ".join(other for other, names in stages.items() if any(map(_exists, names)))
    raise Fault("later-release", f"`{command} {stage}` comes with a later release.", f"This one has: {there or 'none yet'}.")


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is not there
        return False


def add_stage_arguments(parser: argparse.ArgumentParser, words: Sequence[str], command: str, stages: Stages) -> None:
    """``--stage`` with the chosen stage's own options; without it, all stages with their defaults."""
    stage = chosen_stage(words, "--stage")
    parser.add_argument("--stage", choices=list(stages), help="one stage alone, with its own options (see --stage STAGE --help)")
    if stage is not None and stage in stages:
        module = stage_module(f"{command} --stage", stage, stages)
        module.add_arguments(parser)
        parser.set_defaults(stage_modules={stage: module})
    else:
        parser.set_defaults(stage_modules={name: stage_module(f"{command} --stage", name, stages) for name in stages})


def run_stages(arguments: argparse.Namespace) -> dict[str, Any]:
    """One stage's report, or a report for each stage."""
    modules = arguments.stage_modules
    if arguments.stage is not None:
        return modules[arguments.stage].run(arguments)
    reports = {}
    for name, module in modules.items():
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        defaults = parser.parse_args([])
        reports[name] = module.run(argparse.Namespace(**{**vars(arguments), **vars(defaults), "stage": name}))
    return reports
