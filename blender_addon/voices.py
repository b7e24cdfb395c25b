# SPDX-License-Identifier: GPL-3.0-or-later
"""Which recordings a shot hears: voice strips with their offset and trim, or the voice file in the scene's settings."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from . import compat, media
from .bridge.faults import Fault
from .bridge.shot import Voice

VOICE_MARK = "autter_voice"
TAKE_MARK = "autter_take"


def voice_strips(scene: bpy.types.Scene) -> list[Any]:
    """The strips that speak: those marked by Add voice, else every unmuted sound strip that belongs to no take."""
    editor = scene.sequence_editor
    sounds = [strip for strip in compat.strips_of(editor) if strip.type == "SOUND" and not strip.mute] if editor else []
    marked = [strip for strip in sounds if strip.get(VOICE_MARK)]
    return sorted(marked or [strip for strip in sounds if not strip.get(TAKE_MARK)], key=lambda strip: compat.strip_handles(strip)[0])


def describe(context: bpy.types.Context) -> str:
    """What will be heard, in a few words for the panel; empty if nothing. Changes nothing."""
    strips = voice_strips(compat.shown_sequencer_scene(context))
    if len(strips) == 1:
        return strips[0].name
    if strips:
        return f"{len(strips)} strips, mixed"
    return Path(bpy.path.abspath(context.scene.autter.voice_file)).name if context.scene.autter.voice_file else ""


def pieces(context: bpy.types.Context, frames: range, fps: Fraction) -> tuple[Voice, ...]:
    """The voice of a shot, in seconds of shot time. Faults ``voice-missing``, ``voice-outside``, ``audio-missing``."""
    scene = compat.sequencer_scene(context)
    strips = voice_strips(scene)
    if strips:
        check_same_rate(scene, context.scene)
        found = [piece for strip in strips if (piece := piece_of_strip(strip, frames, fps)) is not None]
        if not found:
            raise Fault("voice-outside", "No voice strip lies within the shot's frames.", "Move the strip or the scene's frame range.")
        return tuple(found)
    settings = context.scene.autter
    if not settings.voice_file:
        raise Fault("voice-missing", "The scene has no voice.", "Add one with Add voice, or put a sound strip into the sequencer.")
    offset = float(Fraction(settings.voice_frame - frames.start) / fps)
    return (Voice(str(_existing(settings.voice_file)), offset),)


def piece_of_strip(strip: Any, frames: range, fps: Fraction) -> Voice | None:
    """A sound strip as a piece of voice; None where it lies wholly outside the frames."""
    left, right = compat.strip_handles(strip)
    if right <= frames.start or left >= frames.stop or right <= left:
        return None
    if compat.is_retimed(strip):
        raise Fault(
            "voice-retimed",
            f'The voice strip "{strip.name}" is retimed, and its speed cannot be followed yet.',
            "Remove its retiming keys, or render it to a sound file and use that.",
        )
    rate = float(fps)
    trim = (left - compat.strip_content_start(strip)) / rate - compat.strip_sound_delay(strip)
    offset, duration = (left - frames.start) / rate, (right - left) / rate
    if trim < 0:  # the handle lies before the file's beginning: silence first
        offset, duration, trim = offset - trim, duration + trim, 0.0
    return Voice(str(media.file_of(strip.sound, "audio-missing", "recording")), offset, trim, duration) if duration > 0 else None


def check_same_rate(sequencer: bpy.types.Scene, scene: bpy.types.Scene) -> None:
    """From 5.0 on the sequencer may show another scene; Fault ``frame-rates-differ`` where its clock is another."""
    ours, theirs = compat.frame_rate(scene), compat.frame_rate(sequencer)
    if ours != theirs:
        raise Fault(
            "frame-rates-differ",
            f"The sequencer's scene \"{sequencer.name}\" runs at {float(theirs):g} frames a second, the actor's scene at {float(ours):g}.",
            "Give both scenes the same frame rate.",
        )


def _existing(filepath: str) -> Path:
    path = Path(bpy.path.abspath(filepath))
    if not path.is_file():
        raise Fault("audio-missing", f"The recording {path} is not there.", "Put the file back, or choose it again in the Voice panel.")
    return path
