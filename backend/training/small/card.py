# SPDX-License-Identifier: GPL-3.0-or-later
"""The model card as a page to read, and the measured figures in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.synthesis.small.model_card import card_path, read_card
from backend.synthesis.small.turn import FREE_TURN

_COLUMNS = (
    ("crop", "crop, dB"),
    ("oval", "oval, dB"),
    ("mouth", "mouth, dB"),
    ("mouth_gain", "mouth over warp"),
    ("oval_gain", "oval over warp"),
    ("crop_gain", "crop over warp"),
    ("landmarks", "landmarks, %"),
    ("near", f"of those up to {FREE_TURN:g} degrees of turn"),
    ("dlib", "dlib's 68 points against the real frame's, %"),
    ("lips", "lips, %"),
    ("gap_r", "lip-gap r"),
    ("blink", "blink share"),
    ("identity", "identity"),
    ("flicker", "flicker / real"),
)


def add_figures(weights: Path, figures: dict[str, Any]) -> None:
    """Puts the report of ``evaluate --stage synthesis`` into the card of ``weights`` and writes the page beside it."""
    card = read_card(weights) | {"figures": figures}
    path = card_path(weights)
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
    write_page(weights)


def write_page(weights: Path) -> None:
    """``<name>.md`` beside the weights, from the card alone."""
    card = read_card(weights)
    lines = [f"# {card['name']}: {card.get('purpose', '')}", ""]
    if not card.get("trained"):
        lines += ["**These weights are untrained: frames show the warp alone.**", ""]
    lines += [f"{card['parameters']:,} parameters, {card['bytes'] / 1e6:.1f} MB in half precision, sha256 `{card['sha256']}`.", ""]
    lines += ["## Data and credits", ""]
    for name, counts in card.get("data", {}).items():
        spared = f", {counts['choosing']} kept for choosing settings" if counts.get("choosing") else ""
        lines.append(f"- `{name}`: {counts.get('training', 0)} clips to train on, {counts.get('validation', 0)} held out{spared}")
    lines += [f"- {credit}" for credit in card.get("credits", [])]
    lines += ["", f"Licence of the weights: {card.get('licence', '')}.", "", "## Training", ""]
    lines.append(f"`{card.get('command', '')}`, seed {card.get('seed')}: {card.get('minutes')} minutes, {card.get('images')} images.")
    lines += ["", *card.get("notes", [])]
    lines += ["", "## Limits", "", str(card.get("limits", "")), ""]
    if "figures" in card:
        lines += ["## Figures", "", "Printed by `python -m backend evaluate --stage synthesis --tier small`.", ""]
        lines += [line for group, methods in card["figures"]["groups"].items() for line in _table(group, methods)]
    page = weights.with_suffix(".md")
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _table(group: str, methods: dict[str, dict[str, Any]]) -> list[str]:
    lines = [f"### {group}", "", "| | " + " | ".join(title for _, title in _COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for method, values in methods.items():
        cells = (values.get(key) for key, _ in _COLUMNS)
        lines.append(f"| {method} | " + " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells) + " |")
    return [*lines, ""]
