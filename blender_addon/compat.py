# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that differs between Blender 4.2 and 5.2, found by feature, never by version number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import bpy

KEY_TYPE_GENERATED = 5
INTERPOLATION_LINEAR = 1


# Actions: before 4.4 an action holds its f-curves itself; since then a slot's channelbag does.


def slot_for(action: bpy.types.Action, datablock: bpy.types.ID) -> Any:
    """The action's slot for the datablock, made if absent; None where actions have no slots."""
    if not hasattr(action, "slots"):
        return None
    kind = datablock.id_type
    for slot in action.slots:
        if slot.target_id_type in (kind, "UNSPECIFIED"):
            return slot
    return action.slots.new(id_type=kind, name=datablock.name)


def bag_of(action: bpy.types.Action, datablock: bpy.types.ID, slot: Any = None) -> Any:
    """The holder of the datablock's ``fcurves`` and ``groups`` in the action, made if absent."""
    if not hasattr(action, "slots"):
        return action
    slot = slot or slot_for(action, datablock)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True)


def iterate_curves(action: bpy.types.Action | None, slot: Any = None) -> Iterator[bpy.types.FCurve]:
    """The f-curves of one slot, or of the whole action where it has no slots. Makes nothing."""
    if action is None:
        return
    if not hasattr(action, "slots"):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(slot) if slot is not None else None
            if bag is not None:
                yield from bag.fcurves


def assigned_slot(holder: Any) -> Any:
    """The slot that an AnimData or NLA strip uses; None where there are no slots."""
    return getattr(holder, "action_slot", None)


def assign_slot(holder: Any, slot: Any) -> None:
    """Sets the slot of an AnimData or NLA strip, where slots exist."""
    if slot is not None and hasattr(holder, "action_slot"):
        holder.action_slot = slot


def curve_maker(bag: Any) -> Callable[[str, int, str], bpy.types.FCurve]:
    """A function (data path, index, group) that adds an f-curve to the bag; three generations of the same call."""
    parameters = bag.fcurves.bl_rna.functions["new"].parameters.keys()
    if "group_name" in parameters:
        return lambda path, index, group: bag.fcurves.new(path, index=index, group_name=group)
    if "action_group" in parameters:
        return lambda path, index, group: bag.fcurves.new(path, index=index, action_group=group)

    def make(path: str, index: int, group: str) -> bpy.types.FCurve:
        curve = bag.fcurves.new(path, index=index)
        curve.group = bag.groups.get(group) or bag.groups.new(group)
        return curve

    return make


# Sequencer: `sequences` became `strips`; 5.0 lets another scene than the window's hold the edit.


def strips_of(editor: Any) -> Any:
    """The top-level strips of a sequence editor."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def all_strips(editor: Any) -> list[Any]:
    """Every strip of a sequence editor, also those inside meta strips."""
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all) if editor else []


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene whose strips the sequencer shows. Where a workspace can choose one and has not, it is given the window's scene."""
    workspace = getattr(context, "workspace", None)
    if workspace is None or not hasattr(workspace, "sequencer_scene"):
        return context.scene
    if workspace.sequencer_scene is None:
        workspace.sequencer_scene = context.scene
    return workspace.sequencer_scene


def show_sequencer_scene(context: bpy.types.Context, scene: bpy.types.Scene) -> None:
    """Shows the scene's strips in the sequencer, where the sequencer can show another scene than the window."""
    workspace = getattr(context, "workspace", None)
    if workspace is not None and hasattr(workspace, "sequencer_scene"):
        workspace.sequencer_scene = scene


def shown_sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """Like ``sequencer_scene``, but changes nothing: safe while drawing."""
    workspace = getattr(context, "workspace", None)
    return getattr(workspace, "sequencer_scene", None) or context.scene


def strip_handles(strip: Any) -> tuple[float, float]:
    """First and behind-the-last scene frame at which the strip plays."""
    if hasattr(strip, "left_handle"):
        return float(strip.left_handle), float(strip.right_handle)
    return float(strip.frame_final_start), float(strip.frame_final_end)


