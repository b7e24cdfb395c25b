# SPDX-License-Identifier: GPL-3.0-or-later
"""Two takes side by side in the sequencer's preview, and back."""

from __future__ import annotations

import json
from typing import Any

import bpy

from . import compat
from .takes import strips_in

MARK = "autter_compare"  # custom property of a strip: what it was like before


def start(scene: bpy.types.Scene, left: Any, right: Any) -> None:
    """Halves both pictures, moves them aside, and mutes whatever would cover them."""
    width = scene.render.resolution_x
    for strip, side in ((left, -1), (right, 1)):
        strip[MARK] = json.dumps(_state(strip))
        strip.transform.scale_x = strip.transform.scale_y = 0.5
        strip.transform.offset_x, strip.transform.offset_y = side * width / 4, 0
        strip.blend_type = "ALPHA_OVER"
        strip.mute = False
    for strip in _others(scene, left, right):
        strip[MARK] = json.dumps(_state(strip))
        strip.mute = True


def stop(scene: bpy.types.Scene) -> bool:
    """Puts every strip back; False where none was moved."""
    changed = [strip for strip in strips_in(scene) if strip.get(MARK)]
    for strip in changed:
        state = json.loads(strip[MARK])
        del strip[MARK]
        strip.mute, strip.blend_type = state["mute"], state["blend"]
        transform = strip.transform
        transform.scale_x, transform.scale_y = state["scale"]
        transform.offset_x, transform.offset_y = state["offset"]
    return bool(changed)


def is_on(scene: bpy.types.Scene) -> bool:
    """Whether takes are being compared."""
    return any(strip.get(MARK) for strip in strips_in(scene))


def _others(scene: bpy.types.Scene, left: Any, right: Any) -> list[Any]:
    """Further takes at the same time, which would show between the two."""
    spans = [compat.strip_handles(strip) for strip in (left, right)]

    def meets(strip: Any) -> bool:
        first, end = compat.strip_handles(strip)
        return any(first < other_end and end > other_first for other_first, other_end in spans)

    return [strip for strip in strips_in(scene) if strip not in (left, right) and meets(strip)]


def _state(strip: Any) -> dict[str, Any]:
    transform = strip.transform
    return {
        "mute": strip.mute,
        "blend": strip.blend_type,
        "scale": [transform.scale_x, transform.scale_y],
        "offset": [transform.offset_x, transform.offset_y],
    }
