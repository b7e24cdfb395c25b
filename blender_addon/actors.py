# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding actors in a file and reading what an actor is: its portrait, its frame, its landmarks at rest."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from . import media
from .bridge.faults import Fault
from .bridge.landmarks import LANDMARK_COUNT
from .rig_layout import BONE_NAMES, Frame2D


def is_actor(candidate: bpy.types.Object | None) -> bool:
    """Whether the object is an actor's armature."""
    return candidate is not None and candidate.type == "ARMATURE" and candidate.autter.is_actor


def actor_of(candidate: bpy.types.Object | None) -> bpy.types.Object | None:
    """The actor that an object belongs to: itself or one of its parents."""
    while candidate is not None:
        if is_actor(candidate):
            return candidate
        candidate = candidate.parent
    return None


def actors_in(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """All actors of a scene, by name."""
    return sorted((candidate for candidate in scene.objects if is_actor(candidate)), key=lambda found: found.name)


def find_actor(context: bpy.types.Context) -> bpy.types.Object | None:
    """The actor meant by the active object, else the scene's chosen one, else the only one there is."""
    found = actor_of(getattr(context, "object", None) or getattr(context.view_layer.objects, "active", None))
    if found is not None:
        return found
    chosen = context.scene.autter.actor
    if is_actor(chosen) and chosen.name in context.scene.objects:
        return chosen
    everyone = actors_in(context.scene)
    return everyone[0] if len(everyone) == 1 else None


def require_actor(context: bpy.types.Context, name: str = "") -> bpy.types.Object:
    """The named actor, or the one meant by the context; Fault ``actor-missing``."""
    found = bpy.data.objects.get(name) if name else find_actor(context)
    if not is_actor(found):
        sentence = f'There is no actor "{name}".' if name else "No actor is chosen."
        raise Fault("actor-missing", sentence, "Make one with New actor from portrait, or select its armature.")
    return found


def portrait_path(actor: bpy.types.Object) -> Path:
    """Absolute path of the portrait, which Blender keeps right as an image datablock; Fault ``portrait-missing``."""
    image = actor.autter.portrait
    if image is None:
        raise Fault("portrait-missing", "The actor has no portrait.", "Choose its image in the Actor panel.")
    return media.file_of(image, "portrait-missing", "portrait")


def frame_of(actor: bpy.types.Object) -> Frame2D:
    """How the actor's units and portrait pixels belong together."""
    return Frame2D(float(actor.autter.unit), (float(actor.autter.origin[0]), float(actor.autter.origin[1])))


def require_bones(actor: bpy.types.Object) -> None:
    """Fault ``rig-incomplete`` where someone deleted or renamed landmark bones."""
    there = set(actor.data.bones.keys())  # at once: looking each of them up takes ten times as long
    missing = [name for name in BONE_NAMES if name not in there]
    if missing:
        raise Fault(
            "rig-incomplete",
            f"{len(missing)} of the actor's {LANDMARK_COUNT} landmark bones are missing, e.g. {missing[0]}.",
            "Undo their deletion or renaming, or make the actor anew.",
        )


def rest_units(actor: bpy.types.Object) -> NDArray[np.float32]:
    """Landmarks at rest, (162, 2): armature x and z."""
    require_bones(actor)
    bones = actor.data.bones
    rows = {name: row for row, name in enumerate(bones.keys())}
    heads = np.empty(3 * len(rows), np.float32)
    bones.foreach_get("head_local", heads)
    return heads.reshape(-1, 3)[[rows[name] for name in BONE_NAMES]][:, (0, 2)]


def rest_landmarks(actor: bpy.types.Object) -> NDArray[np.float32]:
    """Landmarks at rest, (162, 2) portrait pixels: the portrait's own landmarks as fitted in the rig."""
    return frame_of(actor).to_pixels(rest_units(actor))
