# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts expressions on the face: sets of AUs with a strength, blended with what is there, keyed or not."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty

from . import actors, curves, panel_state, recipes
from .bridge.facs import AU_KEYS
from .build_actor import add_animated_properties
from .operators_base import ActorOperator
from .reports import reporting, tell
from .rig_layout import AU_PROPERTIES, SIDE_KEYS, SIDE_PROPERTIES

ITEMS = tuple((recipe.key, recipe.name, f"{recipe.name}: AU {recipe.formula}") for recipe in recipes.RECIPES)
_PROPERTIES = {item.key: item for item in AU_PROPERTIES + SIDE_PROPERTIES}


class AUTTER_OT_recipe(ActorOperator, bpy.types.Operator):
    """Put an expression on the face, as strong as you like, blended with the AUs that are there"""

    bl_idname = "autter.recipe"
    bl_label = "Apply Expression"
    bl_options = {"REGISTER", "UNDO"}

    recipe: EnumProperty(name="Expression", description="Which Action Units", items=ITEMS)
    strength: FloatProperty(
        name="Strength", description="0 leaves the face as it is, 1 is the whole expression", min=0, max=1.25, soft_max=1, default=1
    )
    add: BoolProperty(name="Add", description="On top of the AUs' present values, instead of towards the expression's own", default=False)
    keyed: BoolProperty(name="Set Keys", description="Set keyframes at the current frame: the AUs are commanded from then on", default=True)
    frame: FloatProperty(name="Frame", description="Frame of the keys; without it the current one", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """The expression's own tooltip."""
        recipe = recipes.BY_KEY[properties.recipe]
        return f"{recipe.name}: Action Units {recipe.formula}. Blended with what is there by Strength"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Values and, if wished, keys of the recipe's AUs alone."""
        actor, recipe = actors.require_actor(context), recipes.BY_KEY[self.recipe]
        given = self.properties.is_property_set("frame")
        frame = self.frame if given else context.scene.frame_current_final
        now = curves.values_at(actor, AU_KEYS, frame) if given else {key: float(actor.get(key, 0.0)) for key in AU_KEYS}
        values, sides = recipes.blended(now, recipe, self.strength, self.add)
        for key, value in (*values.items(), *((SIDE_KEYS[key], side) for key, side in sides.items())):
            item = _PROPERTIES[key]
            add_animated_properties(actor, (item,))
            actor[key] = value
            if self.keyed:
                actor.keyframe_insert(item.data_path, frame=frame, group=item.group)
        actor.update_tag()
        panel_state.forget()
        if found := recipes.fights({**now, **values}):
            tell(self, found[0].sentence, "WARNING", "Lower one of them, or free it.")
        return {"FINISHED"}


CLASSES = (AUTTER_OT_recipe,)
