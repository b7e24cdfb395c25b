# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a predicted landmark track into an action of its own on the locked NLA track "Predicted".

The animator's action lies above it (COMBINE adds to it) and is never touched: predicting again replaces the
prediction alone and keeps every edit.
"""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from . import compat
from .actors import frame_of, require_bones
from .bridge.shot import Track
from .build_actor import add_animated_properties
from .rig_layout import AU_PROPERTIES, BONE_COLLECTIONS, BONE_NAMES, PREDICTED_PROPERTIES, PREDICTED_TRACK

AXES = (0, 2)  # a bone's x and z lie in the portrait's plane


def write_prediction(actor: bpy.types.Object, track: Track, frame_start: int) -> bpy.types.Action:
    """Replaces the actor's prediction by the track; row 0 lies at scene frame ``frame_start``.

    Bones get the landmarks' way from the portrait's own landmarks; keys are typed GENERATED, one a frame, linear.
    """
    require_bones(actor)
    frame = frame_of(actor)
    motion = frame.to_units(track.landmarks) - frame.to_units(track.portrait_landmarks)
    add_animated_properties(actor, PREDICTED_PROPERTIES)
    action, slot = _fresh_action(actor)
    bag = compat.bag_of(action, actor, slot)
    _write_curves(bag, motion, track.aus, frame_start)
    _lay_on_track(actor, action, slot, frame_start, frame_start + len(motion) - 1)
    return action


def predicted_action(actor: bpy.types.Object) -> bpy.types.Action | None:
    """The action that holds the actor's prediction; None before the first one."""
    strip = _predicted_strip(actor)
    return strip.action if strip else None


def predicted_range(actor: bpy.types.Object) -> tuple[int, int] | None:
    """First and last scene frame of the prediction."""
    strip = _predicted_strip(actor)
    return (round(strip.frame_start), round(strip.frame_end)) if strip else None


def _predicted_strip(actor: bpy.types.Object) -> bpy.types.NlaStrip | None:
    track = _predicted_track(actor)
    return next((strip for strip in track.strips if strip.action), None) if track else None


def _predicted_track(actor: bpy.types.Object) -> bpy.types.NlaTrack | None:
    tracks = actor.animation_data.nla_tracks if actor.animation_data else ()
    return next((track for track in tracks if track.name == PREDICTED_TRACK), None)


def _fresh_action(actor: bpy.types.Object) -> tuple[bpy.types.Action, object]:
    """An empty action for the prediction: the present one emptied, unless a copied actor uses it too."""
    actor.animation_data_create()
    action = predicted_action(actor)
    if action is None or action.library is not None or _used_elsewhere(action, actor):
        action = bpy.data.actions.new(f"{actor.name} Predicted")
    slot = compat.slot_for(action, actor)
    compat.bag_of(action, actor, slot).fcurves.clear()
    return action, slot


def _used_elsewhere(action: bpy.types.Action, actor: bpy.types.Object) -> bool:
    for other in bpy.data.objects:
        data = other.animation_data
        if data is None or (other == actor and data.action != action):
            continue
        if data.action == action or any(strip.action == action for track in data.nla_tracks for strip in track.strips):
            return True
    return False


def _write_curves(bag: object, motion: NDArray[np.float32], aus: NDArray[np.float32] | None, frame_start: int) -> None:
    count = len(motion)
    points = np.empty((count, 2), np.float32)
    points[:, 0] = np.arange(frame_start, frame_start + count)
    types = np.full(count, compat.KEY_TYPE_GENERATED, np.int32)
    interpolations = np.full(count, compat.INTERPOLATION_LINEAR, np.int32)
    make = compat.curve_maker(bag)

    def write(path: str, index: int, group: str, values: NDArray[np.float32]) -> None:
        curve = make(path, index, group)
        points[:, 1] = values
        curve.keyframe_points.add(count)
        curve.keyframe_points.foreach_set("co", points.ravel())
        curve.keyframe_points.foreach_set("interpolation", interpolations)
        curve.keyframe_points.foreach_set("type", types)
        curve.update()

    for point, (name, kind) in enumerate(zip(BONE_NAMES, BONE_COLLECTIONS)):
        for column, index in enumerate(AXES):
            write(f'pose.bones["{name}"].location', index, kind, motion[:, point, column])
    if aus is not None:
        for column, item in enumerate(PREDICTED_PROPERTIES[: len(AU_PROPERTIES)]):
            write(item.data_path, 0, item.group, np.clip(aus[:, column], 0, 5))


def _lay_on_track(actor: bpy.types.Object, action: bpy.types.Action, slot: object, first: int, last: int) -> None:
    """One strip with the action's frames as they are, on the locked track at the bottom; a mute or solo stays."""
    data = actor.animation_data
    track = _predicted_track(actor)
    if track is None:
        track = data.nla_tracks.new(prev=None)
        track.name = PREDICTED_TRACK
        if data.action_blend_type == "REPLACE":  # Blender's default would hide the prediction under the first edit
            data.action_blend_type = "COMBINE"
    track.lock = False
    for strip in list(track.strips):
        track.strips.remove(strip)
    strip = track.strips.new(PREDICTED_TRACK, first, action)
    compat.assign_slot(strip, slot)
    strip.action_frame_start, strip.action_frame_end = first, max(last, first + 1)
    strip.frame_start, strip.frame_end = first, max(last, first + 1)
    strip.extrapolation = "HOLD"
    strip.blend_type = "REPLACE"
    track.lock = True
