# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend train lip-expert``: voice against lips, a frozen expert of `train motion`."""

from __future__ import annotations

import argparse
from typing import Any

from backend.training.motion.expert_command import add_expert_arguments, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_expert_arguments(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains, scores and writes the expert. Raises Fault ``data-missing``."""
    return train("lip-expert", arguments)
