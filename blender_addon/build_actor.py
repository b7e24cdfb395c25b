# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes an actor: armature with 162 landmark bones, line mesh, portrait image behind, AU and head-pose properties."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector
from numpy.typing import NDArray

from . import bone_shapes, compat, handle_rig, line_mesh
from .handle_layout import handles
from .rig_layout import (
    AU_PROPERTIES,
    BONE_COLLECTIONS,
    BONE_NAMES,
    COLLECTION_COLOURS,
    HEAD_PROPERTIES,
    ROOT_BONE,
    SIDE_PROPERTIES,
    AnimatedProperty,
    Frame2D,
)

BONE_LENGTH = 0.06
DOT_RADIUS = {"Jaw": 0.014, "Brow.L": 0.012, "Brow.R": 0.012, "LipOuter": 0.011, "Eye.L": 0.0075, "Eye.R": 0.0075, "Iris": 0.0075}
DOT_RADIUS_ELSE = 0.009
DOT_DEPTH = -0.03  # in front of the lines, which lie in front of the portrait
PORTRAIT_DEPTH = 0.02
FACE_CENTRE = (0.0, 0.0, -0.35)
FACE_DISTANCE = 4.5  # of a viewport, so that the face fills it


def build_actor(
    context: bpy.types.Context, portrait: Path, landmarks: NDArray[np.float32], size: tuple[int, int], name: str = ""
) -> bpy.types.Object:
    """A new actor in a collection of its own, selected and active.

    ``landmarks``: (162, 2) portrait pixels; ``size``: the portrait's (width, height) in pixels. The rest pose is the
    portrait's own landmarks.
    """
    frame = Frame2D.of_landmarks(landmarks)
    name = name or portrait.stem.replace("_", " ").strip().title() or "Actor"
    collection = bpy.data.collections.new(name)
    context.scene.collection.children.link(collection)
    armature = _make_armature(context, collection, name, frame.to_units(landmarks))
    _describe(armature, portrait, size, frame)
    add_animated_properties(armature, AU_PROPERTIES + HEAD_PROPERTIES + SIDE_PROPERTIES)
    _dress_bones(armature, frame, size)
    handle_rig.dress(armature, handles(frame.to_units(landmarks)))
    line_mesh.make_line_mesh(armature, collection)
    _make_backdrop(armature, collection, portrait, size, frame)
    armature.animation_data_create().action_blend_type = "COMBINE"
    context.scene.autter.actor = armature
    _select_only(context, armature)
    bpy.ops.object.mode_set(mode="POSE")
    look_at(context, armature)
    return armature


def portrait_view(actor: bpy.types.Object) -> tuple[tuple[float, float, float], tuple[float, float]]:
    """Centre of the portrait in the actor's space, and its (width, height) in armature units."""
    width, height = actor.autter.portrait_size
    x, y = actor.autter.origin
    unit = actor.autter.unit
    return ((width / 2 - x) / unit, 0.0, (y - height / 2) / unit), (width / unit, height / unit)


def look_at(context: bpy.types.Context, actor: bpy.types.Object) -> None:
    """Turns the window's 3-D viewports to the actor's face, from the front."""
    screen = context.window.screen if context.window else None
    for area in screen.areas if screen else ():
        if area.type == "VIEW_3D":
            view = area.spaces.active.region_3d
            view.view_rotation = (0.7071068, 0.7071068, 0.0, 0.0)
            view.view_perspective = "ORTHO"
            view.view_location = actor.matrix_world @ Vector(FACE_CENTRE)
            view.view_distance = FACE_DISTANCE


def add_camera(context: bpy.types.Context, actor: bpy.types.Object) -> bpy.types.Object:
    """An orthographic camera whose picture is exactly the portrait, made the scene's camera and resolution."""
    centre, size = portrait_view(actor)
    data = bpy.data.cameras.new(f"{actor.name} Camera")
    data.type, data.ortho_scale = "ORTHO", max(size)
    camera = bpy.data.objects.new(data.name, data)
    actor.users_collection[0].objects.link(camera)
    camera.parent = actor
    camera.hide_set(True)  # its frame would cross the face; it renders all the same
    camera.location, camera.rotation_euler = (centre[0], -10.0, centre[2]), (np.pi / 2, 0.0, 0.0)
    scene = context.scene
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = actor.autter.portrait_size
    return camera


def add_animated_properties(owner: bpy.types.Object, properties: tuple[AnimatedProperty, ...]) -> None:
    """Adds custom properties with range and tooltip, keyable also where the actor is a library override."""
    for item in properties:
        if item.key in owner:
            continue
        owner[item.key] = float(item.default)
        owner.id_properties_ui(item.key).update(
            min=item.minimum, max=item.maximum, soft_min=item.minimum, soft_max=item.maximum,
            default=item.default, description=item.tooltip, precision=1 if item in SIDE_PROPERTIES else 2, step=0.1,
        )  # fmt: skip
        owner.property_overridable_library_set(item.data_path, True)


