# SPDX-License-Identifier: GPL-3.0-or-later
"""F-curves at many frames. Values are kept beside what they were made of: an edit costs the curve that it changed, not all of them.

Live reads a whole shot on Blender's main thread after every edit, where five milliseconds are noticed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import bpy
import numpy as np
from numpy.typing import NDArray

from .prediction_curves import points_of

MOST_KEPT = 256  # curves, of 8 bytes a frame
# What decides a curve's values between its keys, as ``foreach_get`` reads it.
_FLOATS = (("co", 2), ("handle_left", 2), ("handle_right", 2), ("back", 1), ("amplitude", 1), ("period", 1))
_CHOICES = ("interpolation", "easing")

_kept: OrderedDict[bytes, NDArray[np.float64]] = OrderedDict()


def values_of(curve: bpy.types.FCurve, frames: list[int]) -> NDArray[np.float64]:
    """The curve at the frames, (frames,). The array may be shared: it is not to be written to."""
    if len(curve.modifiers):  # which depend on more than the keys
        return _evaluated(curve, frames)
    if len(curve.sampled_points):  # a prediction: nothing to keep, it is read in one go
        points = points_of(curve).astype(np.float64)
        return np.interp(frames, points[:, 0], points[:, 1])
    key = _digest(curve, frames)
    found = _kept.get(key)
    if found is None:
        found = _kept[key] = _evaluated(curve, frames)
        found.setflags(write=False)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    else:
        _kept.move_to_end(key)
    return found


def forget() -> None:
    """Lets go of everything."""
    _kept.clear()


def keys_of(curve: bpy.types.FCurve) -> NDArray[np.float32]:
    """Its keyframes, (keys, 2): frame and value."""
    points = np.empty(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", points)
    return points.reshape(-1, 2)


def _evaluated(curve: bpy.types.FCurve, frames: list[int]) -> NDArray[np.float64]:
    evaluate = curve.evaluate
    return np.array([evaluate(frame) for frame in frames], np.float64)


def _digest(curve: bpy.types.FCurve, frames: list[int]) -> bytes:
    """Tells apart whatever gives other values."""
    points, count = curve.keyframe_points, len(curve.keyframe_points)
    digest = hashlib.blake2b(f"{count} {curve.extrapolation}".encode())
    digest.update(np.asarray(frames, np.int64).tobytes())
    numbers = np.empty(2 * count, np.float32)
    for name, width in _FLOATS:
        part = numbers[: width * count]
        points.foreach_get(name, part)
        digest.update(part.tobytes())
    choices = np.empty(count, np.int32)
    for name in _CHOICES:
        points.foreach_get(name, choices)
        digest.update(choices.tobytes())
    return digest.digest()
