# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a predicted landmark track into an action of its own on the locked NLA track "Predicted".

The animator's action lies above it (COMBINE adds to it) and is never touched: predicting again replaces the
prediction alone and keeps every edit.
"""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np
from numpy.typing import NDArray

from . import compat, pins
from .actors import frame_of, require_bones
from .bridge.shot import Track
from .build_actor import add_animated_properties
from .motion_layers import FADE_FRAMES, Motion, laid_over
from .rig_layout import BONE_COLLECTIONS, BONE_NAMES, PREDICTED_PROPERTIES, PREDICTED_TRACK

AXES = (0, 2)  # a bone's x and z lie in the portrait's plane


def write_prediction(
    actor: bpy.types.Object, track: Track, frame_start: int, piece: bool = False, fade: int = FADE_FRAMES
) -> bpy.types.Action:
    """Replaces the actor's prediction by the track; row 0 of the shot lies at scene frame ``frame_start``.

    Bones get the landmarks' way from the portrait's own landmarks; keys are typed GENERATED, one a frame, linear. Pinned
    landmarks and frames keep what they had. ``piece``: the track is a window of the shot and goes into the prediction, with
    a cross-fade over ``fade`` frames inside its ends.
    """
    require_bones(actor)
    frame = frame_of(actor)
    points = frame.to_units(track.landmarks) - frame.to_units(track.portrait_landmarks)
    aus = None if track.aus is None else np.clip(track.aus, 0, 5)
    new = Motion(frame_start + track.first_frame, points, aus, np.ones(len(BONE_NAMES), bool))
    return write_motion(actor, laid_over(read_motion(actor), new, pins.pinned_mask(actor), pins.pinned_spans(actor), piece, fade))


def write_motion(actor: bpy.types.Object, motion: Motion) -> bpy.types.Action:
    """The actor's prediction, as it is to be."""
    add_animated_properties(actor, PREDICTED_PROPERTIES)
    action, slot = _own_action(actor)
    bag = compat.bag_of(action, actor, slot)
    _write_curves(bag, motion)
    _lay_on_track(actor, action, slot, motion.first, motion.last)
    action.update_tag()
    actor.update_tag()
    return action


def read_motion(actor: bpy.types.Object) -> Motion | None:
    """The actor's prediction as it stands; None before the first one."""
    strip = predicted_strip(actor)
    if strip is None:
        return None
    first, last = round(strip.action_frame_start), round(strip.action_frame_end)
    curves = {(curve.data_path, curve.array_index): curve for curve in compat.iterate_curves(strip.action, compat.assigned_slot(strip))}
    points = np.zeros((last - first + 1, len(BONE_NAMES), 2), np.float32)
    present = np.zeros(len(BONE_NAMES), bool)
    for point, name in enumerate(BONE_NAMES):
        for column, index in enumerate(AXES):
            curve = curves.get((f'pose.bones["{name}"].location', index))
            if curve is not None:
                points[:, point, column] = _rows_of(curve, first, last)
                present[point] = True
    known = [curves.get((item.data_path, 0)) for item in PREDICTED_PROPERTIES]
    aus = None
    if any(curve is not None for curve in known):
        aus = np.stack([_rows_of(curve, first, last) if curve else np.zeros(len(points)) for curve in known], 1).astype(np.float32)
    return Motion(first, points, aus, present)


def _rows_of(curve: bpy.types.FCurve, first: int, last: int) -> NDArray[np.float64]:
    """A curve at every frame; straight from the keys where there is one for each."""
    count = len(curve.keyframe_points)
    if count == last - first + 1:
        keys = np.empty(2 * count, np.float32)
        curve.keyframe_points.foreach_get("co", keys)
        if keys[0] == first and keys[-2] == last:
            return keys[1::2]
    return np.array([curve.evaluate(frame) for frame in range(first, last + 1)])


def remove_prediction(actor: bpy.types.Object) -> None:
    """Takes the track away, and its action if nobody else uses it; what it moved goes back to rest where no key holds it."""
    track, action = _predicted_track(actor), predicted_action(actor)
    if track is not None:
        actor.animation_data.nla_tracks.remove(track)
    if action is not None and not action.users and action.library is None:
        bpy.data.actions.remove(action)
    for name in BONE_NAMES:
        actor.pose.bones[name].location = (0.0, 0.0, 0.0)
    for item in PREDICTED_PROPERTIES:
        if item.key in actor:
            actor[item.key] = item.default
    actor.autter.prediction_stamp = ""
    actor.update_tag()


def predicted_action(actor: bpy.types.Object) -> bpy.types.Action | None:
    """The action that holds the actor's prediction; None before the first one."""
    strip = predicted_strip(actor)
    return strip.action if strip else None


