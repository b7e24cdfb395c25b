# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of Action Units and head pose over time, as CSV files.

AU tables have OpenFace's columns: ``frame, timestamp, AU01_r ... AU45_r``, AU28 as ``AU28_c`` or ``AU28_r``, any subset, with
or without spaces after the commas. A missing column is a free AU.
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

from bridge.facs import AU_COUNT, AU_INDEX, AU_KEYS, MAXIMUM_INTENSITY
from bridge.faults import Fault
from bridge.shot import HEAD_CHANNELS, HEAD_NEUTRAL

from .files import written_beside

PRESENT_INTENSITY = 3.0  # what a presence column (AU28_c: 0 or 1) counts as: C, "pronounced"
_AU_COLUMN = re.compile(r"AU(\d\d)(_r|_c)?", re.IGNORECASE)
_LARGEST_FILE = 200 * 2**20
_NAMED_COLUMNS = 8


@dataclass(frozen=True)
class _Table:
    """``columns``: names as in the header, stripped. ``rows``: cells, stripped. ``name``: the file's, for sentences."""

    columns: list[str]
    rows: list[list[str]]
    name: str
    kind: str  # "au-csv" or "head-csv", the beginning of the fault codes


def read_au_csv(path: str | Path, frame_count: int, fps: Fraction) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """AU values (frames, 18) 0..5 and the mask of keyed ones (frames, 18) at the shot's frames.

    Rows of other rates are resampled by their timestamps, the first and last rows held. Rows that OpenFace marks as failed
    are bridged. Raises Fault ``au-csv-missing``, ``au-csv-unreadable``, ``au-csv-empty``, ``au-csv-columns``, ``au-csv-time``,
    ``au-not-finite`` or ``au-range``.
    """
    table = _read_table(Path(path), "au-csv")
    chosen = _au_columns(table)
    if not chosen:
        found = ", ".join(table.columns[:_NAMED_COLUMNS]) + (", ..." if len(table.columns) > _NAMED_COLUMNS else "")
        raise Fault(
            "au-csv-columns",
            f"{table.name} has no Action Unit column; its columns are: {found}.",
            "Name columns like AU12_r, as OpenFace does.",
        )
    times, good = _times(table, fps), _successful(table)
    values, keyed = np.zeros((frame_count, AU_COUNT), np.float32), np.zeros((frame_count, AU_COUNT), bool)
    for key, (column, presence) in chosen.items():
        readings = _numbers(table, column, "au")[good]
        if presence:
            readings = np.where(readings > 0, PRESENT_INTENSITY, 0)
        else:
            _check_range(table, column, readings, good)
        values[:, AU_INDEX[key]] = _at_frames(times[good], readings, frame_count, fps)
        keyed[:, AU_INDEX[key]] = True
    return values, keyed


def read_head_csv(path: str | Path, frame_count: int, fps: Fraction) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Head pose (frames, 6) and the mask of keyed channels (frames, 6).

    Columns ``yaw, pitch, roll`` in degrees, ``x, y`` in inter-ocular distances, ``scale``; any subset, beside ``timestamp``
    or ``frame``. Raises Fault ``head-csv-...`` or ``head-not-finite``.
    """
    table = _read_table(Path(path), "head-csv")
    names = [column.lower() for column in table.columns]
    present = [channel for channel in HEAD_CHANNELS if channel in names]
    if not present:
        found = ", ".join(table.columns[:_NAMED_COLUMNS])
        raise Fault(
            "head-csv-columns", f"{table.name} has no head pose column; its columns are: {found}.", f"Name them {', '.join(HEAD_CHANNELS)}."
        )
    times = _times(table, fps)
    values = np.tile(np.asarray(HEAD_NEUTRAL, np.float32), (frame_count, 1))
    keyed = np.zeros(values.shape, bool)
    for channel in present:
        index = HEAD_CHANNELS.index(channel)
        readings = _numbers(table, table.columns[names.index(channel)], "head")
        values[:, index] = _at_frames(times, readings, frame_count, fps)
        keyed[:, index] = True
    return values, keyed


def write_au_csv(path: str | Path, aus: NDArray[np.float32], fps: Fraction) -> None:
    """Writes (frames, 18) intensities 0..5 with OpenFace's columns. Raises the faults of ``written_beside``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "timestamp", *(f"{key}_r" for key in AU_KEYS)])
    for index, row in enumerate(aus):
        writer.writerow([index + 1, f"{float(index / fps):.4f}", *(f"{value:.3f}" for value in row)])
    with written_beside(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")


def _read_table(path: Path, kind: str) -> _Table:
    what = "Action Units" if kind == "au-csv" else "head pose"
    if not path.is_file():
        raise Fault(f"{kind}-missing", f"There is no file {path}.", f"Check the path of the {what} table.")
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
    return _Table(rows[0], rows[1:], path.name, kind)


def _delimiter(text: str) -> str:
    header = text.lstrip().split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _au_columns(table: _Table) -> dict[str, tuple[str, bool]]:
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


def _times(table: _Table, fps: Fraction) -> NDArray[np.float64]:
    """Seconds of each row: the timestamps, else the frame numbers from 1 at the shot's rate, else one row a frame."""
    names = [column.lower() for column in table.columns]
    if "timestamp" in names:
        column, times = "timestamp", _numbers(table, table.columns[names.index("timestamp")], "time")
    elif "frame" in names:
        column, numbers = "frame", _numbers(table, table.columns[names.index("frame")], "time")
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


def _successful(table: _Table) -> NDArray[np.bool_]:
    """Rows in which OpenFace found the face; all of them where it does not say, or found it nowhere."""
    names = [column.lower() for column in table.columns]
    if "success" not in names:
        return np.ones(len(table.rows), bool)
    success = _numbers(table, table.columns[names.index("success")], "time") > 0
    return success if success.any() else np.ones(len(table.rows), bool)


def _numbers(table: _Table, column: str, subject: str) -> NDArray[np.float64]:
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


def _check_range(table: _Table, column: str, values: NDArray[np.float64], good: NDArray[np.bool_]) -> None:
    bad = np.flatnonzero((values < 0) | (values > MAXIMUM_INTENSITY))
    if len(bad):
        row = int(np.flatnonzero(good)[bad[0]])
        sentence = f"{table.name} has {values[bad[0]]:g} in row {row + 1}, column {column}; AU intensities run from 0 to 5."
        raise Fault("au-range", sentence, "Correct the cell, or divide the column if it is in another unit.")


def _at_frames(times: NDArray[np.float64], values: NDArray[np.float64], frame_count: int, fps: Fraction) -> NDArray[np.float32]:
    """Linear between rows, the first and last held."""
    return np.interp(np.arange(frame_count) / float(fps), times, values).astype(np.float32)
