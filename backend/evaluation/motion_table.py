# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what stage 1 must show: each figure beside its floor and its aim, and whether it meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Way = Literal["at least", "at most", "within"]
Limit = float | tuple[float, float] | None


@dataclass(frozen=True)
class Figure:
    """One measured figure. ``value`` None: it could not be measured, ``note`` says why. ``floor``, ``aim``: a limit, or (with ``within``) a
    range; None where nothing is asked. ``unit`` is printed behind the value; ``percent`` prints a share as per cent."""

    group: str
    name: str
    value: float | None
    floor: Limit = None
    aim: Limit = None
    way: Way = "at least"
    digits: int = 2
    percent: bool = False
    unit: str = ""
    note: str = ""

    def meets(self, limit: Limit) -> bool | None:
        """Whether the value meets a limit; None where there is no value or no limit."""
        if self.value is None or limit is None:
            return None
        if isinstance(limit, tuple):
            return limit[0] <= self.value <= limit[1]
        return self.value >= limit if self.way == "at least" else self.value <= limit

    @property
    def verdict(self) -> str:
        """``aim met``, ``floor met``, ``MISSED``, ``missing``, or nothing where nothing is asked."""
        if self.value is None:
            return "missing"
        if self.meets(self.aim):
            return "aim met"
        meets_floor = self.meets(self.floor)
        return "" if meets_floor is None else "floor met" if meets_floor else "MISSED"

    def to_dict(self) -> dict[str, Any]:
        """Plain form for the report."""
        return {**asdict(self), "verdict": self.verdict, "floor_met": self.meets(self.floor), "aim_met": self.meets(self.aim)}

    def shown(self, limit: Limit) -> str:
        """A value or limit as text."""
        if limit is None:
            return "-"
        if isinstance(limit, tuple):
            return f"{limit[0]:g}-{limit[1]:g}" if limit[0] != limit[1] else f"{limit[0]:g}"
        return f"{100 * limit:.{max(self.digits - 1, 0)}f} %" if self.percent else f"{limit:.{self.digits}f}{self.unit}"


def print_table(figures: Sequence[Figure]) -> None:
    """Prints the figures group by group, and how many floors and aims are met."""
    width = max((len(figure.name) for figure in figures), default=0) + 2
    group = ""
    for figure in figures:
        if figure.group != group:
            group = figure.group
            print(f"\n{group:{width}} {'measured':>10} {'floor':>10} {'aim':>10}")
        floor, aim = figure.shown(figure.floor), figure.shown(figure.aim)
        note = f"  ({figure.note})" if figure.note else ""
        print(f"{figure.name:{width}} {figure.shown(figure.value):>10} {floor:>10} {aim:>10}  {figure.verdict}{note}")
    counts = tally(figures)
    print(
        f"\nFloors met: {counts['floors_met']} of {counts['floors']}; aims met: {counts['aims_met']} of {counts['aims']}; "
        f"not measured: {counts['missing']}"
    )


def tally(figures: Sequence[Figure]) -> dict[str, int]:
    """How many floors and aims there are and how many are met."""
    floors = [figure.meets(figure.floor) for figure in figures if figure.floor is not None and figure.value is not None]
    aims = [figure.meets(figure.aim) for figure in figures if figure.aim is not None and figure.value is not None]
    return {
        "floors": len(floors),
        "floors_met": sum(map(bool, floors)),
        "aims": len(aims),
        "aims_met": sum(map(bool, aims)),
        "missing": sum(figure.value is None for figure in figures),
    }