def predicted_range(actor: bpy.types.Object) -> tuple[int, int] | None:
    """First and last scene frame of the prediction."""
    strip = predicted_strip(actor)
    return (round(strip.frame_start), round(strip.frame_end)) if strip else None


def predicted_strip(actor: bpy.types.Object) -> bpy.types.NlaStrip | None:
    """The strip that plays the prediction; None before the first one."""
    track = _predicted_track(actor)
    return next((strip for strip in track.strips if strip.action), None) if track else None


def _predicted_track(actor: bpy.types.Object) -> bpy.types.NlaTrack | None:
    tracks = actor.animation_data.nla_tracks if actor.animation_data else ()
    return next((track for track in tracks if track.name == PREDICTED_TRACK), None)


def _own_action(actor: bpy.types.Object) -> tuple[bpy.types.Action, object]:
    """The action for the prediction: the present one, unless a copied actor uses it too."""
    actor.animation_data_create()
    action = predicted_action(actor)
    if action is None or action.library is not None or _used_elsewhere(action, actor):
        action = bpy.data.actions.new(f"{actor.name} Predicted")
    return action, compat.slot_for(action, actor)


def _used_elsewhere(action: bpy.types.Action, actor: bpy.types.Object) -> bool:
    for other in bpy.data.objects:
        data = other.animation_data
        if data is None or (other == actor and data.action != action):
            continue
        if data.action == action or any(strip.action == action for track in data.nla_tracks for strip in track.strips):
            return True
    return False


def _write_curves(bag: object, motion: Motion) -> None:
    """All curves of the prediction, made anew unless there are keys for just these frames already."""
    channels = list(_channels(motion))
    curves = {(curve.data_path, curve.array_index): curve for curve in bag.fcurves}
    count = len(motion.points)
    fits = curves.keys() == {(path, index) for path, index, _, _ in channels} and all(_is_ours(curve, count) for curve in curves.values())
    if not fits:
        bag.fcurves.clear()
    make = compat.curve_maker(bag)
    keys = np.empty((count, 2), np.float32)
    keys[:, 0] = np.arange(motion.first, motion.first + count)
    types = np.full(count, compat.KEY_TYPE_GENERATED, np.int32)
    interpolations = np.full(count, compat.INTERPOLATION_LINEAR, np.int32)
    for path, index, group, values in channels:
        keys[:, 1] = values
        curve = curves[path, index] if fits else make(path, index, group)
        points = curve.keyframe_points
        if not fits:
            points.add(count)
            points.foreach_set("interpolation", interpolations)
            points.foreach_set("type", types)
        points.foreach_set("co", keys.ravel())
        if not fits:  # same frames, linear: there is nothing to sort, and handles have no say
            curve.update()
    if fits and channels:  # one of them tells Blender that the action is another
        curve.update()


def _is_ours(curve: bpy.types.FCurve, count: int) -> bool:
    """Whether a curve still is as we write them: as many keys, all of our type and linear."""
    points = curve.keyframe_points
    if len(points) != count:
        return False
    edges = (points[0], points[count // 2], points[count - 1])
    return all(point.type == "GENERATED" and point.interpolation == "LINEAR" for point in edges)


def _channels(motion: Motion) -> Iterator[tuple[str, int, str, NDArray[np.float32]]]:
    """Data path, array index, group and values of each curve."""
    for point, (name, kind) in enumerate(zip(BONE_NAMES, BONE_COLLECTIONS)):
        if motion.present[point]:
            for column, index in enumerate(AXES):
                yield f'pose.bones["{name}"].location', index, kind, motion.points[:, point, column]
    if motion.aus is not None:
        for column, item in enumerate(PREDICTED_PROPERTIES):
            yield item.data_path, 0, item.group, motion.aus[:, column]


def _lay_on_track(actor: bpy.types.Object, action: bpy.types.Action, slot: object, first: int, last: int) -> None:
    """One strip with the action's frames as they are, on the locked track at the bottom; a mute or solo stays."""
    data = actor.animation_data
    track = _predicted_track(actor)
    if track is None:
        track = data.nla_tracks.new(prev=None)
        track.name = PREDICTED_TRACK
        if data.action_blend_type == "REPLACE":  # Blender's default would hide the prediction under the first edit
            data.action_blend_type = "COMBINE"
    first_strip = track.strips[0] if len(track.strips) == 1 else None
    if (
        first_strip is not None
        and first_strip.action == action
        and (first_strip.frame_start, first_strip.frame_end) == (first, max(last, first + 1))
    ):
        return
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
