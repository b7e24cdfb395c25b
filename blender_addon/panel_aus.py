# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels "Action Units": expressions, upper face, lower face, head."""

from __future__ import annotations

import bpy

from . import actors, panel_state
from .actor_state import Channel
from .panel_drawing import ActorTabPanel, draw_text
from .recipes import RECIPES

FIRST_STEP = "Hover over a slider and press I to command it. What has no keys follows the voice"


class UnitsPanel(ActorTabPanel):
    """Parent of the expressions, the AU groups and the head."""

    bl_label = "Action Units"
    bl_order = 4

    def draw(self, context: bpy.types.Context) -> None:
        """What concerns all of them, and which of them fight."""
        state, settings = panel_state.current(context).actor, context.scene.autter
        if not any(channel.keyed for channel in (*state.upper, *state.lower)):
            draw_text(self.layout, context, FIRST_STEP, "INFO")
        column = self.layout.column(align=True)
        row = column.row(align=True)
        row.prop(settings, "show_sides", toggle=True)
        row.prop(settings, "show_ghosts", toggle=True)
        row = column.row(align=True)
        row.operator("autter.take_over_au", text="Take Over").key = ""
        row.operator("autter.import_aus", text="Import")
        row.operator("autter.neutral", text="Neutral")
        for sentence in state.fights:
            draw_text(self.layout, context, sentence, "ERROR")


class ExpressionsPanel(ActorTabPanel):
    """Recipes: sets of AUs with a strength."""

    bl_label = "Expressions"

    def draw(self, context: bpy.types.Context) -> None:
        """Strength first, a button for each."""
        settings, state = context.scene.autter, panel_state.current(context).actor
        row = self.layout.row(align=True)
        row.prop(settings, "recipe_strength", slider=True)
        row.prop(settings, "recipe_keyed", text="", icon="KEYINGSET")
        row.prop(settings, "recipe_add", text="", icon="ADD")
        grid = self.layout.grid_flow(columns=3, even_columns=True, align=True)
        for recipe in RECIPES:
            button = grid.operator("autter.recipe", text=recipe.name)
            button.recipe, button.strength = recipe.key, settings.recipe_strength
            button.keyed, button.add = settings.recipe_keyed, settings.recipe_add
        for name in state.saved_expressions:
            button = grid.operator("autter.recipe", text=name)
            button.saved, button.strength = name, settings.recipe_strength
            button.keyed, button.add = settings.recipe_keyed, settings.recipe_add
        self.layout.operator("autter.save_expression", icon="ASSET_MANAGER")


class ChannelPanel(ActorTabPanel):
    """A group of AUs or head channels."""

    group = "upper"

    def draw(self, context: bpy.types.Context) -> None:
        """A row a channel."""
        actor, state = actors.find_actor(context), panel_state.current(context).actor
        column = self.layout.column(align=True)
        for channel in getattr(state, self.group):
            _draw_channel(column, actor, channel, context.scene.autter.show_sides)


def _draw_channel(column: bpy.types.UILayout, actor: bpy.types.Object, channel: Channel, sides: bool) -> None:
    row = column.row(align=True)
    if channel.key not in actor:
        row.label(text=f"{channel.label}: property deleted", icon="ERROR")
        return
    row.prop(actor, f'["{channel.key}"]', text=channel.label, slider=channel.key.startswith("AU"))
    if sides and channel.side:
        side = row.row(align=True)
        side.ui_units_x = 2.0
        side.prop(actor, f'["{channel.side}"]', text="", slider=True)
    note = row.row(align=True)
    note.ui_units_x = 1.2
    note.alignment = "CENTER"
    note.label(text=channel.letter if channel.keyed or not channel.filled_in else channel.filled_in)
    row.operator("autter.key_au", text="", icon="KEYFRAME_HLT" if channel.keyed else "KEYFRAME", emboss=False).key = channel.key
    free = row.row(align=True)
    free.enabled = channel.keyed
    free.operator("autter.free_au", text="", icon="X" if channel.keyed else "BLANK1", emboss=False).key = channel.key
