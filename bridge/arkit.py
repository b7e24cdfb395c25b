# SPDX-License-Identifier: GPL-3.0-or-later
"""ARKit's 52 face shapes and the Action Units: the table between them, and tables of shapes over time.

The shapes follow FACS closely for brows, lids, smile and jaw, so that most Action Units have one shape, left and right. Weights run from
0 to 1, intensities from 0 to 5. What speech does to jaw and lips is no Action Unit; on export it is read off the landmarks.
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

from . import landmarks as points
from .facs import AU_COUNT, AU_INDEX, AU_KEYS, MAXIMUM_INTENSITY
from .faults import Fault
from .tables import numbers_in, read_table, times_of

SHAPES: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft", "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight",
    "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft",
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
SHAPE_INDEX: dict[str, int] = {name: index for index, name in enumerate(SHAPES)}
HEAD_COLUMNS: dict[str, str] = {"headyaw": "yaw", "headpitch": "pitch", "headroll": "roll"}
LIVE_LINK_RATE = 60  # frames in a second of Live Link Face's timecode, unless the file shows otherwise
LIVE_LINK_RATES = (24, 25, 30, 50, 60)
_RADIANS_BELOW = 2.5  # a head that turns no further than this was written in radians

# Shapes of each Action Unit; a stem without its side stands for both. Importing takes their mean, exporting gives each the whole.
AU_SHAPES: dict[str, tuple[str, ...]] = {
    "AU01": ("browInnerUp",),
    "AU02": ("browOuterUp",),
    "AU04": ("browDown",),
    "AU05": ("eyeWide",),
    "AU06": ("cheekSquint",),
    "AU07": ("eyeSquint",),
    "AU09": ("noseSneer",),
    "AU10": ("mouthUpperUp",),
    "AU12": ("mouthSmile",),
    "AU14": ("mouthDimple",),
    "AU15": ("mouthFrown",),
    "AU17": ("mouthShrugLower",),
    "AU20": ("mouthStretch",),
    "AU23": ("mouthPress",),
    "AU25": ("mouthLowerDown",),
    "AU26": ("jawOpen",),
    "AU28": ("mouthRollLower", "mouthRollUpper"),
    "AU45": ("eyeBlink",),
}

# Displacements, in distances between the outer eye corners, at which a shape read off the landmarks counts as 1.
_JAW_DROP, _LIP_GAP, _NARROWING, _GAZE, _GAZE_UP = 0.30, 0.28, 0.16, 0.07, 0.05


@dataclass(frozen=True)
class ShapeTable:
    """``times``: seconds of each row. ``weights``: (rows, 52) 0..1, NaN in shapes that the file lacks. ``head``: degrees by channel."""

    times: NDArray[np.float64]
    weights: NDArray[np.float64]
    head: dict[str, NDArray[np.float64]]


def read_shape_table(path: str | Path, fps: Fraction) -> ShapeTable:
    """A recording of Live Link Face, or any CSV with ARKit's names for columns, capitals or not.

    Times come from Timecode, timestamp or frame. Raises Fault ``arkit-csv-...`` or ``shape-not-finite``.
    """
    table = read_table(Path(path), "arkit-csv")
    found = {name: place for name in SHAPES if (place := table.place_of(name)) is not None}
    if not found:
        raise Fault(
            "arkit-csv-columns",
            f"{table.name} has none of ARKit's shapes; its columns are: {table.summary()}.",
            "Give a recording of Live Link Face, or columns named like jawOpen and mouthSmileLeft.",
        )
    code = table.place_of("timecode")
    times = times_of(table, fps) if code is None else _timecodes([row[code] for row in table.rows], table.name)
    weights = np.full((len(table.rows), len(SHAPES)), np.nan)
    for name, place in found.items():
        weights[:, SHAPE_INDEX[name]] = np.clip(numbers_in(table, table.columns[place], "shape"), 0.0, 1.0)
    head = {}
    for column, channel in HEAD_COLUMNS.items():
        if (place := table.place_of(column)) is not None:
            head[channel] = numbers_in(table, table.columns[place], "shape")
    if head and max(float(np.abs(values).max()) for values in head.values()) < _RADIANS_BELOW:
        head = {channel: np.degrees(values) for channel, values in head.items()}
    return ShapeTable(times, weights, head)


def shape_table_text(weights: NDArray[np.floating], fps: Fraction, head: NDArray[np.floating] | None = None) -> str:
    """(frames, 52) weights as CSV in Live Link Face's columns; ``head``: (frames, 3 or more) yaw, pitch, roll in degrees."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    turns = ["HeadYaw", "HeadPitch", "HeadRoll"] if head is not None else []
    writer.writerow(["timestamp", "BlendShapeCount", *(name[0].upper() + name[1:] for name in SHAPES), *turns])
    for index, row in enumerate(weights):
        angles = [] if head is None else [f"{np.radians(angle):.5f}" for angle in head[index, :3]]
        writer.writerow([f"{float(index / fps):.4f}", len(SHAPES) + len(turns), *(f"{value:.4f}" for value in row), *angles])
    return text.getvalue()


