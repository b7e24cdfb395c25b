# SPDX-License-Identifier: GPL-3.0-or-later
"""AU curves from a table with OpenFace's columns, thinned to the keys that an animator would set."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .bridge.facs import AU_KEYS, MAXIMUM_INTENSITY
from .bridge.faults import Fault

TOLERANCE = 0.02  # intensity by which thinned keys may miss the table
PRESENT_INTENSITY = 3.0  # what a presence column (AU28_c: 0 or 1) counts as
_AU_COLUMN = re.compile(r"(AU\d\d)(_r|_c)?", re.IGNORECASE)
Keys = dict[str, list[tuple[float, float]]]


def read_keys(path: Path, tolerance: float = TOLERANCE) -> Keys:
    """Keys of every AU in the table as (seconds, intensity). A missing column is a free AU.

    Faults ``au-csv-unreadable``, ``au-csv-empty``, ``au-csv-columns``, ``au-csv-time``, ``au-not-finite``, ``au-range``.
    """
    columns, rows = _read(path)
    names = [column.lower() for column in columns]
    if "timestamp" not in names:
        raise Fault(
            "au-csv-time",
            f"{path.name} has no column timestamp.",
            "Give a table with a time in seconds in every row, as OpenFace writes it.",
        )
    times = _column(path, rows, names.index("timestamp"), "timestamp")
    if (np.diff(times) <= 0).any():
        raise Fault("au-csv-time", f"The times in {path.name} do not rise from row to row.", "Give a table of one face, in order.")
    keys: Keys = {}
    for key, (place, presence) in _au_columns(columns).items():
        values = _column(path, rows, place, key)
        values = np.where(values > 0, PRESENT_INTENSITY, 0.0) if presence else values
        if (values < 0).any() or (values > MAXIMUM_INTENSITY).any():
            wrong = values[(values < 0) | (values > MAXIMUM_INTENSITY)][0]
            raise Fault(
                "au-range",
                f"{key} is {wrong:g} in {path.name}; AU intensities run from 0 to 5.",
                "Divide the column if it is in another unit.",
            )
        keys[key] = [(float(times[row]), float(values[row])) for row in thinned(times, values, tolerance)]
    if not keys:
        raise Fault("au-csv-columns", f"{path.name} has no Action Unit column.", "Name columns like AU12_r, as OpenFace does.")
    return keys


def thinned(times: NDArray[np.float64], values: NDArray[np.float64], tolerance: float) -> list[int]:
    """Rows such that straight lines between them miss no value by more than the tolerance (Ramer, Douglas, Peucker)."""
    kept, waiting = {0, len(values) - 1}, [(0, len(values) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        span = slice(first, last + 1)
        misses = np.abs(values[span] - np.interp(times[span], times[[first, last]], values[[first, last]]))
        worst = first + int(misses.argmax())
        if misses.max() > tolerance:
            kept.add(worst)
            waiting += [(first, worst), (worst, last)]
    return sorted(kept)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(row)]
    except (OSError, ValueError, csv.Error):
        raise Fault("au-csv-unreadable", f"{path.name} cannot be read as a table.", "Give a CSV file.") from None
    if len(rows) < 2:
        raise Fault("au-csv-empty", f"{path.name} holds no rows.", "It needs a line of column names and a line for every moment.")
    return rows[0], rows[1:]


def _au_columns(columns: list[str]) -> dict[str, tuple[int, bool]]:
    """Place of each AU's column and whether it tells mere presence; an intensity goes before a presence."""
    found: dict[str, tuple[int, bool]] = {}
    for place, column in enumerate(columns):
        match = _AU_COLUMN.fullmatch(column)
        key = match.group(1).upper() if match else ""
        presence = match is not None and (match.group(2) or "").lower() == "_c"
        if key in AU_KEYS and (key not in found or not presence) and (not presence or key == "AU28"):
            found[key] = (place, presence)
    return found


def _column(path: Path, rows: list[list[str]], place: int, name: str) -> NDArray[np.float64]:
    try:
        values = np.array([float(row[place]) for row in rows])
    except (ValueError, IndexError):
        raise Fault("au-not-finite", f"{name} in {path.name} holds something that is not a number.", "Mend the table.") from None
    if not np.isfinite(values).all():
        raise Fault("au-not-finite", f"{name} in {path.name} holds something that is not a number.", "Mend the table.")
    return values
