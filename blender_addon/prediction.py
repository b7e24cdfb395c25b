# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a predicted landmark track into an action of its own on the locked NLA track "Predicted".

The animator's action lies above it (COMBINE adds to it) and is never touched: predicting again replaces the
prediction alone and keeps every edit.
"""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np

from . import compat, pins, prediction_curves
from .actors import frame_of, require_bones
from .bridge.shot import Track
from .build_actor import add_animated_properties
from .motion_layers import FADE_FRAMES, Motion, laid_over
from .prediction_curves import Channel, rows_of
from .rig_layout import BONE_COLLECTIONS, BONE_NAMES, PREDICTED_PROPERTIES, PREDICTED_TRACK

AXES = (0, 2)  # a bone's x and z lie in the portrait's plane


def write_prediction(
    actor: bpy.types.Object, track: Track, frame_start: int, piece: bool = False, fade: int = FADE_FRAMES
) -> bpy.types.Action:
    """Replaces the actor's prediction by the track; row 0 of the shot lies at scene frame ``frame_start``.

    Bones get the landmarks' way from the portrait's own landmarks, a value a frame, linear between. Pinned landmarks and
    frames keep what they had. ``piece``: the track is a window of the shot and goes into the prediction, with
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
    prediction_curves.write(bag, _channels(motion), motion.first, actor.autter.prediction_keyed)
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
    curves = {(curve.data_path, curve.array_index): curve for curve in predicted_curves(actor)}
    points = np.zeros((last - first + 1, len(BONE_NAMES), 2), np.float32)
    present = np.zeros(len(BONE_NAMES), bool)
    for point, name in enumerate(BONE_NAMES):
        for column, index in enumerate(AXES):
            curve = curves.get((f'pose.bones["{name}"].location', index))
            if curve is not None:
                points[:, point, column] = rows_of(curve, first, last)
                present[point] = True
    known = [curves.get((item.data_path, 0)) for item in PREDICTED_PROPERTIES]
    aus = None
    if any(curve is not None for curve in known):
        aus = np.stack([rows_of(curve, first, last) if curve else np.zeros(len(points)) for curve in known], 1).astype(np.float32)
    return Motion(first, points, aus, present)


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


def set_keyed(actor: bpy.types.Object, keyed: bool) -> None:
    """Gives the prediction keys, or takes them for samples; so do predictions to come."""
    actor.autter.prediction_keyed = keyed
    curves, span = predicted_curves(actor), predicted_range(actor)
    if span is None:
        return
    if keyed:
        prediction_curves.to_keys(curves)
    else:
        prediction_curves.to_samples(curves, *span)
    predicted_action(actor).update_tag()
    actor.update_tag()


def predicted_curves(actor: bpy.types.Object) -> list[bpy.types.FCurve]:
    """The prediction's f-curves; none before the first one."""
    strip = predicted_strip(actor)
    return [] if strip is None else list(compat.iterate_curves(strip.action, compat.assigned_slot(strip)))


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


def _channels(motion: Motion) -> Iterator[Channel]:
    for point, (name, kind) in enumerate(zip(BONE_NAMES, BONE_COLLECTIONS)):
        if motion.present[point]:
            for column, index in enumerate(AXES):
                yield Channel(f'pose.bones["{name}"].location', index, kind, motion.points[:, point, column])
    if motion.aus is not None:
        for column, item in enumerate(PREDICTED_PROPERTIES):
            yield Channel(item.data_path, 0, item.group, motion.aus[:, column])


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