def _make_armature(context: bpy.types.Context, collection: bpy.types.Collection, name: str, units: NDArray[np.float32]) -> bpy.types.Object:
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    collection.objects.link(armature)
    active = context.view_layer.objects.active
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    _select_only(context, armature)
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        _add_bones(data, units)
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
    for kind in COLLECTION_COLOURS:
        data.collections.new(kind)
    for bone_name, kind in zip(BONE_NAMES, BONE_COLLECTIONS):
        data.collections[kind].assign(data.bones[bone_name])
    return armature


def _add_bones(data: bpy.types.Armature, units: NDArray[np.float32]) -> None:
    """Root and landmark bones point away from the viewer, so their axes are the armature's: x right, z up."""
    root = data.edit_bones.new(ROOT_BONE)
    root.head, root.tail = (0.0, 0.0, 0.0), (0.0, 4 * BONE_LENGTH, 0.0)
    root.use_deform = False
    for bone_name, (x, z) in zip(BONE_NAMES, units.tolist()):
        bone = data.edit_bones.new(bone_name)
        bone.head, bone.tail, bone.roll = (x, 0.0, z), (x, BONE_LENGTH, z), 0.0
        bone.parent = root
    handle_rig.add_edit_bones(data.edit_bones, handles(units))


def _describe(armature: bpy.types.Object, portrait: Path, size: tuple[int, int], frame: Frame2D) -> None:
    settings = armature.autter
    image = bpy.data.images.load(str(portrait), check_existing=True)
    image.filepath = relative_path(portrait)
    settings.is_actor = True
    settings.portrait = image
    settings.portrait_size = (int(size[0]), int(size[1]))
    settings.unit = frame.unit
    settings.origin = frame.origin


def relative_path(path: Path) -> str:
    """``//`` path where the .blend is saved on the same drive, else absolute."""
    if not bpy.data.filepath:
        return str(path)
    try:
        return bpy.path.relpath(str(path))
    except ValueError:
        return str(path)


def _dress_bones(armature: bpy.types.Object, frame: Frame2D, size: tuple[int, int]) -> None:
    """Locks the bones to the plane and gives each a coloured dot; the root gets the portrait's border."""
    armature.show_in_front = True
    armature.data.display_type = "WIRE"
    dot = bone_shapes.dot()
    for bone_name, kind in zip(BONE_NAMES, BONE_COLLECTIONS):
        bone = armature.pose.bones[bone_name]
        bone_shapes.lock_to_plane(bone)
        bone.custom_shape = dot
        bone.use_custom_shape_bone_size = False
        bone.custom_shape_scale_xyz = (DOT_RADIUS.get(kind, DOT_RADIUS_ELSE),) * 3
        bone.custom_shape_translation = (0.0, DOT_DEPTH, 0.0)
        compat.set_bone_colour(bone, COLLECTION_COLOURS[kind])
    root = armature.pose.bones[ROOT_BONE]
    root.lock_rotation = (True, False, True)
    root.rotation_mode = "XYZ"
    root.custom_shape = bone_shapes.border(armature.name, frame, size)
    root.use_custom_shape_bone_size = False
    compat.set_bone_colour(root, (0.75, 0.75, 0.78))


def _make_backdrop(
    armature: bpy.types.Object, collection: bpy.types.Collection, portrait: Path, size: tuple[int, int], frame: Frame2D
) -> bpy.types.Object:
    """The portrait as an image empty behind the rig, moved by the root bone, not selectable by accident."""
    image = armature.autter.portrait
    backdrop = bpy.data.objects.new(f"{armature.name} Portrait", None)
    backdrop.empty_display_type = "IMAGE"
    backdrop.data = image
    backdrop.empty_image_depth = "BACK"
    backdrop.empty_image_side = "FRONT"
    backdrop.empty_display_size = max(size) / frame.unit
    # The image hangs on the pixel at the armature's origin, so that no long relationship line crosses the face.
    backdrop.empty_image_offset = (-frame.origin[0] / size[0], frame.origin[1] / size[1] - 1.0)
    backdrop.hide_select = True
    collection.objects.link(backdrop)
    backdrop.parent, backdrop.parent_type, backdrop.parent_bone = armature, "BONE", ROOT_BONE
    root = armature.data.bones[ROOT_BONE]
    to_tail = root.matrix_local @ Matrix.Translation((0.0, root.length, 0.0))
    backdrop.matrix_parent_inverse = to_tail.inverted()
    backdrop.location = (0.0, PORTRAIT_DEPTH, 0.0)
    backdrop.rotation_euler = (np.pi / 2, 0.0, 0.0)
    return backdrop


def _select_only(context: bpy.types.Context, chosen: bpy.types.Object) -> None:
    for other in context.view_layer.objects:
        if other.select_get():
            other.select_set(False)
    chosen.select_set(True)
    context.view_layer.objects.active = chosen
