# SPDX-License-Identifier: GPL-3.0-or-later
"""The model card beside a file of weights, and its checksum; asked without torch, which takes its time to load."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bridge.faults import Fault


def card_path(weights: Path) -> Path:
    """The model card of a weights file: the same name, ending in .json."""
    return weights.with_suffix(".json")


def read_card(weights: Path) -> dict[str, Any]:
    """The model card. Raises Fault ``weights-missing`` or ``weights-mismatch``."""
    try:
        card = json.loads(card_path(weights).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Fault("weights-missing", f"The model card {card_path(weights).name} is missing.", "Install the backend again.") from None
    except ValueError:
        raise Fault("weights-mismatch", f"The model card {card_path(weights).name} is damaged.", "Install the backend again.") from None
    if not isinstance(card, dict):
        raise Fault("weights-mismatch", f"The model card {card_path(weights).name} is damaged.", "Install the backend again.")
    return card


def checked_digest(weights: Path) -> str:
    """sha256 of the weights file, once it agrees with the card. Raises Fault ``weights-missing`` or ``weights-mismatch``."""
    if not weights.is_file():
        raise Fault(
            "weights-missing", f"The weights file {weights.name} is missing.", "Install the backend again, or train it with `train small`."
        )
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if read_card(weights).get("sha256") != digest:
        raise Fault(
            "weights-mismatch",
            f"{weights.name} does not match the checksum in its model card.",
            "Install the backend again; a damaged file is never used.",
        )
    return digest
