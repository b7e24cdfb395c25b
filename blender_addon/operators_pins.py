# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins landmarks and frames, so that predicting again leaves them alone."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty, StringProperty

from . import actors, compat, pins, shots
from .bridge.faults import Fault
from .operators_base import ActorEdit
from .rig_layout import BONE_NAMES


class PinOperator(ActorEdit):
    """Mixin: works on named landmarks, else on the selected ones."""

    bones: StringProperty(
        name="Landmarks", description="Names of bones with commas between them; empty: the selected ones", options={"SKIP_SAVE"}
    )

    def chosen(self, actor: bpy.types.Object) -> list[str]:
        """Names of the landmarks to work on. Faults ``rig-incomplete``, ``landmark-unknown``, ``nothing-selected``."""
        actors.require_bones(actor)
        given = [name.strip() for name in self.bones.split(",") if name.strip()]
        for name in given:
            if name not in BONE_NAMES:
                raise Fault("landmark-unknown", f'There is no landmark "{name}".', f"Use a bone's name, e.g. {BONE_NAMES[0]}.")
        chosen = given or [name for name in BONE_NAMES if compat.is_bone_selected(actor.pose.bones[name])]
        if not chosen:
            raise Fault("nothing-selected", "No landmark is selected.", "Select dots of the rig in pose mode first.")
        return chosen


class AUTTER_OT_pin_landmarks(PinOperator, bpy.types.Operator):
    """Keep the predicted motion of the selected landmarks as it is, whatever is predicted from now on"""

    bl_idname = "autter.pin_landmarks"
    bl_label = "Pin Landmarks"
    bl_options = {"REGISTER", "UNDO"}

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Into the bone collection "Pinned"."""
        return f"{pins.pin(actor, self.chosen(actor))} landmarks are pinned."


class AUTTER_OT_unpin_landmarks(PinOperator, bpy.types.Operator):
    """Let predictions move the selected landmarks again"""

    bl_idname = "autter.unpin_landmarks"
    bl_label = "Unpin Landmarks"
    bl_options = {"REGISTER", "UNDO"}

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Out of the bone collection "Pinned"."""
        count = pins.unpin(actor, self.chosen(actor))
        return f"{count} landmarks stay pinned." if count else "No landmark is pinned."


class SpanOperator(ActorEdit):
    """Mixin: works on a range of frames."""

    frame_first: IntProperty(
        name="First Frame", description="Without it the first frame of the preview range or scene", options={"SKIP_SAVE"}
    )
    frame_last: IntProperty(name="Last Frame", description="Without it the last frame of the preview range or scene", options={"SKIP_SAVE"})

    def span(self, context: bpy.types.Context) -> tuple[int, int]:
        """The frames given, else the preview range, else the scene's."""
        frames = shots.frame_range(context.scene)
        given = self.properties.is_property_set
        return (self.frame_first if given("frame_first") else frames.start), (self.frame_last if given("frame_last") else frames.stop - 1)


class AUTTER_OT_pin_range(SpanOperator, bpy.types.Operator):
    """Keep the predicted motion of these frames as it is, whatever is predicted from now on"""

    bl_idname = "autter.pin_range"
    bl_label = "Pin Frames"
    bl_options = {"REGISTER", "UNDO"}

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Into the actor's list."""
        first, last = self.span(context)
        pins.pin_span(actor, first, last)
        return f"Frames {first} to {last} are pinned."


class AUTTER_OT_unpin_range(SpanOperator, bpy.types.Operator):
    """Let predictions change these frames again"""

    bl_idname = "autter.unpin_range"
    bl_label = "Unpin Frames"
    bl_options = {"REGISTER", "UNDO"}

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Out of the actor's list."""
        pins.unpin_span(actor, *self.span(context))
        return ""


CLASSES = (AUTTER_OT_pin_landmarks, AUTTER_OT_unpin_landmarks, AUTTER_OT_pin_range, AUTTER_OT_unpin_range)
