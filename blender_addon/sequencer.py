# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing strips: free channels, voice strips, and the movie and sound of a finished take."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy

from . import compat
from .bridge import VERSION
from .bridge.faults import Fault
from .bridge.shot import Shot
from .build_actor import relative_path
from .voices import TAKE_MARK, VOICE_MARK, voice_strips

HIGHEST_CHANNEL = 128


def free_channel(scene: bpy.types.Scene, first: float, end: float, count: int = 1, above_pictures: bool = False) -> int:
    """The lowest channel such that it and the ``count - 1`` above it are unlocked and empty from ``first`` to ``end``.

    ``above_pictures``: also above every strip in that time that shows a picture, so that nothing hides the new one.
    """
    editor = scene.sequence_editor_create()
    taken: set[int] = {place for place, channel in enumerate(editor.channels) if channel.lock}
    lowest = 1
    for strip in compat.strips_of(editor):
        left, right = compat.strip_handles(strip)
        if left < end and right > first:
            taken.add(strip.channel)
            if above_pictures and strip.type != "SOUND":
                lowest = max(lowest, strip.channel + 1)
    for channel in range(lowest, HIGHEST_CHANNEL - count + 2):
        if not any(channel + more in taken for more in range(count)):
            return channel
    raise Fault("channels-full", "The sequencer has no free channel there.", "Remove or move strips, or unlock a channel.")


def add_voice_strip(scene: bpy.types.Scene, path: Path, frame: int, channel: int = 0) -> Any:
    """A sound strip marked as a voice. Fault ``audio-unreadable`` where Blender finds no sound in the file."""
    editor = scene.sequence_editor_create()
    try:
        strip = compat.strips_of(editor).new_sound(
            name=path.stem, filepath=relative_path(path), channel=channel or HIGHEST_CHANNEL, frame_start=frame
        )
    except RuntimeError as error:
        raise Fault(
            "audio-unreadable", f"Blender could not read {path.name}: {str(error).strip()}.", "Convert it to WAV, FLAC or MP3."
        ) from None
    left, right = compat.strip_handles(strip)
    if strip.sound.channels == "INVALID" or right <= left:  # Blender makes a strip of anything
        sound = strip.sound
        compat.strips_of(editor).remove(strip)
        if not sound.users:
            bpy.data.sounds.remove(sound)
        raise Fault("audio-unreadable", f"{path.name} holds no sound that Blender can play.", "Choose another file, or convert it to WAV.")
    if not channel:
        strip.channel = free_channel(scene, left, right)
    strip.show_waveform = True
    strip[VOICE_MARK] = True
    return strip


def add_take(scene: bpy.types.Scene, movie: Path, shot: Shot, actor_name: str, report: dict[str, Any], skip: int = 0) -> tuple[Any, Any]:
    """The movie strip of a finished take, and its sound strip (None where this Blender has no sound).

    ``skip``: frames of the shot before the movie's first.

    The take's sound is muted where a voice strip already sounds there, so that nothing is heard twice.
    """
    editor = scene.sequence_editor_create()
    strips = compat.strips_of(editor)
    first = shot.frame_start + skip
    end = first + int(report.get("frames") or shot.frame_count)
    channel = free_channel(scene, first, end, count=2, above_pictures=True)
    name = movie.stem
    try:
        picture = strips.new_movie(name=name, filepath=relative_path(movie), channel=channel + 1, frame_start=first, fit_method="FIT")
    except RuntimeError as error:
        raise Fault(
            "movie-unreadable", f"Blender could not read the movie {movie.name}: {str(error).strip()}.", "Render it again."
        ) from None
    picture[TAKE_MARK] = take_record(shot, actor_name, report)
    sound = None
    if compat.can_make_sound_strips():
        audible = _overlapping_voice(scene, first, end)
        sound = strips.new_sound(name=f"{name} sound", filepath=relative_path(movie), channel=channel, frame_start=first)
        _fit_length(sound, end)
        sound[TAKE_MARK] = picture[TAKE_MARK]
        sound.mute = audible
    editor.active_strip = picture
    return picture, sound


def _fit_length(sound: Any, end: int) -> None:
    """Trims what an encoder's padding adds behind the last frame."""
    right = compat.strip_handles(sound)[1]
    if right > end:
        compat.trim_strip(sound, 0, right - end)


def _overlapping_voice(scene: bpy.types.Scene, first: int, end: int) -> bool:
    handles = [compat.strip_handles(strip) for strip in voice_strips(scene)]
    return any(left < end and right > first for left, right in handles)


def take_record(shot: Shot, actor_name: str, report: dict[str, Any]) -> str:
    """JSON that tells how a take was made. The folder beside its movie has the arrays too."""
    return json.dumps(
        {
            "autter": VERSION,
            "blender": bpy.app.version_string,
            "actor": actor_name,
            "frame_start": shot.frame_start,
            "frames": shot.frame_count,
            "fps": [shot.fps.numerator, shot.fps.denominator],
            "seed": shot.seed,
            "portrait": shot.portrait,
            "voice": [asdict(piece) for piece in shot.voice],
            "motion": asdict(shot.motion),
            "render": asdict(shot.render),
            "report": report,
        }
    )
