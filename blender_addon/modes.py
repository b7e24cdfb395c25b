# SPDX-License-Identifier: GPL-3.0-or-later
"""Going into another mode for a moment, and back to where the animator was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from .bridge.faults import Fault


def require_own_bones(armature: bpy.types.Object) -> None:
    """Fault ``actor-linked`` where the bones at rest belong to another file."""
    if armature.library is not None or armature.data.library is not None or armature.override_library is not None:
        raise Fault(
            "actor-linked",
            f"{armature.name} is linked from another file, so its bones cannot be changed here.",
            "Open its own file, or make it local.",
        )


@contextmanager
def edit_bones(armature: bpy.types.Object) -> Iterator[bpy.types.ArmatureEditBones]:
    """The armature's edit bones; its former mode, selection and active object come back. Fault ``actor-linked``."""
    require_own_bones(armature)
    layer = bpy.context.view_layer
    former, mode = layer.objects.active, armature.mode
    if former is not None and former.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    hidden, unselectable = armature.hide_get(), armature.hide_viewport
    armature.hide_viewport = False
    armature.hide_set(False)
    layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        yield armature.data.edit_bones
    finally:
        bpy.ops.object.mode_set(mode=mode if mode == "POSE" else "OBJECT")
        armature.hide_set(hidden)
        armature.hide_viewport = unselectable
        if former is not None and former != armature:
            layer.objects.active = former
