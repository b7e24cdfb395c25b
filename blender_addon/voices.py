# SPDX-License-Identifier: GPL-3.0-or-later
"""Which recordings a shot hears: voice strips with their offset and trim, or the voice file in the scene's settings."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from . import compat, media, retimed
from .bridge.faults import Fault
from .bridge.shot import Voice

VOICE_MARK = "autter_voice"
TAKE_MARK = "autter_take"
Span = tuple[float, float]  # first frame and frame after the last
NO_BOUNDS: Span = (float("-inf"), float("inf"))


def voice_strips(scene: bpy.types.Scene) -> list[Any]:
    """The strips that speak: those marked by Add voice, else every unmuted sound strip that belongs to no take."""
    return [strip for strip, _ in placed_voices(scene)]


def placed_voices(scene: bpy.types.Scene) -> list[tuple[Any, Span]]:
    """The strips that speak, also inside meta strips, with the frames in which a meta strip lets them be heard; in order."""
    editor = scene.sequence_editor
    sounds = list(_sounds(scene, compat.strips_of(editor), NO_BOUNDS)) if editor else []
    chosen = [found for found in sounds if found[0].get(VOICE_MARK)] or [found for found in sounds if not found[0].get(TAKE_MARK)]
    return sorted(chosen, key=lambda found: compat.strip_handles(found[0])[0])


def _sounds(scene: bpy.types.Scene, strips: Any, span: Span) -> Iterator[tuple[Any, Span]]:
    """Unmuted sound strips; a meta strip's handles cut what lies in it."""
    for strip in strips:
        if strip.mute or (getattr(strip, "volume", 1.0) <= 0.0 and retimed.volume_curve(scene, strip) is None):
            continue  # what cannot be heard moves no lips; a fade is silent only at times
        if strip.type == "SOUND":
            yield strip, span
        elif strip.type == "META":
            left, right = compat.strip_handles(strip)
            yield from _sounds(scene, compat.strips_of(strip), (max(left, span[0]), min(right, span[1])))


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
    strips = placed_voices(scene)
    if strips:
        check_same_rate(scene, context.scene)
        found = [piece for strip, span in strips if (piece := piece_of_strip(strip, frames, fps, span, scene)) is not None]
        if not found:
            raise Fault("voice-outside", "No voice strip lies within the shot's frames.", "Move the strip or the scene's frame range.")
        return tuple(found)
    settings = context.scene.autter
    if not settings.voice_file:
        raise Fault("voice-missing", "The scene has no voice.", "Add one with Add voice, or put a sound strip into the sequencer.")
    offset = float(Fraction(settings.voice_frame - frames.start) / fps)
    return (Voice(str(_existing(settings.voice_file)), offset),)


def piece_of_strip(strip: Any, frames: range, fps: Fraction, span: Span = NO_BOUNDS, scene: bpy.types.Scene | None = None) -> Voice | None:
    """A sound strip as a piece of voice; None where it lies wholly outside the frames. ``span``: frames in which it can be heard."""
    start, end = compat.strip_handles(strip)
    left, right = max(start, span[0]), min(end, span[1])
    if right <= frames.start or left >= frames.stop or right <= left:
        return None
    rate = float(fps)
    offset, duration = (left - frames.start) / rate, (right - left) / rate
    fades = scene is not None and retimed.volume_curve(scene, strip) is not None
    if compat.is_retimed(strip) or fades:
        if scene is None or not compat.can_make_sound_strips():
            raise Fault(
                "voice-retimed",
                f'The voice strip "{strip.name}" is retimed, and its speed cannot be followed in this Blender.',
                "Remove its retiming keys, or render it to a sound file and use that.",
            )
        return Voice(str(retimed.mixdown(scene, strip)), offset, (left - start) / rate, duration)
    trim = (left - compat.strip_content_start(strip)) / rate - compat.strip_sound_delay(strip)
    if trim < 0:  # the handle lies before the file's beginning: silence first
        offset, duration, trim = offset - trim, duration + trim, 0.0
    if duration <= 0:
        return None
    return Voice(
        str(media.file_of(strip.sound, "audio-missing", "recording")), offset, trim, duration, float(getattr(strip, "volume", 1.0))
    )


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
