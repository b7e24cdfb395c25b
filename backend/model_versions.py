# SPDX-License-Identifier: GPL-3.0-or-later
"""Which weights made a take: sha256 of each, as its card says. The store checks the files against the same cards."""

from __future__ import annotations

import json
from pathlib import Path

WEIGHTS = Path(__file__).with_name("weights")
CARDS = {"small": ("motion", "small")}


def model_versions(tier: str) -> dict[str, str]:
    """Name and sha256 of the shipped weights that a tier runs; those of other origin are in the report's notes."""
    found = {}
    for name in CARDS.get(tier, ("motion",)):
        try:
            card = json.loads((WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(card.get("sha256"), str):
            found[name] = card["sha256"]
    return found
