# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of Action Units and head pose over time, at a shot's frames; written with OpenFace's columns."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.au_tables import PRESENT_INTENSITY, au_table_text, read_au_table
from bridge.facs import AU_COUNT, AU_INDEX
from bridge.faults import Fault
from bridge.shot import HEAD_CHANNELS, HEAD_NEUTRAL
from bridge.tables import numbers_in, read_table, times_of

from .files import written_beside

__all__ = ["PRESENT_INTENSITY", "read_au_csv", "read_head_csv", "write_au_csv"]


def read_au_csv(path: str | Path, frame_count: int, fps: Fraction) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """AU values (frames, 18) 0..5 and the mask of keyed ones (frames, 18) at the shot's frames.

    Rows of other rates are resampled by their timestamps, the first and last rows held. Rows that OpenFace marks as failed
    are bridged. Raises the faults of ``read_au_table``.
    """
    table = read_au_table(path, fps)
    values, keyed = np.zeros((frame_count, AU_COUNT), np.float32), np.zeros((frame_count, AU_COUNT), bool)
    for key, readings in table.values.items():
        values[:, AU_INDEX[key]] = _at_frames(table.times, readings, frame_count, fps)
        keyed[:, AU_INDEX[key]] = True
    return values, keyed


def read_head_csv(path: str | Path, frame_count: int, fps: Fraction) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Head pose (frames, 6) and the mask of keyed channels (frames, 6).

    Columns ``yaw, pitch, roll`` in degrees, ``x, y`` in inter-ocular distances, ``scale``; any subset, beside ``timestamp``
    or ``frame``. Raises Fault ``head-csv-...`` or ``head-not-finite``.
    """
    table = read_table(Path(path), "head-csv")
    places = {channel: place for channel in HEAD_CHANNELS if (place := table.place_of(channel)) is not None}
    if not places:
        raise Fault(
            "head-csv-columns",
            f"{table.name} has no head pose column; its columns are: {table.summary()}.",
            f"Name them {', '.join(HEAD_CHANNELS)}.",
        )
    times = times_of(table, fps)
    values = np.tile(np.asarray(HEAD_NEUTRAL, np.float32), (frame_count, 1))
    keyed = np.zeros(values.shape, bool)
    for channel, place in places.items():
        index = HEAD_CHANNELS.index(channel)
        readings = numbers_in(table, table.columns[place], "head")
        values[:, index] = _at_frames(times, readings, frame_count, fps)
        keyed[:, index] = True
    return values, keyed


def write_au_csv(path: str | Path, aus: NDArray[np.float32], fps: Fraction) -> None:
    """Writes (frames, 18) intensities 0..5 with OpenFace's columns. Raises the faults of ``written_beside``."""
    with written_beside(path) as partial:
        partial.write_text(au_table_text(aus, fps), encoding="utf-8")


def _at_frames(times: NDArray[np.float64], values: NDArray[np.float64], frame_count: int, fps: Fraction) -> NDArray[np.float32]:
    """Linear between rows, the first and last held."""
    return np.interp(np.arange(frame_count) / float(fps), times, values).astype(np.float32)
