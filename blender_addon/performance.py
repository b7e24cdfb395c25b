# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances in other programs' files: read onto an actor, written from it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import actors, au_keys, compat, curves, prediction
from .bridge import arkit
from .bridge.au_tables import au_table_text
from .bridge.facs import ACTION_UNITS, AU_COUNT, MAXIMUM_INTENSITY
from .bridge.faults import Fault
from .bridge.half_written import partial_path, put_in_place
from .bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT
from .bridge.shot import Track
from .bridge.track_files import read_any_landmarks, save_track
from .rig_layout import SIDE_KEYS

UNEVEN = 0.75  # difference of the halves, in intensities, from which an imported AU gets an asymmetry
Keys = au_keys.Keys


def shape_keys_of(path: Path, fps: Fraction, tolerance: float, head: bool) -> Keys:
    """Keys of AUs, their asymmetries and the head from a table of ARKit's shapes."""
    table = arkit.read_shape_table(path, fps)
    keys: Keys = {}
    means = arkit.aus_of_shapes(table.weights)
    for unit in ACTION_UNITS:
        values, side = means.get(unit.key), None
        if values is None:
            continue
        halves = _halves(unit.key, table.weights)
        if unit.two_sided and halves is not None and float(np.abs(halves[0] - halves[1]).max()) > UNEVEN:
            values, side = np.maximum(*halves), asymmetry(*halves)
        keys[unit.key] = au_keys.thinned_keys(table.times, values, tolerance)
        if side is not None and unit.key in SIDE_KEYS:
            keys[SIDE_KEYS[unit.key]] = au_keys.thinned_keys(table.times, side, 0.1)
    if head:
        keys.update({f"head_{channel}": au_keys.thinned_keys(table.times, values, 0.25) for channel, values in table.head.items()})
    return keys


