# SPDX-License-Identifier: GPL-3.0-or-later
"""A voice strip that is retimed or fades, mixed down by Blender itself: speed, pitch correction and volume as they sound in the sequencer.

Blender does not tell which moment of the file a retiming key holds, and volumes may be keyed in any way, but it can write what it
plays. The file lies in the cache under a name made of everything that it depends on, so that it is written once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from . import compat, media
from .bridge import paths
from .bridge.faults import Fault

RATE = 48000


def mixdown(scene: bpy.types.Scene, strip: Any) -> Path:
    """A WAV of what the strip plays between its handles. Fault ``voice-retimed`` where this Blender cannot write it."""
    left, right = compat.strip_handles(strip)
    path = _kept(scene, strip)
    if path.is_file():
        return path
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(scene, strip, round(left), round(right) - 1), bpy.context.temp_override(scene=scene, sequencer_scene=scene):
            bpy.ops.sound.mixdown(
                filepath=str(partial),
                relative_path=False,
                container="WAV",
                codec="PCM",
                format="S16",
                mixrate=RATE,
                **compat.mixdown_channels(strip),
            )
        os.replace(partial, path)
    except (RuntimeError, TypeError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise Fault(
            "voice-retimed",
            f'The voice strip "{strip.name}" is retimed or fades, and this Blender cannot write how it sounds ({str(error).strip()}).',
            "Remove its retiming and volume keys, or render it to a sound file and use that.",
        ) from None
    return path


def volume_curve(scene: bpy.types.Scene, strip: Any) -> bpy.types.FCurve | None:
    """The keys of a strip's volume; None where it stays as it is."""
    data = scene.animation_data
    if data is None or data.action is None:
        return None
    path = strip.path_from_id("volume")
    curves = compat.iterate_curves(data.action, compat.assigned_slot(data))
    return next((curve for curve in curves if curve.data_path == path and not curve.mute), None)


def _kept(scene: bpy.types.Scene, strip: Any) -> Path:
    """The cache's name for what the strip plays now."""
    source = media.file_of(strip.sound, "audio-missing", "recording")
    status = source.stat()
    keys = [round(float(key.timeline_frame), 3) for key in strip.retiming_keys]
    start, end = compat.strip_handles(strip)
    fade = volume_curve(scene, strip)
    volume = strip.volume if fade is None else [round(fade.evaluate(frame), 4) for frame in range(round(start), round(end))]
    facts = (
        str(source), compat.mixdown_channels(strip), status.st_mtime_ns, status.st_size, [key - start for key in keys], end - start,
        compat.strip_content_start(strip) - start, volume, getattr(strip, "pitch_correction", None), compat.strip_sound_delay(strip),
        float(compat.frame_rate(strip.id_data)) if isinstance(strip.id_data, bpy.types.Scene) else 0.0,
    )  # fmt: skip
    return paths.cache_dir() / "retimed" / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}.wav"


@contextmanager
def _alone(scene: bpy.types.Scene, strip: Any, first: int, last: int) -> Iterator[None]:
    """Only the strip sounds, and the scene's range is its own; everything is as before afterwards."""
    others = [other for other in compat.all_strips(scene.sequence_editor) if hasattr(other, "mute") and other != strip]
    mutes = [other.mute for other in others]
    span = scene.frame_start, scene.frame_end
    try:
        for other in others:
            other.mute = other.type in ("SOUND", "SCENE") or other.mute
        scene.frame_start, scene.frame_end = first, max(last, first)
        yield
    finally:
        scene.frame_start, scene.frame_end = span
        for other, mute in zip(others, mutes):
            other.mute = mute
