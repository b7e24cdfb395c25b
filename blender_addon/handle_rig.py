# SPDX-License-Identifier: GPL-3.0-or-later
"""Handle bones and what ties landmarks to them: a Transformation constraint each, linear and without limits.

Constraints cost playback time, so a region's handles are tied only while they are switched on; the weights live in the
constraints themselves, where plain_rig reads them too.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from . import bone_shapes, compat
from .actors import require_bones, rest_units
from .handle_layout import HANDLE_COLLECTION, HANDLE_COLOUR, HANDLE_NAMES, HANDLE_PREFIX, REGION_OF, REGION_TITLES, Handle, handles
from .modes import edit_bones
from .rig_layout import BONE_NAMES, ROOT_BONE

HANDLE_LENGTH = 0.06
HANDLE_DEPTH = -0.05
RADIUS = {"mouth": 0.035, "jaw": 0.045, "brows": 0.03, "lids": 0.02, "gaze": 0.03}


def regions_on(actor: bpy.types.Object) -> frozenset[str]:
    """Regions whose handles move landmarks now."""
    tied = {constraint.subtarget for bone in actor.pose.bones for constraint in ties_of(bone)}
    return frozenset(REGION_OF[name] for name in tied if name in REGION_OF)


def ties_of(bone: bpy.types.PoseBone) -> list[bpy.types.Constraint]:
    """The constraints that tie a landmark to handles."""
    return [item for item in bone.constraints if item.type == "TRANSFORM" and item.subtarget.startswith(HANDLE_PREFIX)]


def is_tie(item: bpy.types.Constraint, actor: bpy.types.Object) -> bool:
    """Whether a constraint is one of ours as ``_tie`` makes it: its landmark goes a share of the handle's way, nothing else."""
    ours = item.type == "TRANSFORM" and item.target == actor and item.subtarget in HANDLE_NAMES and item.subtarget in actor.pose.bones
    if not ours or not item.enabled or item.influence != 1.0 or item.mix_mode != "ADD" or item.map_from != "LOCATION":
        return False
    same = item.to_max_x == item.to_max_z == -item.to_min_x == -item.to_min_z
    linear = item.use_motion_extrapolate and item.from_max_x == item.from_max_z == -item.from_min_x == -item.from_min_z == 1.0
    return same and linear and item.owner_space == item.target_space == "LOCAL"


def switch_on(actor: bpy.types.Object, regions: Iterable[str]) -> None:
    """Ties the landmarks of the regions to their handles, which are made where an actor has none."""
    require_bones(actor)
    ensure_bones(actor)
    for handle in handles(rest_units(actor)):
        if handle.region in regions:
            _untie(actor, handle.name)
            for point, weight in handle.weights.items():
                _tie(actor, BONE_NAMES[point], handle.name, weight)
            _draw_beside(actor, handle)  # actors of former versions, and after a fit
    _show(actor)


def switch_off(actor: bpy.types.Object, regions: Iterable[str]) -> list[str]:
    """Unties the regions. Handles that are moved or keyed stay, since the face would jump; their names."""
    kept = []
    for handle in handles(rest_units(actor)):
        if handle.region not in regions or handle.name not in actor.pose.bones:
            continue
        if is_used(actor, handle.name):
            kept.append(handle.name)
        else:
            _untie(actor, handle.name)
    _show(actor)
    return kept


def is_used(actor: bpy.types.Object, name: str) -> bool:
    """Whether a handle is away from its rest or animated."""
    if any(abs(part) > 1e-6 for part in actor.pose.bones[name].location):
        return True
    path = f'pose.bones["{name}"]'
    data = actor.animation_data
    if data is None:
        return False
    holders = [data, *(strip for track in data.nla_tracks for strip in track.strips)]
    curves = (curve for holder in holders for curve in compat.iterate_curves(holder.action, compat.assigned_slot(holder)))
    return any(curve.data_path.startswith(path) for curve in (*curves, *data.drivers))


