# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns what the voice filled in for a free AU into keys of one's own."""

from __future__ import annotations

import bpy
from bpy.props import FloatProperty, StringProperty

from . import actors, ghosts, panel_state, prediction
from .bridge.facs import AU_KEYS
from .bridge.faults import Fault
from .operators_base import no_actor
from .operators_pins import SpanOperator
from .reports import reporting, tell


class AUTTER_OT_take_over_au(SpanOperator, bpy.types.Operator):
    """Set keys on a free AU that follow what the voice filled in; from then on it is yours to edit"""

    bl_idname = "autter.take_over_au"
    bl_label = "Take Over Filled-In AU"
    bl_options = {"REGISTER", "UNDO"}

    key: StringProperty(name="AU", description="AU01 to AU45; empty: every free AU that was filled in")
    tolerance: FloatProperty(
        name="Tolerance", description="Intensity by which the keys may miss the filled-in curve", default=ghosts.TOLERANCE, min=0, max=1
    )

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs a prediction."""
        actor = actors.find_actor(context)
        missing = actor is not None and prediction.predicted_range(actor) is None
        return no_actor(context) or ("Nothing has been filled in yet; press Predict first" if missing else "")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Few keys, within the tolerance."""
        actor = actors.require_actor(context)
        if self.key and self.key not in AU_KEYS:
            raise Fault("au-unknown", f'There is no AU "{self.key}".', f"Use one of {', '.join(AU_KEYS)}.")
        first, last = self.span(context)
        wanted = (self.key,) if self.key else tuple(ghost.key for ghost in ghosts.ghosts_of(actor))
        taken = {key: count for key in wanted if (count := ghosts.take_over(actor, key, first, last, self.tolerance))}
        if not taken:
            raise Fault(
                "ghost-missing",
                f"{self.key or 'No AU'} was not filled in there.",
                "It is keyed already, or Predict was not run on these frames.",
            )
        context.scene.frame_set(context.scene.frame_current)
        panel_state.forget()
        tell(self, f"Set {sum(taken.values())} keys on {', '.join(taken)}.")
        return {"FINISHED"}


CLASSES = (AUTTER_OT_take_over_au,)