def asymmetry(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """-1..1: 1 where only the left half acts, 0 where nothing does."""
    most = np.maximum(left, right)
    return np.where(most > 0.25, (left - right) / np.maximum(most, 1e-6), 0.0)


def _halves(key: str, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Intensities of the left and right half of an AU that has a shape for each."""
    names = [name for stem in arkit.AU_SHAPES[key] for name in arkit.sided(stem)]
    if len(names) != 2 or not names[0].endswith("Left"):
        return None
    left, right = (weights[:, arkit.SHAPE_INDEX[name]] * MAXIMUM_INTENSITY for name in names)
    return None if np.isnan(left).all() or np.isnan(right).all() else (left, right)


def read_landmarks_onto(actor: bpy.types.Object, path: Path, frame_start: int, fps: Fraction) -> int:
    """Writes landmarks from a file as the actor's prediction, fitted to its portrait and the scene's rate; the number of frames."""
    track = resampled(read_any_landmarks(path, fps), fps)
    rest = actors.rest_landmarks(actor)
    size = (int(actor.autter.portrait_size[0]), int(actor.autter.portrait_size[1]))
    if track.portrait_size != size or not np.allclose(track.portrait_landmarks, rest, atol=1.0):
        track = replace(track, landmarks=rest + on_face(track.motion, rest), portrait_size=size, portrait_landmarks=rest)
    prediction.write_prediction(actor, replace(track, first_frame=0), frame_start)
    return len(track.landmarks)


def on_face(motion: NDArray[np.float32], rest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Canonical motion (frames, 162, 2) as displacement in pixels of the face with the landmarks ``rest`` (162, 2)."""
    along = rest[EYE_OUTER_LEFT] - rest[EYE_OUTER_RIGHT]
    cosine, sine = along / float(np.hypot(*along))
    turn = np.array([[cosine, -sine], [sine, cosine]], np.float32)
    return (motion @ turn.T * float(np.hypot(*along))).astype(np.float32)


def resampled(track: Track, fps: Fraction) -> Track:
    """The track at another rate, linear between its frames."""
    if track.fps == fps:
        return track
    count = max(1, int(len(track.landmarks) * fps / track.fps))
    position = np.clip(np.arange(count) * float(track.fps / fps), 0, len(track.landmarks) - 1)
    lower = np.floor(position).astype(int)
    upper = np.minimum(lower + 1, len(track.landmarks) - 1)

    def between(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        weight = (position - lower).reshape(-1, *[1] * (rows.ndim - 1)).astype(np.float32)
        return (rows[lower] * (1 - weight) + rows[upper] * weight).astype(np.float32)

    aus = None if track.aus is None else between(track.aus)
    return replace(track, landmarks=between(track.landmarks), motion=between(track.motion), aus=aus, fps=fps)


def write_aus(path: Path, actor: bpy.types.Object, frames: range, fps: Fraction) -> None:
    """AUs as they are rendered, keyed and filled in, with OpenFace's columns."""
    write_text(path, au_table_text(curves.sample_rendered_aus(actor, frames), fps))


def write_shapes(path: Path, actor: bpy.types.Object, frames: range, track: Track) -> None:
    """ARKit's shapes in Live Link Face's columns, with the head."""
    head, _ = curves.sample_head(actor, frames)
    write_text(path, arkit.shape_table_text(shape_weights(actor, frames, track), track.fps, head))


def shape_weights(actor: bpy.types.Object, frames: range, track: Track) -> NDArray[np.float32]:
    """ARKit weights (frames, 52): the AUs, their asymmetry, and what speech does to jaw, lips and gaze."""
    aus = track.aus if track.aus is not None else np.zeros((len(frames), AU_COUNT), np.float32)
    weights = arkit.shapes_of_aus(aus, track.motion, track.portrait_landmarks)
    sides = curves.sample_sides(actor, frames)
    if sides is None:
        return weights
    for column, unit in enumerate(ACTION_UNITS):
        if unit.two_sided:
            for stem in arkit.AU_SHAPES[unit.key]:
                for name in arkit.sided(stem):
                    half = 1 + sides[:, column] if name.endswith("Left") else 1 - sides[:, column] if name.endswith("Right") else 1.0
                    weights[:, arkit.SHAPE_INDEX[name]] *= np.minimum(half, 1.0)
    return weights


def write_landmarks(path: Path, track: Track) -> None:
    """The track as an npz that the command line and Import read."""
    partial = partial_path(path)
    try:
        with partial.open("wb") as file:
            save_track(file, track)
        put_in_place(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unwritable(path, error) from None


def write_text(path: Path, text: str) -> None:
    """A text file, in place only when it is whole."""
    partial = partial_path(path)
    try:
        partial.write_text(text, encoding="utf-8")
        put_in_place(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> Fault:
    return Fault("folder-read-only", f"{path} cannot be written: {error.strerror or error}.", "Choose another folder.")


def key_shapes(mesh: bpy.types.Object, weights: NDArray[np.float32], frames: range) -> list[str]:
    """Keys a character's shape keys by ARKit's names, one a frame; the names that were found. Fault ``shape-keys-missing``."""
    blocks = mesh.data.shape_keys.key_blocks if getattr(mesh.data, "shape_keys", None) else ()
    by_name = {arkit.plain_name(block.name): block for block in blocks}
    found = {name: block for name in arkit.SHAPES if (block := _first(by_name, arkit.spellings(name))) is not None}
    if not found:
        raise Fault(
            "shape-keys-missing",
            f"{mesh.name} has no shape keys with ARKit's names.",
            "Select a mesh whose shape keys are named like jawOpen and mouthSmileLeft.",
        )
    keys = mesh.data.shape_keys
    keys.animation_data_create()
    action = keys.animation_data.action
    if action is None:
        action = keys.animation_data.action = bpy.data.actions.new(f"{mesh.name} AUtter")
    slot = compat.assigned_slot(keys.animation_data) or compat.slot_for(action, keys)
    compat.assign_slot(keys.animation_data, slot)
    bag = compat.bag_of(action, keys, slot)
    for name, block in found.items():
        _write_curve(bag, f'key_blocks["{bpy.utils.escape_identifier(block.name)}"].value', weights[:, arkit.SHAPE_INDEX[name]], frames)
    keys.update_tag()
    return list(found)


def _first(by_name: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((by_name[name] for name in names if name in by_name), None)


def _write_curve(bag: Any, path: str, values: NDArray[np.float32], frames: range) -> None:
    """Replaces the curve's keys inside the frames."""
    curve = next((curve for curve in bag.fcurves if curve.data_path == path), None) or compat.curve_maker(bag)(path, 0, "AUtter")
    for place in reversed([place for place, point in enumerate(curve.keyframe_points) if frames.start <= point.co[0] < frames.stop]):
        curve.keyframe_points.remove(curve.keyframe_points[place], fast=True)
    before = len(curve.keyframe_points)
    curve.keyframe_points.add(len(frames))
    points = np.empty(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", points)
    points = points.reshape(-1, 2)
    points[before:] = np.stack([np.arange(frames.start, frames.stop), values], 1)
    points = points[points[:, 0].argsort(kind="stable")]
    curve.keyframe_points.foreach_set("co", points.ravel())
    curve.update()
