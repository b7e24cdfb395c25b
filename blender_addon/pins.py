# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins: landmarks and frames whose predicted motion is to stay as it is when the prediction is made again.

Pinned landmarks are a bone collection, so they are seen and edited like any other; pinned frames are a list on the actor.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy
import numpy as np
from numpy.typing import NDArray

from . import compat
from .bridge.faults import Fault
from .rig_layout import BONE_COLLECTIONS, BONE_NAMES, COLLECTION_COLOURS

PINNED_COLLECTION = "Pinned"
PINNED_COLOUR = (0.92, 0.92, 0.92)
_KIND = dict(zip(BONE_NAMES, BONE_COLLECTIONS))


def pinned_mask(actor: bpy.types.Object) -> NDArray[np.bool_]:
    """Which landmarks are pinned, (162,)."""
    collection = actor.data.collections.get(PINNED_COLLECTION)
    names = {bone.name for bone in collection.bones} if collection is not None else set()
    return np.array([name in names for name in BONE_NAMES])


def pinned_spans(actor: bpy.types.Object) -> list[tuple[int, int]]:
    """First and last frames of the pinned ranges, in order, overlaps joined."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted((item.first, item.last) for item in actor.autter.pinned_ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def pin(actor: bpy.types.Object, names: Iterable[str]) -> int:
    """Pins landmarks by bone name; how many there are now."""
    collections = actor.data.collections
    collection = collections.get(PINNED_COLLECTION) or collections.new(PINNED_COLLECTION)
    for name in names:
        collection.assign(actor.data.bones[name])
        compat.set_bone_colour(actor.pose.bones[name], PINNED_COLOUR)
    return int(pinned_mask(actor).sum())


def unpin(actor: bpy.types.Object, names: Iterable[str]) -> int:
    """Frees landmarks again; how many stay pinned."""
    collection = actor.data.collections.get(PINNED_COLLECTION)
    for name in names if collection is not None else ():
        collection.unassign(actor.data.bones[name])
        compat.set_bone_colour(actor.pose.bones[name], COLLECTION_COLOURS[_KIND[name]])
    left = int(pinned_mask(actor).sum())
    if collection is not None and not left:
        actor.data.collections.remove(collection)
    return left


def pin_span(actor: bpy.types.Object, first: int, last: int) -> None:
    """Pins frames ``first`` to ``last``; the list stays sorted and without overlaps. Fault ``no-frames``."""
    if last < first:
        raise Fault("no-frames", f"Frame {last} is before frame {first}.", "Give the last frame after the first.")
    item = actor.autter.pinned_ranges.add()
    item.first, item.last = first, last
    _rewrite(actor, pinned_spans(actor))


def unpin_span(actor: bpy.types.Object, first: int, last: int) -> None:
    """Frees frames ``first`` to ``last``; ranges that reach beyond keep the rest."""
    left: list[tuple[int, int]] = []
    for start, end in pinned_spans(actor):
        left += [(start, min(end, first - 1)), (max(start, last + 1), end)] if start <= last and end >= first else [(start, end)]
    _rewrite(actor, [span for span in left if span[0] <= span[1]])


def _rewrite(actor: bpy.types.Object, spans: list[tuple[int, int]]) -> None:
    ranges = actor.autter.pinned_ranges
    ranges.clear()
    for first, last in spans:
        item = ranges.add()
        item.first, item.last = first, last
