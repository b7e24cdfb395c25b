# SPDX-License-Identifier: GPL-3.0-or-later
"""Which AUs and head channels the animator commands, and their values over a frame range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import bpy
import numpy as np
from numpy.typing import NDArray

from . import compat, curve_samples
from .bridge.facs import AU_COUNT, AU_INDEX, AU_KEYS, MAXIMUM_INTENSITY
from .bridge.faults import Fault
from .evaluation import PropertySamples, sample_properties
from .rig_layout import AU_PROPERTIES, HEAD_KEYS, HEAD_PROPERTIES, PREDICTED_KEYS, PREDICTED_TRACK, SIDE_KEYS, SIDE_PROPERTIES

PLAIN_BLENDS = ("REPLACE", "COMBINE", "ADD")


def animator_curves(actor: bpy.types.Object) -> Iterator[bpy.types.FCurve]:
    """F-curves of the active action and of the animator's own NLA strips, not those of the prediction."""
    data = actor.animation_data
    if data is None:
        return
    yield from compat.iterate_curves(data.action, compat.assigned_slot(data))
    for track in data.nla_tracks:
        if track.name != PREDICTED_TRACK and not track.mute:
            for strip in track.strips:
                if not strip.mute:
                    yield from compat.iterate_curves(strip.action, compat.assigned_slot(strip))


def commanded_keys(actor: bpy.types.Object) -> frozenset[str]:
    """Names of the custom properties with keyframes, modifiers or a driver; a muted curve commands nothing."""
    names: set[str] = set()
    for curve in animator_curves(actor):
        if not curve.mute and (len(curve.keyframe_points) or len(curve.sampled_points) or len(curve.modifiers)):
            names.add(_property_name(curve.data_path))
    if actor.animation_data:
        names.update(_property_name(driver.data_path) for driver in actor.animation_data.drivers if not driver.mute)
    return frozenset(names - {""})


def _property_name(data_path: str) -> str:
    """``AU12`` of ``["AU12"]``; empty for any other path."""
    return data_path[2:-2] if data_path.startswith('["') and data_path.endswith('"]') else ""


