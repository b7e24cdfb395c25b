# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tier small is to reach on people never trained on: floors and aims, and which of them are met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """One measure's floor and aim; ``higher``: whether more is better."""

    name: str
    floor: float
    aim: float
    higher: bool = True

    def verdict(self, value: float | None) -> str:
        """ "aim", "floor", "missed", or "not measured"."""
        if value is None:
            return "not measured"
        for word, bound in (("aim", self.aim), ("floor", self.floor)):
            if value >= bound if self.higher else value <= bound:
                return word
        return "missed"


GOALS: dict[str, Goal] = {
    "crop_gain": Goal("face crop over the warp, dB", 0.5, 1.5),
    "oval_gain": Goal("face oval over the warp, dB", 0.8, 2.2),
    "mouth_gain": Goal("mouth over the warp, dB", 1.2, 3.0),
    "landmarks": Goal("landmarks found again, % inter-ocular", 1.2, 0.7, higher=False),
    "lips": Goal("lips found again, % inter-ocular", 1.5, 0.8, higher=False),
    "gap_r": Goal("lip gap, r", 0.93, 0.98),
    "blink": Goal("lid closure shown", 0.8, 0.95),
    "sweep": Goal("single AUs asked and found, Spearman", 0.9, 0.98),
    "identity": Goal("distance to the portrait's identity", 0.32, 0.24, higher=False),
    "flicker": Goal("flicker beside the face, of the real clip's", 1.3, 1.0, higher=False),
    "drift": Goal("PSNR lost over a minute, dB", 1.0, 0.3, higher=False),
}


def verdicts(values: dict[str, float | None]) -> dict[str, dict[str, Any]]:
    """Each goal with its value and verdict."""
    return {
        key: {"value": values.get(key), "floor": goal.floor, "aim": goal.aim, "verdict": goal.verdict(values.get(key))}
        for key, goal in GOALS.items()
    }


def print_verdicts(groups: dict[str, dict[str, dict[str, Any]]], titles: dict[str, str]) -> None:
    """One table: a row for each goal, a column for each group of people."""
    if not groups:
        return
    print("\nfloors and aims on people never trained on")
    width = max(24, *(len(titles.get(name, name)) for name in groups)) + 2
    print(f"{'':48}{'floor':>7}{'aim':>7}" + "".join(f"{titles.get(name, name):>{width}}" for name in groups))
    for key, goal in GOALS.items():
        cells = []
        for rows in groups.values():
            value, verdict = rows[key]["value"], rows[key]["verdict"]
            cells.append(f"{'-' if value is None else f'{value:.2f}'} {verdict:>12}")
        bound = "at least" if goal.higher else "at most"
        print(f"{f'{goal.name} ({bound})':48}{goal.floor:7g}{goal.aim:7g}" + "".join(f"{cell:>{width}}" for cell in cells))
