# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the figures of an evaluation into a weights file's model card, as JSON and as a page to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.evaluation.motion_required import figures

_FORMER_MACHINE = "one thread of a two-core machine that had other work too, no GPU"
_COUNTS = ("tracked_clips", "revoiced_clips", "actor_clips")


def write_card(path: Path, report: dict[str, Any]) -> None:
    """Adds ``report`` (what ``evaluate --stage motion`` measured) to the card ``path`` (.json) and writes the page beside it (.md)."""
    card = json.loads(path.read_text(encoding="utf-8"))
    card["figures"] = report
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(page(card), encoding="utf-8")


def page(card: dict[str, Any]) -> str:
    """The model card in Markdown."""
    training = card["training"]
    lines = [f"# {card['name']}", "", card["purpose"] + ".", ""]
    lines += [
        f"- File: `{card['file']}`, {card['bytes'] / 1e6:.1f} MB, {card['parameters'] / 1e6:.2f} M parameters, float16",
        f"- sha256: `{card['sha256']}`",
    ]
    lines += [f"- Licence: {card['licence']}", "", "## Data", ""]
    lines += [f"- {data['name']} ({data['licence']}): {data['use']}. {data['credit']}." for data in card["data"]]
    lines += ["", "## Training", "", f"`{training['command']}`: {training['steps']} updates, seed {training['seed']},"]
    lines += [
        f"{training['seconds'] / 60:.1f} minutes by the clock on {training.get('machine', _FORMER_MACHINE)}, "
        + ", ".join(f"{training[name]} {name.replace('_', ' ')}" for name in _COUNTS if name in training)
        + ".",
        training.get("note", ""),
        *([f"Started from weights with sha256 `{training['started_from']}`."] if "started_from" in training else []),
        "",
    ]
    lines += [
        "Make the data first: `python -m backend prepare --layout grid --clips FOLDER`, then",
        "`python -m backend prepare --layout revoiced --each 3 --voices heart heart+3 heart-4 heart-8 awb awb+4 rms rms-3 slt slt+3",
        "slt-4 kal` and, FOLDER with LJ Speech in it, `python -m backend prepare --layout actors --what clips --speech FOLDER synthesised",
        "--voices heart heart+4 heart-4 heart-8 awb awb+5 rms rms-3 slt slt+3 kal --people 96 --passes 1`; on one machine for another:",
        "`python -m backend prepare --layout packed`.",
        "",
    ]
    if training.get("before"):
        commands = " and ".join(f"`{command}`" for command in training["before"])
        lines += [f"Then the experts that judge its motion (their weights and cards lie in `experts/`): {commands}.", ""]
    lines += _figures(card["figures"]) if "figures" in card else []
    lines += ["## Limits", ""] + [f"- {limit}" for limit in card["limits"]] + [""]
    return "\n".join(lines)


def _figures(report: dict[str, Any]) -> list[str]:
    lines = [
        "## Figures",
        "",
        f"`python -m backend evaluate --stage motion`: {report['clips']} held-out clips of the one real speaker, voice only.",
        "",
    ]
    columns = ("", "gap r", "10th percentile", "right minus wrong voice", "lip error / mean face", "best lag", "2nd difference / real")
    lines += ["| " + " | ".join((*columns, "p b m shut", "others shut")) + " |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for name, row in report["voice"].items():
        shut, others = (_number(row[key]) for key in ("closed_bilabials", "closed_others"))
        voice = "" if name == "real clip" else f"{row['voice_share']:.2f}"
        first = f"| {name} | {row['gap_r']:.3f} | {row['gap_r_p10']:.3f} | {voice} | {row['lip_error_share']:.2f} | {row['best_lag']:.0f}"
        lines.append(f"{first} | {row['second_difference']:.2f} | {shut} | {others} |")
    for name, rows in report["aus"].items():
        lines += ["", f"Keyed AUs {name}, intensity 4 against 0, % of the inter-ocular distance (AU45: % of the lid gap):", ""]
        lines += ["| AU | response | weakest frame | Spearman 0..5 | largest other AU % | elsewhere % |", "|---|---|---|---|---|---|"]
        for row in rows:
            moved = f"{100 * row['response']:.1f} | {100 * row['weakest']:.1f}"
            others = f"{100 * row['most_others']:.0f} ({row['most_others_key']}) | {100 * row['cross_talk']:.0f}"
            lines.append(f"| {row['key']} | {moved} | {row['spearman']:.3f} | {others} |")
    return [*lines, "", *_required(report)]


def _required(report: dict[str, Any]) -> list[str]:
    """What the figures must show, floor and aim beside each."""
    lines = ["What must be shown:", "", "| | measured | floor | aim | |", "|---|---|---|---|---|"]
    for figure in figures(report):
        name = f"{figure.group}: {figure.name}" + (f" ({figure.note})" if figure.note else "")
        values = " | ".join(figure.shown(limit) for limit in (figure.value, figure.floor, figure.aim))
        lines.append(f"| {name} | {values} | {figure.verdict} |")
    return [*lines, ""]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
