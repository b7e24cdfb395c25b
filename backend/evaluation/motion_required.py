# SPDX-License-Identifier: GPL-3.0-or-later
"""What stage 1 must show, from the report of an evaluation: every figure with its floor and its aim."""

from __future__ import annotations

from typing import Any

from backend.evaluation.motion_aus import FLOOR_DISPLACEMENT, FLOOR_LID_CLOSURE, REQUIRED
from backend.evaluation.motion_keys import is_monotone
from backend.evaluation.motion_table import Figure

VOICE, OTHERS, AUS, TAKES, SPEED = "Voice only, held-out clips", "Other voices, gap r", "Keyed AUs", "Takes and knobs", "Speed"
FLOOR_OTHER, AIM_OTHER = 0.65, 0.85


def figures(report: dict[str, Any]) -> list[Figure]:
    """The table of a report of ``evaluate --stage motion``."""
    return [*_voice(report["voice"]), *_others(report["other_voices"]), *_aus(report), *_takes(report), *_speed(report["speed"])]


def _voice(rows: dict[str, Any]) -> list[Figure]:
    own, real = rows["generator"], rows["real clip"]
    regressor = next((row for name, row in rows.items() if name.startswith("regressor")), None)
    beside = f"plain regressor {regressor['gap_r']:.3f}, " if regressor else ""
    beside += f"deaf clock {rows['deaf clock']['gap_r']:.3f}"
    shut, others = own["closed_bilabials"], own["closed_others"]
    more = None if others is None else others - real["closed_others"]
    return [
        Figure(VOICE, "gap r, mean", own["gap_r"], 0.85, 0.94, digits=3, note=beside),
        Figure(VOICE, "gap r, 10th percentile of clips", own["gap_r_p10"], 0.70, 0.85, digits=3),
        Figure(VOICE, "lip error / mean-face error", own["lip_error_share"], 0.68, 0.55, "at most", percent=True),
        Figure(VOICE, "p b m shut (seg15)", shut, 0.80, 0.95, note="" if shut is None else f"real {real['closed_bilabials']:.2f}"),
        Figure(VOICE, "other phones shut, above real", more, 0.10, 0.04, "at most", 3, note="" if more is None else f"{others:.3f} shut"),
        Figure(VOICE, "right minus wrong voice r", own["voice_share"], 0.25, 0.45, digits=3),
        Figure(VOICE, "best lag, frames", own["best_lag"], (0, 0), (0, 0), "within", 0),
        Figure(VOICE, "second difference / real", own["second_difference"], (0.7, 1.5), (0.9, 1.1), "within"),
    ]


def _others(rows: dict[str, Any]) -> list[Figure]:
    result = []
    for name, row in rows.items():
        asked = name != "as recorded"
        note = "" if row is None else f"{row['clips']} clips, minus wrong {row['voice_share']:.2f}"
        value = None if row is None else row["gap_r"]
        result.append(Figure(OTHERS, name, value, FLOOR_OTHER if asked else None, AIM_OTHER if asked else None, digits=3, note=note))
    return result


def _aus(report: dict[str, Any]) -> list[Figure]:
    speaking = report["aus"]["while speaking"]
    ranks = min(speaking, key=lambda row: row["spearman"])
    cross = max(speaking, key=lambda row: row["most_others"])
    elsewhere = max(speaking, key=lambda row: row["cross_talk"])
    every = [row for rows in report["aus"].values() for row in rows if row["key"] in REQUIRED]
    moved = min((row for row in every if row["key"] != "AU45"), key=lambda row: row["response"])
    lids = min((row for row in every if row["key"] == "AU45"), key=lambda row: row["response"])
    upper = report["upper_face"]
    return [
        Figure(AUS, "Spearman over 0-5, worst AU", ranks["spearman"], 0.95, 0.99, digits=3, note=ranks["key"]),
        Figure(AUS, "Spearman over 0-5, mean", sum(row["spearman"] for row in speaking) / len(speaking), 0.95, 0.99, digits=3),
        Figure(AUS, "cross-talk, largest other AU", cross["most_others"], 0.25, 0.10, "at most", percent=True, note=_pair(cross)),
        Figure(
            AUS, "displacement elsewhere, worst AU", elsewhere["cross_talk"], 0.25, 0.10, "at most", percent=True, note=elsewhere["key"]
        ),
        Figure(AUS, "response at 4, weakest AU", moved["response"], FLOOR_DISPLACEMENT, None, digits=3, note=f"{moved['key']} of eight"),
        Figure(AUS, "lid gap closed at 4", lids["response"], FLOOR_LID_CLOSURE, None),
        Figure(AUS, "drop of gap r, upper face keyed", upper["drop"], 0.05, 0.01, "at most", 3, note=f"{upper['free']:.3f} free"),
    ]


def _pair(row: dict[str, Any]) -> str:
    return f"{row['key']} on {row['most_others_key']}"


def _takes(report: dict[str, Any]) -> list[Figure]:
    seeds, guided = report["seeds"], report["guidance"]
    both = f"{seeds['gap_r_first']:.3f} and {seeds['gap_r_second']:.3f}"
    return [
        Figure(TAKES, "two seeds' motion apart", seeds["spread"], 1e-4, None, digits=5, note=f"lips {seeds['lip_spread']:.5f}"),
        Figure(TAKES, "two seeds' gap r apart", seeds["gap_r_difference"], 0.03, None, "at most", 3, note=both),
        Figure(TAKES, "guidance 0-2 monotone, share of AUs", _monotone_share(guided), 1.0, None, note=_strongest(guided)),
    ]


def _monotone_share(guided: dict[str, list[float]]) -> float:
    return sum(is_monotone({key: row}) for key, row in guided.items()) / len(guided)


def _strongest(guided: dict[str, list[float]]) -> str:
    shares = [row[-1] / max(abs(row[2]), 1e-6) for row in guided.values()]
    return f"strength 2 moves {min(shares):.1f}-{max(shares):.1f} times what 1 does"


def _speed(row: dict[str, float]) -> list[Figure]:
    note = f"CPU time; {row['edit_ms']:.0f} ms by the clock, {row['first_ms'] / max(row['edit_ms'], 1e-3):.1f} x for a first prediction"
    return [Figure(SPEED, "AU edit, 10 s at 25 fps", row["edit_cpu_ms"], 100.0, 40.0, "at most", 0, unit=" ms", note=note)]
