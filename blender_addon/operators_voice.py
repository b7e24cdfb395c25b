# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that give the scene a voice."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import compat, panel_state, sequencer
from .bridge.faults import Fault
from .build_actor import relative_path
from .operators_actor import existing_file
from .operators_base import AutterOperator
from .reports import reporting, tell
from .voices import VOICE_MARK, check_same_rate

SOUNDS = "*.wav;*.flac;*.mp3;*.ogg;*.oga;*.opus;*.m4a;*.aac;*.aiff;*.aif;*.wma;*.mp4;*.mov;*.mkv;*.webm"


class AUTTER_OT_add_voice(AutterOperator, bpy.types.Operator, ImportHelper):
    """Add a recording of speech to the sequencer, at the start of the scene"""

    bl_idname = "autter.add_voice"
    bl_label = "Add Voice"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default=SOUNDS, options={"HIDDEN"})
    frame_start: IntProperty(
        name="Frame", description="Frame at which the recording starts; without it the scene's first", options={"SKIP_SAVE"}
    )
    channel: IntProperty(
        name="Channel", description="Channel of the strip; 0 finds a free one", default=0, min=0, max=128, options={"SKIP_SAVE"}
    )
    fit_range: BoolProperty(
        name="Fit Scene Range", description="End the scene where the recording ends", default=False, options={"SKIP_SAVE"}
    )

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Adds a marked sound strip, or remembers the file where this Blender has no sound."""
        path = existing_file(self.filepath, "audio-missing", "recording")
        frame = self.frame_start if self.properties.is_property_set("frame_start") else context.scene.frame_start
        panel_state.forget()
        if not compat.can_make_sound_strips():
            remember_voice_file(context, path, frame)
            tell(
                self, f"This Blender is built without sound, so {path.name} is kept in the scene's settings instead of a strip.", "WARNING"
            )
            return {"FINISHED"}
        scene = compat.sequencer_scene(context)
        check_same_rate(scene, context.scene)
        strip = sequencer.add_voice_strip(scene, path, frame, self.channel)
        if self.fit_range:
            context.scene.frame_end = max(context.scene.frame_start, round(compat.strip_handles(strip)[1]) - 1)
        tell(self, f"{strip.name} speaks from frame {frame} on channel {strip.channel}.")
        return {"FINISHED"}


def remember_voice_file(context: bpy.types.Context, path: Path, frame: int) -> None:
    """Keeps a recording in the scene's settings."""
    context.scene.autter.voice_file = relative_path(path)
    context.scene.autter.voice_frame = frame


class AUTTER_OT_use_strip_as_voice(AutterOperator, bpy.types.Operator):
    """Let the selected sound strips, and no others, speak"""

    bl_idname = "autter.use_strip_as_voice"
    bl_label = "Use Selected Strips"
    bl_options = {"REGISTER", "UNDO"}

    strip: StringProperty(name="Strip", description="Name of a sound strip; empty: the selected ones", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs a sound strip."""
        editor = compat.shown_sequencer_scene(context).sequence_editor
        if editor is None or not any(strip.type == "SOUND" for strip in compat.strips_of(editor)):
            return "There is no sound strip; use Add Voice"
        return ""

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Marks the chosen strips and takes the mark off all others."""
        sounds = [strip for strip in compat.strips_of(compat.sequencer_scene(context).sequence_editor) if strip.type == "SOUND"]
        chosen = [strip for strip in sounds if (strip.name == self.strip if self.strip else strip.select)]
        if not chosen:
            raise Fault("voice-missing", "No sound strip is selected.", "Select the strips that hold the voice.")
        for strip in sounds:
            if strip in chosen:
                strip[VOICE_MARK] = True
            elif VOICE_MARK in strip:
                del strip[VOICE_MARK]
        panel_state.forget()
        tell(self, f"{len(chosen)} strip(s) speak.")
        return {"FINISHED"}


CLASSES = (AUTTER_OT_add_voice, AUTTER_OT_use_strip_as_voice)
