# SPDX-License-Identifier: GPL-3.0-or-later
"""Ghosts: what lies below one's own keys, drawn behind the graph editor's curves.

For free AUs what the voice filled in, which can be taken over as keys; for selected landmarks their predicted motion.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from . import actors, compat, curves, prediction
from .au_keys import thinned
from .bridge.facs import AU_KEYS, MAXIMUM_INTENSITY
from .prediction_curves import points_of
from .rig_layout import AU_PROPERTIES, BONE_NAMES, PREDICTED_PREFIX

TOLERANCE = 0.1  # intensity by which keys taken over may miss the ghost
LEAST_PEAK = 0.5  # intensity below which a ghost is no more than a trace and is not drawn
LEAST_SHARE = 0.05  # of the editor's height, below which a landmark's motion would be a flat line
MOST_LANDMARKS = 6  # selected ones whose motion is drawn: more would be a tangle
AXES = {0: ("X", (0.95, 0.55, 0.55, 0.7)), 2: ("Z", (0.55, 0.70, 0.95, 0.7))}  # Blender's colours of the axes, pale
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
    predicted = prediction.predicted_curves(actor)
    if not predicted:
        return []
    commanded = curves.commanded_keys(actor)
    found = []
    for curve in predicted:
        key = curve.data_path[2:-2].removeprefix(PREDICTED_PREFIX) if curve.data_path.startswith(f'["{PREDICTED_PREFIX}') else ""
        if key in AU_KEYS and key not in commanded and (keys is None or key in keys):
            found.append(_ghost(key, curve))
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
    """A ghost as it is drawn. ``points``: (n, 2) frame and value. ``peak``: the furthest from 0. ``colour``: RGBA. ``words``: its name."""

    key: str
    words: str
    points: NDArray[np.float32]
    peak: tuple[float, float]
    colour: tuple[float, float, float, float]


def lines(actor: bpy.types.Object, first: float, last: float, height: float = MAXIMUM_INTENSITY) -> list[Line]:
    """What to draw between two frames: AUs that are more than a trace there, and the predicted motion of selected landmarks.

    ``height``: of what the editor shows, in values. Landmarks move by a hundredth of what AUs do, so each kind is left out where
    the editor shows the other.
    """
    found = []
    for ghost in ghosts_of(actor) if height >= LEAST_PEAK else ():
        line = _line(ghost, f"{ghost.key} filled in", colour_of(ghost.key), first, last)
        if line is not None and line.peak[1] >= LEAST_PEAK:
            found.append(line)
    for name, axis, ghost in motion_of_selected(actor):
        word, colour = AXES[axis]
        line = _line(ghost, f"{name} {word} predicted", colour, first, last)
        if line is not None and abs(line.peak[1]) >= LEAST_SHARE * height:
            found.append(line)
    return found


def motion_of_selected(actor: bpy.types.Object) -> list[tuple[str, int, Ghost]]:
    """Predicted motion of the landmarks that are selected in pose mode: bone name, axis 0 (x) or 2 (z), curve in armature units."""
    if actor.mode != "POSE":
        return []
    chosen = [name for name in BONE_NAMES if name in actor.pose.bones and compat.is_bone_selected(actor.pose.bones[name])]
    if len(chosen) > MOST_LANDMARKS:
        return []
    paths = {f'pose.bones["{name}"].location': name for name in chosen}
    found = []
    for curve in prediction.predicted_curves(actor) if paths else ():
        name = paths.get(curve.data_path)
        if name is not None and curve.array_index in AXES:
            found.append((name, curve.array_index, _ghost(f"{name} {curve.array_index}", curve)))
    return found


def _ghost(key: str, curve: bpy.types.FCurve) -> Ghost:
    points = points_of(curve)
    return Ghost(key, points[:, 0], points[:, 1])


def _line(ghost: Ghost, words: str, colour: tuple[float, float, float, float], first: float, last: float) -> Line | None:
    """The part between two frames, with no more points than a screen has columns; None where there is nothing to draw."""
    inside = (ghost.frames >= first - 1) & (ghost.frames <= last + 1)
    points = np.stack([ghost.frames[inside], ghost.values[inside]], 1)
    if len(points) < 2:
        return None
    peak = points[int(np.abs(points[:, 1]).argmax())]
    step = max(1, len(points) // SHOWN_COLUMNS)
    return Line(ghost.key, words, points[::step], (float(peak[0]), float(peak[1])), colour)


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