def aus_of_shapes(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Intensities (rows,) of every Action Unit whose shapes the table has. ``weights``: (rows, 52), NaN where it has not."""
    aus: dict[str, NDArray[np.float64]] = {}
    for key, stems in AU_SHAPES.items():
        columns = [SHAPE_INDEX[name] for stem in stems for name in sided(stem)]
        present = [column for column in columns if not np.isnan(weights[:, column]).all()]
        if present:
            aus[key] = weights[:, present].mean(1) * MAXIMUM_INTENSITY
    if "AU25" not in aus and "AU26" in aus:
        aus["AU25"] = aus["AU26"].copy()  # a jaw that falls parts the lips unless the file says otherwise
    return aus


def shapes_of_aus(
    aus: NDArray[np.floating], motion: NDArray[np.floating] | None = None, rest: NDArray[np.floating] | None = None
) -> NDArray:
    """Weights (frames, 52) float32 of (frames, 18) intensities, for a 3-D character.

    ``motion``: (frames, 162, 2) displacement in the canonical frame (see ``Track``); with it jaw, lips and gaze of speech are added.
    ``rest``: (162, 2) landmarks of the portrait in any unit, for the height of its closed eyes; None goes without gaze.
    """
    if aus.ndim != 2 or aus.shape[1] != AU_COUNT:
        raise ValueError(f"aus has shape {aus.shape}")
    weights = np.zeros((len(aus), len(SHAPES)), np.float32)
    for key, stems in AU_SHAPES.items():
        for stem in stems:
            for name in sided(stem):
                weights[:, SHAPE_INDEX[name]] = aus[:, AU_INDEX[key]] / MAXIMUM_INTENSITY
    if motion is not None:
        _add_speech(weights, np.asarray(motion, np.float32))
        if rest is not None:
            _add_gaze(weights, np.asarray(motion, np.float32))
    return np.clip(weights, 0.0, 1.0)


def sided(stem: str) -> tuple[str, ...]:
    """``jawOpen`` itself, or the left and right shape of a stem such as ``mouthSmile``."""
    return (stem,) if stem in SHAPE_INDEX else (f"{stem}Left", f"{stem}Right")


def spellings(name: str) -> tuple[str, ...]:
    """A shape's name as characters spell it, without capitals and signs: mouthSmileLeft, Mouth_Smile_L."""
    plain = plain_name(name)
    for side, letter in (("left", "l"), ("right", "r")):
        if plain.endswith(side) and plain not in ("mouthleft", "mouthright", "jawleft", "jawright"):
            return plain, plain.removesuffix(side) + letter
    return (plain,)


def plain_name(name: str) -> str:
    """Letters and digits only, without capitals."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _add_speech(weights: NDArray[np.float32], motion: NDArray[np.float32]) -> None:
    """Jaw, lip gap and pucker as the landmarks show them, where they exceed what the Action Units say."""
    chin = motion[:, points.CHIN, 1]
    gap = motion[:, points.LIP_INNER_LOWER, 1] - motion[:, points.LIP_INNER_UPPER, 1]
    width = motion[:, points.MOUTH_CORNER_LEFT, 0] - motion[:, points.MOUTH_CORNER_RIGHT, 0]
    jaw = np.maximum(chin / _JAW_DROP, 0.7 * gap / _LIP_GAP)
    _raise(weights, "jawOpen", jaw)
    _raise(weights, "mouthClose", np.clip(weights[:, SHAPE_INDEX["jawOpen"]] - np.maximum(gap, 0) / _LIP_GAP, 0, 1))
    rounding = np.maximum(-width / _NARROWING, 0)
    opened = np.clip(gap / (0.3 * _LIP_GAP), 0, 1)
    _raise(weights, "mouthFunnel", rounding * opened)
    _raise(weights, "mouthPucker", rounding * (1 - opened))


def _add_gaze(weights: NDArray[np.float32], motion: NDArray[np.float32]) -> None:
    """Where the irises go, against the corners of their eye. The subject's left eye looks in when its iris moves to the image's left."""
    eyes = (
        ("Left", points.OF_MEDIAPIPE[473], points.EYE_OUTER_LEFT, points.EYE_INNER_LEFT, -1),
        ("Right", points.OF_MEDIAPIPE[468], points.EYE_OUTER_RIGHT, points.EYE_INNER_RIGHT, 1),
    )
    for side, iris, outer, inner, inwards in eyes:
        moved = motion[:, iris] - (motion[:, outer] + motion[:, inner]) / 2
        _raise(weights, f"eyeLookIn{side}", inwards * moved[:, 0] / _GAZE)
        _raise(weights, f"eyeLookOut{side}", -inwards * moved[:, 0] / _GAZE)
        _raise(weights, f"eyeLookDown{side}", moved[:, 1] / _GAZE_UP)
        _raise(weights, f"eyeLookUp{side}", -moved[:, 1] / _GAZE_UP)


def _raise(weights: NDArray[np.float32], name: str, values: NDArray[np.floating]) -> None:
    column = SHAPE_INDEX[name]
    weights[:, column] = np.maximum(weights[:, column], np.clip(values, 0.0, 1.0))


def _timecodes(cells: list[str], name: str) -> NDArray[np.float64]:
    """Seconds since the first row of ``HH:MM:SS:FF.fraction``; midnight may pass."""
    matches = [re.fullmatch(r"(\d+):(\d+):(\d+)[:;](\d+(?:\.\d+)?)", cell) for cell in cells]
    if not all(matches):
        row = next(index for index, match in enumerate(matches) if match is None)
        raise Fault(
            "arkit-csv-time",
            f"{name} has {cells[row]!r} in row {row + 1}, column Timecode, which is no timecode.",
            "Write it like 10:32:05:12.345, or use a column timestamp in seconds.",
        )
    parts = np.array([[float(part) for part in match.groups()] for match in matches if match])
    seconds = parts[:, 0] * 3600 + parts[:, 1] * 60 + parts[:, 2]
    frames = parts[:, 3]
    rate = LIVE_LINK_RATE
    if len(np.unique(seconds)) > 2:  # a whole second was seen: its highest frame number tells the rate
        rate = next((known for known in LIVE_LINK_RATES if known >= np.floor(frames.max()) + 1), LIVE_LINK_RATE)
    times = seconds + frames / rate
    times += np.concatenate(([0.0], np.cumsum(np.diff(times) < -43200))) * 86400
    times -= times[0]
    if (np.diff(times) < 0).any():
        raise Fault("arkit-csv-time", f"The timecodes of {name} do not rise from row to row.", "Give one take, in order.")
    return times + np.arange(len(times)) * 1e-9  # two rows of one moment stay in order


assert set(AU_SHAPES) == set(AU_KEYS)
