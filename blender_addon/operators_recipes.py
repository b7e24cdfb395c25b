# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts expressions on the face: sets of AUs with a strength, blended with what is there, keyed or not."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from . import actors, curves, own_expressions, panel_state, recipes
from .bridge.facs import AU_KEYS
from .build_actor import add_animated_properties
from .operators_base import ActorOperator
from .reports import reporting, tell
from .rig_layout import AU_PROPERTIES, SIDE_KEYS, SIDE_PROPERTIES

ITEMS = tuple((recipe.key, recipe.name, f"{recipe.name}: AU {recipe.formula}") for recipe in recipes.RECIPES)
_PROPERTIES = {item.key: item for item in AU_PROPERTIES + SIDE_PROPERTIES}


def _saved_names(_operator: bpy.types.Operator, _context: bpy.types.Context, typed: str) -> list[str]:
    return [action.name for action in own_expressions.saved() if typed.lower() in action.name.lower()]


class AUTTER_OT_recipe(ActorOperator, bpy.types.Operator):
    """Put an expression on the face, as strong as you like, blended with the AUs that are there"""

    bl_idname = "autter.recipe"
    bl_label = "Apply Expression"
    bl_options = {"REGISTER", "UNDO"}

    recipe: EnumProperty(name="Expression", description="Which Action Units", items=ITEMS)
    saved: StringProperty(
        name="Saved Expression", description="Name of an expression of your own, instead", options={"SKIP_SAVE"}, search=_saved_names
    )
    strength: FloatProperty(
        name="Strength", description="0 leaves the face as it is, 1 is the whole expression", min=0, max=1.25, soft_max=1, default=1
    )
    add: BoolProperty(name="Add", description="On top of the AUs' present values, instead of towards the expression's own", default=False)
    keyed: BoolProperty(name="Set Keys", description="Set keyframes at the current frame: the AUs are commanded from then on", default=True)
    frame: FloatProperty(name="Frame", description="Frame of the keys; without it the current one", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """The expression's own tooltip."""
        if properties.saved:
            return f"{properties.saved}: an expression of your own, blended with what is there by Strength"
        recipe = recipes.BY_KEY[properties.recipe]
        return f"{recipe.name}: Action Units {recipe.formula}. Blended with what is there by Strength"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Values and, if wished, keys of the recipe's AUs alone."""
        actor = actors.require_actor(context)
        recipe = own_expressions.find(self.saved) if self.saved else recipes.BY_KEY[self.recipe]
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


class AUTTER_OT_save_expression(ActorOperator, bpy.types.Operator):
    """Keep the face's present AUs as an expression of your own; it is an asset, so other files can use it too"""

    bl_idname = "autter.save_expression"
    bl_label = "Save Expression"
    bl_options = {"REGISTER", "UNDO"}

    name: StringProperty(name="Name", description="Name of the expression", default="My Expression")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Asks for the name."""
        return context.window_manager.invoke_props_dialog(self)

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """An action marked as an asset."""
        action = own_expressions.save(actors.require_actor(context), self.name)
        panel_state.forget()
        tell(self, f"Kept {action.name}: AU {own_expressions.as_recipe(action).formula}.")
        return {"FINISHED"}


CLASSES = (AUTTER_OT_recipe, AUTTER_OT_save_expression)