def strip_content_start(strip: Any) -> float:
    """Scene frame at which the strip's file starts, before trimming."""
    return float(strip.content_start if hasattr(strip, "content_start") else strip.frame_start)


def trim_strip(strip: Any, start: float, end: float) -> None:
    """Moves the handles: ``start`` and ``end`` are frames cut off the beginning and the end."""
    if hasattr(strip, "left_handle_offset"):
        strip.left_handle_offset, strip.right_handle_offset = start, end
    else:
        strip.frame_offset_start, strip.frame_offset_end = start, end


def strip_sound_delay(strip: Any) -> float:
    """Seconds by which the sound inside the strip is delayed (4.4 and newer can shift it below a frame)."""
    return float(getattr(strip, "sound_offset", 0.0))


def is_retimed(strip: Any) -> bool:
    """Whether the strip may play faster or slower than its file. Blender tells its length only as retimed, so any two keys count."""
    return len(getattr(strip, "retiming_keys", ())) >= 2


def mixdown_channels(strip: Any) -> dict[str, str]:
    """For a mixdown as many channels as the recording has: Blender spreads one voice over two sides three decibels softer. Nothing where
    it does not let them be chosen."""
    told = "channels" in bpy.ops.sound.mixdown.get_rna_type().properties
    return {"channels": "MONO" if strip.sound.channels == "MONO" else "STEREO"} if told else {}


def can_make_sound_strips() -> bool:
    """Builds without Audaspace cannot hold sound strips."""
    return bool(getattr(bpy.app.build_options, "audaspace", True))


# Bones


def set_bone_colour(pose_bone: bpy.types.PoseBone, colour: tuple[float, float, float]) -> None:
    """A custom colour that lightens when the bone is selected and active."""
    pose_bone.color.palette = "CUSTOM"
    pose_bone.color.custom.normal = colour
    pose_bone.color.custom.select = tuple(0.45 * channel + 0.55 for channel in colour)
    pose_bone.color.custom.active = (1.0, 1.0, 1.0)


def select_bone(pose_bone: bpy.types.PoseBone, state: bool) -> None:
    """Selection moved from the bone to the pose bone in 5.0."""
    holder = pose_bone if hasattr(pose_bone, "select") else pose_bone.bone
    holder.select = state


def hide_bone(pose_bone: bpy.types.PoseBone, state: bool) -> None:
    """Hiding in pose mode moved from the bone to the pose bone in 5.0."""
    holder = pose_bone if hasattr(pose_bone, "hide") else pose_bone.bone
    holder.hide = state


def is_bone_hidden(pose_bone: bpy.types.PoseBone) -> bool:
    """Whether the bone is hidden in pose mode."""
    return bool((pose_bone if hasattr(pose_bone, "hide") else pose_bone.bone).hide)


def is_bone_selected(pose_bone: bpy.types.PoseBone) -> bool:
    """Whether the bone is selected in pose mode."""
    return bool((pose_bone if hasattr(pose_bone, "select") else pose_bone.bone).select)


# Scene and application


def frame_rate(scene: bpy.types.Scene) -> Fraction:
    """The scene's frames a second, exact: 23.976 is 24000/1001."""
    base = float(scene.render.fps_base)
    exact_base = Fraction(1001, 1000) if abs(base - 1.001) < 1e-5 else Fraction(base).limit_denominator(10000)
    return Fraction(scene.render.fps) / exact_base


def modal_operators(window: bpy.types.Window) -> tuple[str, ...]:
    """Names of the operators that have hold of the window, such as TRANSFORM_OT_translate; empty where Blender does not tell."""
    return tuple(operator.bl_idname for operator in getattr(window, "modal_operators", ()))


def exit_handlers() -> list[Any] | None:
    """The list of functions that Blender calls before it quits; None before 5.1."""
    return getattr(bpy.app.handlers, "exit_pre", None)
