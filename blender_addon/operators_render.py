# SPDX-License-Identifier: GPL-3.0-or-later
"""Render: the rig as it stands, through the backend, to a movie and its sound in the sequencer."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from . import actors, compat, consent, estimates, prediction, use_results
from .operators_base import no_actor, no_backend
from .operators_predict import RangedOperator, no_voice
from .panel_drawing import draw_text
from .quality import draw_quality
from .rendering import request_render
from .reports import reporting, tell

DIALOG_WIDTH = 380
DIALOG_COLUMNS = 54


class AUTTER_OT_render(RangedOperator, bpy.types.Operator):
    """Render the actor as it moves now, prediction and edits together, and lay movie and voice into the sequencer"""

    bl_idname = "autter.render"
    bl_label = "Render to Sequencer"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(
        name="File", description="Movie to write; empty: a new take in the output folder", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )
    agreed: BoolProperty(name="Agreed", description=consent.LINE, default=False, options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor that moves, a voice and a backend. What is asked for during another render waits its turn."""
        return no_actor(context) or no_voice(context) or no_motion(context) or no_backend()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """A dialog: how long it will take and how much memory, what to choose, and once the line of consent."""
        manager = context.window_manager
        self.asked = True
        return manager.invoke_props_dialog(self, width=DIALOG_WIDTH, title="Render to Sequencer", confirm_text="Render")

    def draw(self, context: bpy.types.Context) -> None:
        """The dialog."""
        layout, settings = self.layout, context.scene.autter
        layout.use_property_split = True
        layout.use_property_decorate = False
        draw_quality(layout, context, settings)
        for line in estimates.lines(context, actors.find_actor(context), self.frames(context)):
            draw_text(layout, context, line.text, line.icon, DIALOG_COLUMNS)
        actor = actors.find_actor(context)
        if actor is not None and not consent.is_given(actor):
            consent.draw(self, context, [actor], DIALOG_COLUMNS)

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Samples the rig and sends it off; the strips are made when the movie is finished."""
        actor = actors.require_actor(context, self.actor)
        consent.ask(self, actor)
        out = Path(bpy.path.abspath(self.filepath)) if self.filepath else None
        job = request_render(context, actor, self.frames(context), out)
        if self.waits():
            tell(self, use_results.use(context, self.finish(context, job)))
        return {"FINISHED"}


def no_motion(context: bpy.types.Context) -> str:
    """Reason: nothing to see."""
    actor = actors.find_actor(context)
    return "" if actor is not None and moves(actor) else "The actor does not move yet; Predict first"


def moves(actor: bpy.types.Object) -> bool:
    """Whether there is a prediction, or keys on bones."""
    if prediction.predicted_action(actor) is not None:
        return True
    data = actor.animation_data
    if data is None:
        return False
    return any(curve.data_path.startswith("pose.bones") for curve in compat.iterate_curves(data.action, compat.assigned_slot(data)))


CLASSES = (AUTTER_OT_render,)
