# SPDX-License-Identifier: GPL-3.0-or-later
"""A retimed voice strip, mixed down by Blender itself: speed, pitch correction, volume and fades as they sound in the sequencer.

Blender does not tell which moment of the file a retiming key holds, but it can write what it plays. The file lies in the cache
under a name made of everything that it depends on, so that it is written once.
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
    path = _kept(strip)
    if path.is_file():
        return path
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(scene, strip, round(left), round(right) - 1), bpy.context.temp_override(scene=scene, sequencer_scene=scene):
            bpy.ops.sound.mixdown(filepath=str(partial), relative_path=False, container="WAV", codec="PCM", format="S16", mixrate=RATE)
        os.replace(partial, path)
    except (RuntimeError, TypeError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise Fault(
            "voice-retimed",
            f'The voice strip "{strip.name}" is retimed, and this Blender cannot write how it sounds ({str(error).strip()}).',
            "Remove its retiming keys, or render it to a sound file and use that.",
        ) from None
    return path


def _kept(strip: Any) -> Path:
    """The cache's name for what the strip plays now."""
    source = media.file_of(strip.sound, "audio-missing", "recording")
    status = source.stat()
    keys = [round(float(key.timeline_frame), 3) for key in strip.retiming_keys]
    start = compat.strip_handles(strip)[0]
    facts = (
        str(source), status.st_mtime_ns, status.st_size, [key - start for key in keys], compat.strip_handles(strip)[1] - start,
        compat.strip_content_start(strip) - start, strip.volume, getattr(strip, "pitch_correction", None), compat.strip_sound_delay(strip),
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
