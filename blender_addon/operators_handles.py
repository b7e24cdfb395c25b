# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches region handles on and off."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty

from . import actors, handle_rig, panel_state
from .bridge.faults import Fault
from .handle_layout import REGION_TITLES
from .operators_base import ActorOperator
from .reports import reporting, tell

REGIONS = tuple((region, title, f"Handles of the {title.lower()}") for region, title in REGION_TITLES.items())


class AUTTER_OT_handles(ActorOperator, bpy.types.Operator):
    """Show or put away handles that move a region of the face with falloff; they key like any bone"""

    bl_idname = "autter.handles"
    bl_label = "Region Handles"
    bl_options = {"REGISTER", "UNDO"}

    regions: EnumProperty(name="Regions", description="Which handles", items=REGIONS, options={"ENUM_FLAG"}, default=set(REGION_TITLES))
    on: BoolProperty(name="On", description="Show them and let them move the face, or put them away", default=True)

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ties or unties the regions."""
        actor = actors.require_actor(context)
        if not self.regions:
            raise Fault("region-missing", "No region is chosen.", f"Choose from {', '.join(REGION_TITLES)}.")
        panel_state.forget()
        if self.on:
            handle_rig.switch_on(actor, self.regions)
        elif kept := handle_rig.switch_off(actor, self.regions):
            tell(
                self, f"{', '.join(kept)} moved or keyed: kept.", "WARNING", "Clear its location and keys first; else the face would jump."
            )
        return {"FINISHED"}


CLASSES = (AUTTER_OT_handles,)