def refresh(actor: bpy.types.Object) -> None:
    """After the rest pose has changed: handles go to their new places and weights are worked out anew."""
    on = regions_on(actor)
    found = handles(rest_units(actor))
    with edit_bones(actor) as bones:
        for handle in found:
            if handle.name in bones:
                _place(bones[handle.name], handle)
    switch_on(actor, on)


def ensure_bones(actor: bpy.types.Object) -> None:
    """The handle bones, in their own collection; nothing changes where they are there already."""
    missing = [handle for handle in handles(rest_units(actor)) if handle.name not in actor.data.bones]
    if not missing:
        return
    with edit_bones(actor) as bones:
        add_edit_bones(bones, missing)
    dress(actor, missing)


def add_edit_bones(bones: bpy.types.ArmatureEditBones, wanted: Iterable[Handle]) -> None:
    """In edit mode: children of the root, with its axes."""
    for handle in wanted:
        bone = bones.new(handle.name)
        _place(bone, handle)
        bone.parent = bones[ROOT_BONE]
        bone.use_deform = False


def dress(actor: bpy.types.Object, wanted: Iterable[Handle]) -> None:
    """Collection, shape, colour and locks; hidden until their region is switched on."""
    collections = actor.data.collections
    collection = collections.get(HANDLE_COLLECTION) or collections.new(HANDLE_COLLECTION)
    ring = bone_shapes.ring()
    for handle in wanted:
        bone = actor.pose.bones[handle.name]
        collection.assign(actor.data.bones[handle.name])
        bone_shapes.lock_to_plane(bone)
        bone.custom_shape = ring
        bone.use_custom_shape_bone_size = False
        bone.custom_shape_scale_xyz = (RADIUS[handle.region],) * 3
        compat.set_bone_colour(bone, HANDLE_COLOUR)
        compat.hide_bone(bone, True)
        _draw_beside(actor, handle)


def titles(regions: Iterable[str]) -> str:
    """Names of regions for a sentence."""
    return ", ".join(title.lower() for region, title in REGION_TITLES.items() if region in regions)


def _draw_beside(actor: bpy.types.Object, handle: Handle) -> None:
    """The ring goes where its landmark goes, so that it is at hand when a prediction has moved the mouth. Its bone stays at rest."""
    bone = actor.pose.bones[handle.name]
    bone.custom_shape_transform = actor.pose.bones[BONE_NAMES[handle.anchor]]
    bone.custom_shape_translation = (handle.aside[0], HANDLE_DEPTH, handle.aside[1])


def _place(bone: bpy.types.EditBone, handle: Handle) -> None:
    x, z = handle.place
    bone.head, bone.tail, bone.roll = (x, 0.0, z), (x, HANDLE_LENGTH, z), 0.0


def _tie(actor: bpy.types.Object, landmark: str, handle: str, weight: float) -> None:
    constraint = actor.pose.bones[landmark].constraints.new("TRANSFORM")
    constraint.name = handle
    constraint.target, constraint.subtarget = actor, handle
    constraint.owner_space = constraint.target_space = "LOCAL"
    constraint.map_from = constraint.map_to = "LOCATION"
    constraint.use_motion_extrapolate = True
    constraint.mix_mode = "ADD"
    constraint.map_to_x_from, constraint.map_to_y_from, constraint.map_to_z_from = "X", "Y", "Z"
    for axis, share in (("x", weight), ("y", 0.0), ("z", weight)):
        setattr(constraint, f"from_min_{axis}", -1.0)
        setattr(constraint, f"from_max_{axis}", 1.0)
        setattr(constraint, f"to_min_{axis}", -share)
        setattr(constraint, f"to_max_{axis}", share)
    constraint.show_expanded = False


def _untie(actor: bpy.types.Object, handle: str) -> None:
    for bone in actor.pose.bones:
        for constraint in ties_of(bone):
            if constraint.subtarget == handle:
                bone.constraints.remove(constraint)


def _show(actor: bpy.types.Object) -> None:
    """A handle that moves nothing is not to be seen."""
    tied = {constraint.subtarget for bone in actor.pose.bones for constraint in ties_of(bone)}
    for name in HANDLE_NAMES:
        if name in actor.pose.bones:
            compat.hide_bone(actor.pose.bones[name], name not in tied)
