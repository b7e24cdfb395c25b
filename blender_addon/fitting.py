# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit rig: the animation steps aside, landmarks are dragged to where they belong on the portrait, and that becomes the rest pose.

What is animated is motion away from the rest pose, so keys and predictions stay good. The fitted landmarks go into every
shot, and the renderer warps from them.
"""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from . import actors, compat, evaluation, handle_rig, line_mesh
from .bridge.faults import Fault
from .handle_layout import HANDLE_NAMES
from .modes import edit_bones, require_own_bones
from .rig_layout import BONE_NAMES, ROOT_BONE


def begin(actor: bpy.types.Object) -> None:
    """Puts the animation aside and the rig at rest. Faults ``fit-running``, ``actor-linked``."""
    actors.require_bones(actor)
    require_own_bones(actor)
    if actor.autter.fitting:
        raise Fault("fit-running", f"{actor.name} is being fitted already.", "Keep or cancel that fit first.")
    settings, data = actor.autter, actor.animation_data_create()
    slot = compat.assigned_slot(data)
    settings.fit_action = data.action
    settings.fit_slot = slot.identifier if data.action is not None and slot is not None else ""
    settings.fit_nla = data.use_nla
    settings.fitting = True
    data.action = None
    data.use_nla = False
    clear_pose(actor)


def keep(actor: bpy.types.Object) -> int:
    """The pose becomes the rest pose and the animation comes back. How many landmarks moved by more than a tenth of a pixel."""
    require_fitting(actor)
    fitted = evaluation.sample_landmarks(actor, [bpy.context.scene.frame_current])[0]
    if not np.isfinite(fitted).all():
        raise Fault("rig-not-finite", "A landmark is at a place that is not a number.", "Clear its location, then keep the fit.")
    moved = int((np.abs(fitted - actors.rest_landmarks(actor)).max(1) > 0.1).sum())
    clear_pose(actor)
    if moved:
        set_rest(actor, fitted)
    _bring_back(actor)
    return moved


def cancel(actor: bpy.types.Object) -> None:
    """The rest pose stays as it was and the animation comes back."""
    require_fitting(actor)
    clear_pose(actor)
    _bring_back(actor)


def set_rest(actor: bpy.types.Object, landmarks: NDArray[np.float32]) -> None:
    """Puts the rest pose at (162, 2) portrait pixels: bones, lines and handles."""
    units = actors.frame_of(actor).to_units(landmarks)
    with edit_bones(actor) as bones:
        for name, (x, z) in zip(BONE_NAMES, units.tolist()):
            bone = bones[name]
            length = bone.length
            bone.head, bone.tail, bone.roll = (x, 0.0, z), (x, length, z), 0.0
    line_mesh.fit_lines(actor)
    handle_rig.refresh(actor)
    actor.autter.is_fitted = True


def refit(actor: bpy.types.Object, landmarks: NDArray[np.float32], size: tuple[int, int]) -> str:
    """Uses a portrait job's answer on an actor that is there already. Fault ``portrait-size``."""
    if tuple(actor.autter.portrait_size) != size:
        raise Fault(
            "portrait-size",
            f"The portrait is now {size[0]} x {size[1]} pixels; {actor.name} was made for {actor.autter.portrait_size[0]} x "
            f"{actor.autter.portrait_size[1]}.",
            "Make a new actor from it.",
        )
    set_rest(actor, landmarks)
    actor.autter.is_fitted = False
    return f"Found the landmarks of {actor.name} anew."


def clear_pose(actor: bpy.types.Object) -> None:
    """Every landmark and handle at rest; keys are not touched."""
    for name in (*BONE_NAMES, *HANDLE_NAMES):
        bone = actor.pose.bones.get(name)
        if bone is not None:
            bone.location = (0.0, 0.0, 0.0)
    root = actor.pose.bones.get(ROOT_BONE)
    if root is not None:
        root.location, root.rotation_euler, root.scale = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    actor.update_tag()


def require_fitting(actor: bpy.types.Object) -> None:
    """Fault ``fit-not-running``."""
    if not actor.autter.fitting:
        raise Fault("fit-not-running", f"{actor.name} is not being fitted.", "Start with Fit Rig.")


def _bring_back(actor: bpy.types.Object) -> None:
    settings, data = actor.autter, actor.animation_data_create()
    data.use_nla = settings.fit_nla
    if settings.fit_action is not None:
        data.action = settings.fit_action
        slots = getattr(settings.fit_action, "slots", ())
        compat.assign_slot(data, next((slot for slot in slots if slot.identifier == settings.fit_slot), None))
    settings.fit_action, settings.fit_slot, settings.fitting = None, "", False
    actor.update_tag()
