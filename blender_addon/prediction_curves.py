# SPDX-License-Identifier: GPL-3.0-or-later
"""The f-curves of a prediction, one value a frame: samples, or keys where the animator wants to take hold of them.

Samples play faster than keys (a tenth to a sixth of the whole rig's time), are written in a sixth of the time, and take a quarter of
their memory, which a file and every step of undo hold as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import compat


@dataclass(frozen=True)
class Channel:
    """What one curve is to be. ``values``: (frames,). ``group``: name of the channel group."""

    path: str
    index: int
    group: str
    values: NDArray[np.float32]


def write(bag: Any, channels: Iterable[Channel], first: int, keyed: bool) -> None:
    """Makes these the bag's only curves, row 0 at frame ``first``. Curves that have the right form already get new values only."""
    channels = list(channels)
    if not channels:
        bag.fcurves.clear()
        return
    count = len(channels[0].values)
    curves = {(curve.data_path, curve.array_index): curve for curve in bag.fcurves}
    fits = curves.keys() == {(channel.path, channel.index) for channel in channels}
    fits = fits and all(_has_form(curve, count, keyed) for curve in curves.values())
    if not fits:
        bag.fcurves.clear()
    make = compat.curve_maker(bag)
    rows = np.empty((count, 2), np.float32)
    rows[:, 0] = np.arange(first, first + count)
    for channel in channels:
        curve = curves[channel.path, channel.index] if fits else make(channel.path, channel.index, channel.group)
        if not fits:
            _give_form(curve, first, count, keyed)
        rows[:, 1] = channel.values
        (curve.keyframe_points if keyed else curve.sampled_points).foreach_set("co", rows.ravel())
        if keyed and not fits:  # same frames, linear: there is nothing to sort, and handles have no say
            curve.update()
    curve.update()  # one of them tells Blender that the action is another


def rows_of(curve: bpy.types.FCurve, first: int, last: int) -> NDArray[np.float64]:
    """A curve's values at every frame, (frames,); straight from its points where there is one for each."""
    points = points_of(curve)
    if len(points) == last - first + 1 and points[0, 0] == first and points[-1, 0] == last:
        return points[:, 1].astype(np.float64)
    return np.array([curve.evaluate(frame) for frame in range(first, last + 1)])


def points_of(curve: bpy.types.FCurve) -> NDArray[np.float32]:
    """Its samples or keys, (points, 2): frame and value."""
    holder = curve.sampled_points if len(curve.sampled_points) else curve.keyframe_points
    points = np.empty(2 * len(holder), np.float32)
    holder.foreach_get("co", points)
    return points.reshape(-1, 2)


def to_keys(curves: Iterable[bpy.types.FCurve]) -> None:
    """A key in place of each sample, typed GENERATED and linear."""
    for curve in curves:
        count = len(curve.sampled_points)
        if count:
            first = round(curve.sampled_points[0].co[0])
            curve.convert_to_keyframes(first, first + count)
            _dress_keys(curve.keyframe_points)
            curve.update()


def to_samples(curves: Iterable[bpy.types.FCurve], first: int, last: int) -> None:
    """A sample a frame in place of the keys; whoever has moved these between frames gets what they show on frames."""
    for curve in curves:
        if len(curve.keyframe_points):
            curve.convert_to_samples(first, last + 1)


def _has_form(curve: bpy.types.FCurve, count: int, keyed: bool) -> bool:
    """Whether the curve is as we write them: so many samples, or so many keys, all of our type and linear."""
    if not keyed:
        return len(curve.sampled_points) == count
    points = curve.keyframe_points
    if len(points) != count:
        return False
    edges = (points[0], points[count // 2], points[count - 1])
    return all(point.type == "GENERATED" and point.interpolation == "LINEAR" for point in edges)


def _give_form(curve: bpy.types.FCurve, first: int, count: int, keyed: bool) -> None:
    """So many points in a new curve. Samples cannot be added: Blender makes them of keys, of which one will do."""
    points = curve.keyframe_points
    if keyed:
        points.add(count)
        _dress_keys(points)
    else:
        points.add(1)
        curve.convert_to_samples(first, first + count)


def _dress_keys(points: Any) -> None:
    points.foreach_set("interpolation", np.full(len(points), compat.INTERPOLATION_LINEAR, np.int32))
    points.foreach_set("type", np.full(len(points), compat.KEY_TYPE_GENERATED, np.int32))
