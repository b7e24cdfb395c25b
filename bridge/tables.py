# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables over time as CSV files, read with care: any delimiter, any subset of columns, one sentence on what is wrong."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .faults import Fault

_LARGEST_FILE = 200 * 2**20
_NAMED_COLUMNS = 8
_HOLDS = {"au-csv": "Action Units", "head-csv": "head pose"}


@dataclass(frozen=True)
class Table:
    """``columns``: names as in the header, stripped. ``rows``: cells, stripped. ``name``: the file's, for sentences."""

    columns: list[str]
    rows: list[list[str]]
    name: str
    kind: str  # the beginning of the fault codes: "au-csv", "head-csv"

    def place_of(self, name: str) -> int | None:
        """Place of the column of that name, capitals or not; None where there is none."""
        lowered = [column.lower() for column in self.columns]
        return lowered.index(name.lower()) if name.lower() in lowered else None

    def summary(self) -> str:
        """The first column names, for a sentence."""
        return ", ".join(self.columns[:_NAMED_COLUMNS]) + (", ..." if len(self.columns) > _NAMED_COLUMNS else "")


def read_table(path: Path, kind: str) -> Table:
    """The cells of a CSV file. Raises Fault ``<kind>-missing``, ``<kind>-unreadable`` or ``<kind>-empty``."""
    what = _HOLDS.get(kind, "")
    if not path.is_file():
        raise Fault(f"{kind}-missing", f"There is no file {path}.", f"Check the path of the {what} table.".replace("  ", " "))
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise Fault(f"{kind}-unreadable", f"{path.name} is larger than a table can be.", "Give a CSV file.")
        text = path.read_text(encoding="utf-8-sig")
        if "\0" in text:
            raise ValueError("it holds binary data")
        delimiter = _delimiter(text)
        if delimiter == ";":
            text = text.replace(",", ".")  # spreadsheets of many countries write 1,5;2,0
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(io.StringIO(text), delimiter=delimiter)
            if any(cell.strip() for cell in row)
        ]
    except (OSError, ValueError, csv.Error) as error:
        reason = "it is not text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise Fault(f"{kind}-unreadable", f"{path.name} cannot be read as a table ({reason}).", "Give a CSV file.") from None
    if len(rows) < 2:
        raise Fault(f"{kind}-empty", f"{path.name} holds no rows.", "It needs a line of column names and a line for every moment.")
    return Table(rows[0], rows[1:], path.name, kind)


def _delimiter(text: str) -> str:
    header = text.lstrip().split("\n", 1)[0]
    return max(",;\t", key=header.count)


def times_of(table: Table, fps: Fraction) -> NDArray[np.float64]:
    """Seconds of each row: the timestamps, else the frame numbers from 1 at the shot's rate, else one row a frame."""
    names = [column.lower() for column in table.columns]
    if "timestamp" in names:
        column, times = "timestamp", numbers_in(table, table.columns[names.index("timestamp")], "time")
    elif "frame" in names:
        column, numbers = "frame", numbers_in(table, table.columns[names.index("frame")], "time")
        times = (numbers - min(numbers[0], 1)) / float(fps)
    else:
        return np.arange(len(table.rows)) / float(fps)
    wrong = np.flatnonzero(np.diff(times) <= 0)
    if len(wrong):
        row = int(wrong[0]) + 1
        same = "the same" if times[row] == times[row - 1] else "an earlier"
        sentence = f"{table.name} has {same} {column} in row {row + 1} as in the row before."
        raise Fault(
            f"{table.kind}-time",
            sentence if same == "the same" else sentence.replace(" as in ", " than in "),
            "Sort the rows by time and remove doubles.",
        )
    return times


def successful_rows(table: Table) -> NDArray[np.bool_]:
    """Rows in which OpenFace found the face; all of them where it does not say, or found it nowhere."""
    names = [column.lower() for column in table.columns]
    if "success" not in names:
        return np.ones(len(table.rows), bool)
    success = numbers_in(table, table.columns[names.index("success")], "time") > 0
    return success if success.any() else np.ones(len(table.rows), bool)


def numbers_in(table: Table, column: str, subject: str) -> NDArray[np.float64]:
    """A column as finite numbers. ``subject``: au, head or time, for the fault's code."""
    place = table.columns.index(column)
    values = np.empty(len(table.rows))
    for index, row in enumerate(table.rows):
        cell = row[place] if place < len(row) else ""
        try:
            values[index] = float(cell)
        except ValueError:
            values[index] = np.nan
        if not np.isfinite(values[index]):
            said = f"{cell!r}, not a number," if cell else "nothing"
            code = f"{table.kind}-time" if subject == "time" else f"{subject}-not-finite"
            raise Fault(
                code,
                f"{table.name} has {said} in row {index + 1}, column {column}.",
                "Correct the cell, or remove the column to leave it free.",
            )
    return values
