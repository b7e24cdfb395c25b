# SPDX-License-Identifier: GPL-3.0-or-later
"""Left and right of the AUs: swapped, or made alike."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty

from . import actors, compat, panel_state
from .build_actor import add_animated_properties
from .operators_base import ActorOperator
from .reports import reporting
from .rig_layout import SIDE_PROPERTIES

WAYS = (
    ("MIRROR", "Swap", "What the left half did the right half does, and the other way round"),
    ("EVEN", "Make Alike", "Both halves act alike: keys and values of left against right go away"),
)


class AUTTER_OT_sides(ActorOperator, bpy.types.Operator):
    """Swap left and right of all two-sided AUs, keys included, or make both halves act alike"""

    bl_idname = "autter.sides"
    bl_label = "Swap Left and Right"
    bl_options = {"REGISTER", "UNDO"}

    way: EnumProperty(name="Way", description="What to do with left and right", items=WAYS)

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """Each way's own tooltip."""
        return {key: text for key, _, text in WAYS}[properties.way]

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Standing values and the keys of the active action."""
        actor = actors.require_actor(context)
        add_animated_properties(actor, SIDE_PROPERTIES)
        factor = -1.0 if self.way == "MIRROR" else 0.0
        for item in SIDE_PROPERTIES:
            actor[item.key] = factor * float(actor[item.key])
        self.change_keys(actor)
        actor.update_tag()
        panel_state.forget()
        return {"FINISHED"}

    def change_keys(self, actor: bpy.types.Object) -> None:
        """Turns the curves of left against right over, or takes them away."""
        data = actor.animation_data
        if data is None or data.action is None:
            return
        paths = {item.data_path for item in SIDE_PROPERTIES}
        bag = compat.bag_of(data.action, actor, compat.assigned_slot(data))
        for curve in [curve for curve in bag.fcurves if curve.data_path in paths]:
            if self.way == "EVEN":
                bag.fcurves.remove(curve)
                continue
            for point in curve.keyframe_points:
                point.co[1], point.handle_left[1], point.handle_right[1] = -point.co[1], -point.handle_left[1], -point.handle_right[1]
            curve.update()


CLASSES = (AUTTER_OT_sides,)
