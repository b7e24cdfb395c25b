# SPDX-License-Identifier: GPL-3.0-or-later
"""Action Units over time in OpenFace's columns, for the command line and the add-on alike.

``frame, timestamp, AU01_r ... AU45_r``, AU28 as ``AU28_c`` or ``AU28_r``, any subset, with or without spaces after the
commas. A missing column is a free AU.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .facs import AU_INDEX, AU_KEYS, MAXIMUM_INTENSITY
from .faults import Fault
from .tables import Table, numbers_in, read_table, successful_rows, times_of

PRESENT_INTENSITY = 3.0  # what a presence column (AU28_c: 0 or 1) counts as: C, "pronounced"
_AU_COLUMN = re.compile(r"AU(\d\d)(_r|_c)?", re.IGNORECASE)


@dataclass(frozen=True)
class AuTable:
    """``times``: seconds of each row, rising. ``values``: intensities 0..5 of every AU that the table has, (rows,) each."""

    times: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]


def read_au_table(path: str | Path, fps: Fraction) -> AuTable:
    """The rows in which OpenFace found the face. ``fps``: rate of a table that has frame numbers or nothing for its times.

    Raises Fault ``au-csv-missing``, ``au-csv-unreadable``, ``au-csv-empty``, ``au-csv-columns``, ``au-csv-time``,
    ``au-not-finite`` or ``au-range``.
    """
    table = read_table(Path(path), "au-csv")
    chosen = _au_columns(table)
    if not chosen:
        raise Fault(
            "au-csv-columns",
            f"{table.name} has no Action Unit column; its columns are: {table.summary()}.",
            "Name columns like AU12_r, as OpenFace does.",
        )
    times, good = times_of(table, fps), successful_rows(table)
    values: dict[str, NDArray[np.float64]] = {}
    for key, (column, presence) in chosen.items():
        readings = numbers_in(table, column, "au")[good]
        if presence:
            readings = np.where(readings > 0, PRESENT_INTENSITY, 0.0)
        else:
            _check_range(table, column, readings, good)
        values[key] = readings
    return AuTable(times[good], values)


def au_table_text(aus: NDArray[np.float32], fps: Fraction) -> str:
    """(frames, 18) intensities 0..5 as CSV with OpenFace's columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "timestamp", *(f"{key}_r" for key in AU_KEYS)])
    for index, row in enumerate(aus):
        writer.writerow([index + 1, f"{float(index / fps):.4f}", *(f"{value:.3f}" for value in row)])
    return text.getvalue()


def _au_columns(table: Table) -> dict[str, tuple[str, bool]]:
    """Column of each AU, and whether it tells mere presence.

    Intensity (``_r``) goes before presence (``_c``), which only AU28 has alone.
    """
    chosen: dict[str, tuple[str, bool]] = {}
    for column in table.columns:
        match = _AU_COLUMN.fullmatch(column)
        if match is None or f"AU{match[1]}" not in AU_INDEX:
            continue
        key, presence = f"AU{match[1]}", (match[2] or "").lower() == "_c"
        if presence and key != "AU28":
            continue
        if not presence or key not in chosen:
            chosen[key] = (column, presence)
    return chosen


def _check_range(table: Table, column: str, values: NDArray[np.float64], good: NDArray[np.bool_]) -> None:
    bad = np.flatnonzero((values < 0) | (values > MAXIMUM_INTENSITY))
    if len(bad):
        row = int(np.flatnonzero(good)[bad[0]])
        sentence = f"{table.name} has {values[bad[0]]:g} in row {row + 1}, column {column}; AU intensities run from 0 to 5."
        raise Fault("au-range", sentence, "Correct the cell, or divide the column if it is in another unit.")
