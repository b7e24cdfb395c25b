# SPDX-License-Identifier: GPL-3.0-or-later
"""Ghosts: what the voice filled in for free AUs, drawn behind the graph editor's curves, and taken over as keys on request."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from . import actors, compat, curves, prediction
from .au_keys import thinned
from .bridge.facs import AU_KEYS
from .rig_layout import AU_PROPERTIES, PREDICTED_PREFIX

TOLERANCE = 0.1  # intensity by which keys taken over may miss the ghost
LEAST_PEAK = 0.5  # intensity below which a ghost is no more than a trace and is not drawn
SHOWN_COLUMNS = 2000  # points of a ghost at most: no wider than a screen
LABEL_GAP = 2.0  # pixels between the words of two ghosts
Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True)
class Ghost:
    """A filled-in curve. ``frames``: (n,) scene frames. ``values``: (n,) intensities 0..5."""

    key: str
    frames: NDArray[np.float32]
    values: NDArray[np.float32]


def ghosts_of(actor: bpy.types.Object, keys: frozenset[str] | None = None) -> list[Ghost]:
    """Ghosts of the actor's free AUs, of those named if any are; empty before the first prediction."""
    action = prediction.predicted_action(actor)
    strip = prediction.predicted_strip(actor)
    if action is None or strip is None:
        return []
    commanded = curves.commanded_keys(actor)
    found = []
    for curve in compat.iterate_curves(action, compat.assigned_slot(strip)):
        key = curve.data_path[2:-2].removeprefix(PREDICTED_PREFIX) if curve.data_path.startswith(f'["{PREDICTED_PREFIX}') else ""
        if key in AU_KEYS and key not in commanded and (keys is None or key in keys) and len(curve.keyframe_points):
            points = np.empty(2 * len(curve.keyframe_points), np.float32)
            curve.keyframe_points.foreach_get("co", points)
            found.append(Ghost(key, points[::2].copy(), points[1::2].copy()))
    return found


def take_over(actor: bpy.types.Object, key: str, first: int, last: int, tolerance: float = TOLERANCE) -> int:
    """Keys a free AU as it was filled in; the number of keys. 0 where there is no ghost in the frames."""
    found = ghosts_of(actor, frozenset((key,)))
    if not found:
        return 0
    inside = (found[0].frames >= first) & (found[0].frames <= last)
    frames, values = found[0].frames[inside].astype(np.float64), found[0].values[inside].astype(np.float64)
    if not len(frames):
        return 0
    item = next(item for item in AU_PROPERTIES if item.key == key)
    kept = thinned(frames, values, tolerance)
    before = float(actor.get(key, 0.0))
    for row in kept:
        actor[key] = float(values[row])
        actor.keyframe_insert(item.data_path, frame=float(frames[row]), group=item.group)
    actor[key] = before
    return len(kept)


@dataclass(frozen=True)
class Line:
    """A ghost as it is drawn. ``points``: (n, 2) frame and intensity. ``peak``: the highest of them. ``colour``: RGBA."""

    key: str
    points: NDArray[np.float32]
    peak: tuple[float, float]
    colour: tuple[float, float, float, float]


def lines(actor: bpy.types.Object, first: float, last: float) -> list[Line]:
    """What to draw between two frames: AUs that are more than a trace there, with no more points than a screen has columns."""
    found = []
    for ghost in ghosts_of(actor):
        inside = (ghost.frames >= first - 1) & (ghost.frames <= last + 1)
        points = np.stack([ghost.frames[inside], ghost.values[inside]], 1)
        if len(points) < 2 or points[:, 1].max() < LEAST_PEAK:
            continue
        peak = points[int(points[:, 1].argmax())]
        step = max(1, len(points) // SHOWN_COLUMNS)
        found.append(Line(ghost.key, points[::step], (float(peak[0]), float(peak[1])), colour_of(ghost.key)))
    return found


def colour_of(key: str) -> tuple[float, float, float, float]:
    """A pale colour of its own for each AU."""
    red, green, blue = colorsys.hsv_to_rgb(AU_KEYS.index(key) * 0.382 % 1.0, 0.35, 0.95)
    return red, green, blue, 0.6


def find_actor(context: bpy.types.Context) -> bpy.types.Object | None:
    """The actor whose ghosts the graph editor shows."""
    return actors.find_actor(context)


def free_place(written: list[Box], x: float, y: float, width: float, height: float) -> tuple[float, float]:
    """Where words of this size can be read: at (x, y), or as far above as words that are written already need; noted in ``written``."""
    low, high = y - LABEL_GAP, y + height + LABEL_GAP
    for left, bottom, right, top in sorted(written, key=lambda box: box[1]):
        if left < x + width and x < right and bottom < high and low < top:
            low, high = top, top + height + 2 * LABEL_GAP
    written.append((x, low, x + width, high))
    return x, low + LABEL_GAP
