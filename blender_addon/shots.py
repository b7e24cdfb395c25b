# SPDX-License-Identifier: GPL-3.0-or-later
"""From the scene to plain data: a Shot for a prediction or render, and the Track of the rig as it stands."""

from __future__ import annotations

import bpy
import numpy as np

from . import actors, compat, curves, evaluation, voices
from .bridge.facs import AU_COUNT
from .bridge.faults import Fault
from .bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT
from .bridge.shot import HEAD_NEUTRAL, Shot, Track


def frame_range(scene: bpy.types.Scene, first: int | None = None, last: int | None = None) -> range:
    """The scene frames of a shot: the given range, else the preview range where it is in use, else the scene's."""
    if first is None or last is None:
        preview = scene.use_preview_range
        first = scene.frame_preview_start if preview else scene.frame_start
        last = scene.frame_preview_end if preview else scene.frame_end
    if last < first:
        raise Fault("no-frames", "The shot has no frames.", "Set the end frame after the start frame.")
    return range(first, last + 1)


def make_shot(context: bpy.types.Context, actor: bpy.types.Object, frames: range, seed: int | None = None) -> Shot:
    """Everything a job needs, read from the scene now; nothing in it refers to Blender's data. ``seed``: instead of the actor's."""
    scene = context.scene
    fps = compat.frame_rate(scene)
    au_values, au_keyed = curves.sample_aus(actor, frames)
    head, head_keyed = curves.sample_head(actor, frames)
    shot = Shot(
        frame_start=frames.start,
        fps=fps,
        portrait=str(actors.portrait_path(actor)),
        voice=voices.pieces(context, frames, fps),
        au_values=au_values,
        au_keyed=au_keyed,
        head=head,
        head_keyed=head_keyed,
        seed=int(actor.autter.seed) if seed is None else seed,
        portrait_landmarks=actors.rest_landmarks(actor),
        motion=scene.autter.motion_settings(),
        au_asymmetry=curves.sample_sides(actor, frames),
        render=scene.autter.render_settings(),
    )
    return shot.checked()


def still_shot(context: bpy.types.Context, actor: bpy.types.Object, frames: range) -> Shot:
    """What pictures alone need: no voice and no commands, for the track has the motion."""
    count = len(frames)
    return Shot(
        frame_start=frames.start,
        fps=compat.frame_rate(context.scene),
        portrait=str(actors.portrait_path(actor)),
        voice=(),
        au_values=np.zeros((count, AU_COUNT), np.float32),
        au_keyed=np.zeros((count, AU_COUNT), bool),
        head=np.tile(np.array(HEAD_NEUTRAL, np.float32), (count, 1)),
        head_keyed=np.zeros((count, len(HEAD_NEUTRAL)), bool),
        seed=int(actor.autter.seed),
        portrait_landmarks=actors.rest_landmarks(actor),
        render=context.scene.autter.render_settings(),
    ).checked()


def make_track(context: bpy.types.Context, actor: bpy.types.Object, frames: range) -> Track:
    """The rig's landmarks as they stand, prediction and edits together, for the renderer."""
    landmarks = evaluation.sample_landmarks(actor, frames)
    if not np.isfinite(landmarks).all():
        raise Fault(
            "rig-not-finite",
            "A landmark bone is at a place that is not a number.",
            "Look for a broken key, driver or constraint on the actor's bones.",
        )
    rest = actors.rest_landmarks(actor)
    return Track(
        landmarks=landmarks,
        motion=_canonical(landmarks - rest, rest),
        fps=compat.frame_rate(context.scene),
        portrait_size=(int(actor.autter.portrait_size[0]), int(actor.autter.portrait_size[1])),
        portrait_landmarks=rest,
        aus=curves.sample_rendered_aus(actor, frames),
    ).checked()


def _canonical(displacement: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Displacement in pixels, (frames, 162, 2), to the canonical frame: in eye-corner distances, the portrait's roll removed."""
    along = rest[EYE_OUTER_LEFT] - rest[EYE_OUTER_RIGHT]
    distance = float(np.hypot(*along))
    cosine, sine = along / distance
    turn = np.array([[cosine, sine], [-sine, cosine]], np.float32)
    return (displacement @ turn.T / distance).astype(np.float32)