def sample_aus(actor: bpy.types.Object, frames: Iterable[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """AU values (frames, 18) float32 0..5 and the mask (frames, 18) bool of those that the animator commands.

    Where a curve between two good keys overshoots 0..5 it is clamped, and so is a driver, as Blender itself clamps it.
    A key outside is a mistake. Faults ``au-range``, ``au-not-finite``, ``driver-broken``.
    """
    frames = list(frames)
    commanded = commanded_keys(actor)
    keyed = np.array([key in commanded for key in AU_KEYS])
    _check_keys(actor)
    samples = _sample(actor, AU_KEYS, frames)
    _check_samples(samples.values[:, keyed], [key for key in AU_KEYS if key in commanded], samples.broken, frames)
    values = np.where(keyed, samples.values, 0.0)
    mask = np.broadcast_to(keyed, (len(frames), AU_COUNT)).copy()
    return np.clip(values, 0.0, MAXIMUM_INTENSITY).astype(np.float32), mask


def values_at(actor: bpy.types.Object, keys: tuple[str, ...], frame: float) -> dict[str, float]:
    """Custom properties at one frame, as animated; an absent one is 0."""
    row = np.nan_to_num(_sample(actor, keys, [int(round(frame))]).values[0], nan=0.0)
    return {key: float(value) for key, value in zip(keys, row)}


def sample_head(actor: bpy.types.Object, frames: Iterable[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Head pose (frames, 6) float32 in the bridge's units and the mask (frames, 6) of commanded channels."""
    frames = list(frames)
    commanded = commanded_keys(actor)
    keyed = np.array([key in commanded for key in HEAD_KEYS])
    samples = _sample(actor, HEAD_KEYS, frames)
    _check_samples(samples.values[:, keyed], [key for key in HEAD_KEYS if key in commanded], samples.broken, frames)
    neutral = np.array([item.default for item in HEAD_PROPERTIES])
    least, most = (np.array([getattr(item, name) for item in HEAD_PROPERTIES]) for name in ("minimum", "maximum"))
    mask = np.broadcast_to(keyed, (len(frames), len(HEAD_KEYS))).copy()
    return np.where(keyed, np.clip(samples.values, least, most), neutral).astype(np.float32), mask


def sample_sides(actor: bpy.types.Object, frames: Iterable[int]) -> NDArray[np.float32] | None:
    """Asymmetry of the AUs (frames, 18) -1..1, keyed or standing, 0 for AUs without sides; None where both halves always act alike."""
    samples = _sample(actor, tuple(SIDE_KEYS.values()), list(frames)).values
    sides = np.zeros((len(samples), AU_COUNT), np.float32)
    sides[:, [AU_INDEX[key] for key in SIDE_KEYS]] = np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0)
    return sides if sides.any() else None


def sample_rendered_aus(actor: bpy.types.Object, frames: Iterable[int]) -> NDArray[np.float32]:
    """AU values (frames, 18) for the renderer: commanded AUs as keyed, free ones as the prediction filled them in."""
    frames = list(frames)
    values, keyed = sample_aus(actor, frames)
    predicted = np.nan_to_num(_sample(actor, PREDICTED_KEYS, frames).values, nan=0.0)
    return np.clip(np.where(keyed, values, predicted), 0.0, MAXIMUM_INTENSITY).astype(np.float32)


def set_keys(actor: bpy.types.Object, keys: dict[str, list[tuple[float, float]]], frame_start: int, fps: Fraction) -> None:
    """Keys AUs, sides or head channels at (seconds, value), second 0 at ``frame_start``. Keys that were there in that time make way."""
    groups = {item.key: item for item in AU_PROPERTIES + SIDE_PROPERTIES + HEAD_PROPERTIES}
    for key, moments in keys.items():
        item = groups[key]
        before = float(actor[key])
        frames = [frame_start + round(second * fps) for second, _ in moments]
        _remove_keys(actor, item.data_path, min(frames), max(frames))
        for frame, (_, value) in zip(frames, moments):
            actor[key] = value
            actor.keyframe_insert(item.data_path, frame=frame, group=item.group)
        actor[key] = before


def _remove_keys(actor: bpy.types.Object, data_path: str, first: int, last: int) -> None:
    data = actor.animation_data
    for curve in compat.iterate_curves(data.action, compat.assigned_slot(data)) if data else ():
        if curve.data_path == data_path:
            for point in [point for point in curve.keyframe_points if first <= point.co[0] <= last][::-1]:
                curve.keyframe_points.remove(point, fast=True)
            curve.update()


def _sample(actor: bpy.types.Object, keys: tuple[str, ...], frames: list[int]) -> PropertySamples:
    """Straight from the f-curves where they alone decide (some hundred times as fast); what is driven, and everything where further
    NLA layers have a say, from the evaluated actor.
    """
    curves = _deciding_curves(actor, with_prediction=keys == PREDICTED_KEYS)
    if curves is None:
        return sample_properties(actor, keys, frames)
    driven = {_property_name(driver.data_path) for driver in actor.animation_data.drivers} if actor.animation_data else set()
    values = np.full((len(frames), len(keys)), np.nan)
    for column, key in enumerate(keys):
        curve = curves.get(key)
        if curve is not None:
            values[:, column] = curve_samples.values_of(curve, frames)
        elif isinstance(actor.get(key), (int, float)):
            values[:, column] = actor[key]
    evaluated = tuple(key for key in keys if key in driven)
    if not evaluated:
        return PropertySamples(values, ())
    samples = sample_properties(actor, evaluated, frames)
    values[:, [keys.index(key) for key in evaluated]] = samples.values
    return PropertySamples(values, samples.broken)


def _deciding_curves(actor: bpy.types.Object, with_prediction: bool = True) -> dict[str, bpy.types.FCurve] | None:
    """The one f-curve behind each animated custom property that has no driver; None where further NLA layers have a say.

    The prediction has hundreds of curves and animates none of the animator's own properties: mostly they need not be looked at.
    """
    data = actor.animation_data
    if data is None:
        return {}
    plain = data.action_blend_type in PLAIN_BLENDS and data.action_influence == 1.0 and not data.use_tweak_mode
    own_tracks = [track for track in data.nla_tracks if track.name != PREDICTED_TRACK or track.mute]
    if not plain or own_tracks:
        return None
    found: dict[str, bpy.types.FCurve] = {}
    tracks = data.nla_tracks if with_prediction else ()
    holders = [strip for track in tracks for strip in track.strips] + [data]
    for holder in holders:
        for curve in compat.iterate_curves(holder.action, compat.assigned_slot(holder)):
            if (name := _property_name(curve.data_path)) and not curve.mute:
                found[name] = curve
    return found


def _check_keys(actor: bpy.types.Object) -> None:
    """Looks at the keyframes themselves, since interpolation may overshoot without anybody's fault."""
    for curve in animator_curves(actor):
        key = _property_name(curve.data_path)
        if key not in AU_KEYS or curve.mute or not len(curve.keyframe_points):
            continue
        points = curve_samples.keys_of(curve)
        values = points[:, 1]
        bad = points[~((values >= -1e-3) & (values <= MAXIMUM_INTENSITY + 1e-3))]  # so written, NaN is bad too
        if len(bad):
            raise _bad_value(key, float(bad[0, 1]), float(bad[0, 0]))


def _bad_value(key: str, value: float, frame: float) -> Fault:
    if not np.isfinite(value):
        return _not_finite(key, frame)
    return Fault(
        "au-range",
        f"{key} is {value:g} at frame {frame:g}; AU intensities run from 0 to 5.",
        "Change the key, or scale the curve if it is in another unit.",
    )


def _check_samples(values: NDArray[np.float64], keys: list[str], broken: tuple[str, ...], frames: list[int]) -> None:
    for key in keys:
        if key in broken:
            raise Fault(
                "driver-broken",
                f"The driver of {key} does not work.",
                "Mend its expression or variables in the Drivers editor, or delete the driver to leave it free.",
            )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise _not_finite(keys[bad[0][1]], frames[bad[0][0]])


def _not_finite(key: str, frame: float) -> Fault:
    return Fault(
        "au-not-finite" if key in AU_KEYS else "head-not-finite",
        f"{key} is not a number at frame {frame:g}.",
        "Look for a broken key or driver, or leave it free.",
    )
