# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling the evaluated actor frame by frame: AU and head values, and where the landmarks are.

The sampling runs in a scene of its own that holds nothing but the actor. Drivers, constraints and NLA layers count as
they do in the viewport, while the user's scene keeps its current frame and a heavy scene costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from . import plain_rig
from .actors import frame_of, require_bones, rest_units
from .rig_layout import BONE_NAMES, ROOT_BONE

EachFrame = Callable[[bpy.types.Object, int], None]


@contextmanager
def private_scene(actor: bpy.types.Object) -> Iterator[bpy.types.Scene]:
    """A scene with the actor's clock and the actor alone; gone afterwards."""
    scene = bpy.data.scenes.new("AUtter sampling")
    try:
        scene.collection.objects.link(actor)
        yield scene
    finally:
        bpy.data.scenes.remove(scene)


def evaluate_frames(actor: bpy.types.Object, frames: Iterable[int], see: EachFrame) -> None:
    """Calls ``see(evaluated actor, row)`` for every scene frame in turn."""
    with private_scene(actor) as scene:
        layer = scene.view_layers[0]
        for row, frame in enumerate(frames):
            scene.frame_set(int(frame))
            see(actor.evaluated_get(layer.depsgraph), row)


@dataclass(frozen=True)
class PropertySamples:
    """``values``: (frames, properties) float64. ``broken``: keys of properties whose driver does not work."""

    values: NDArray[np.float64]
    broken: tuple[str, ...]


def sample_properties(actor: bpy.types.Object, keys: tuple[str, ...], frames: Iterable[int]) -> PropertySamples:
    """Custom properties of the evaluated actor at every frame; an absent property is NaN."""
    frames = list(frames)
    values = np.full((len(frames), len(keys)), np.nan)
    broken: set[str] = set()
    driven = {curve.data_path[2:-2]: place for place, curve in enumerate(_drivers(actor)) if curve.data_path[:2] == '["'}

    def see(evaluated: bpy.types.Object, row: int) -> None:
        for column, key in enumerate(keys):
            value = evaluated.get(key)
            if isinstance(value, (int, float)):
                values[row, column] = value
        if driven:
            curves = evaluated.animation_data.drivers
            broken.update(key for key, place in driven.items() if not curves[place].driver.is_valid)

    evaluate_frames(actor, frames, see)
    return PropertySamples(values, tuple(key for key in keys if key in broken))


def sample_landmarks(actor: bpy.types.Object, frames: Iterable[int]) -> NDArray[np.float32]:
    """Landmarks of the evaluated rig, (frames, 162, 2) portrait pixels: prediction, edits, constraints and all.

    Motion of the root bone moves the whole actor in the scene and is no motion of the face.
    """
    frames = list(frames)
    require_bones(actor)
    offsets = plain_rig.bone_offsets(actor, frames)
    if offsets is not None:
        return frame_of(actor).to_pixels(rest_units(actor) + offsets)
    return evaluate_landmarks(actor, frames)


def evaluate_landmarks(actor: bpy.types.Object, frames: list[int]) -> NDArray[np.float32]:
    """``sample_landmarks`` from the evaluated actor, whatever moves it."""
    units = np.empty((len(frames), len(BONE_NAMES), 2), np.float32)
    names = [bone.name for bone in actor.pose.bones]
    rows = np.array([names.index(name) for name in BONE_NAMES])
    root = names.index(ROOT_BONE) if ROOT_BONE in names else None
    root_rest = np.linalg.inv(np.array(actor.data.bones[ROOT_BONE].matrix_local)) if root is not None else None
    matrices = np.empty(16 * len(names), np.float32)

    def see(evaluated: bpy.types.Object, row: int) -> None:
        evaluated.pose.bones.foreach_get("matrix", matrices)
        posed = matrices.reshape(-1, 4, 4).transpose(0, 2, 1)  # stored column by column
        points = posed[rows, :, 3]
        if root is not None and root_rest is not None:
            points = points @ np.linalg.inv(posed[root].astype(np.float64) @ root_rest).T
        units[row] = points[:, (0, 2)]

    evaluate_frames(actor, frames, see)
    return frame_of(actor).to_pixels(units)


def read_pose(actor: bpy.types.Object) -> NDArray[np.float32]:
    """Landmarks of the actor as it is posed now, (162, 2) portrait pixels, without the animation being evaluated."""
    bones = actor.pose.bones
    offsets = np.array([bones[name].location for name in BONE_NAMES], np.float32)[:, (0, 2)]
    return frame_of(actor).to_pixels(rest_units(actor) + offsets)


def write_pose(actor: bpy.types.Object, landmarks: NDArray[np.float32]) -> None:
    """Poses the actor so that its landmarks lie at (162, 2) portrait pixels; sets no keys."""
    require_bones(actor)
    offsets = frame_of(actor).to_units(landmarks) - rest_units(actor)
    for name, (x, z) in zip(BONE_NAMES, offsets.tolist()):
        actor.pose.bones[name].location = (x, 0.0, z)


def _drivers(actor: bpy.types.Object) -> list[bpy.types.FCurve]:
    return list(actor.animation_data.drivers) if actor.animation_data else []
