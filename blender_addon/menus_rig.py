# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus of the rig, of its AUs and of expressions, below the menu AUtter: what they list is what the search (F3) finds."""

from __future__ import annotations

import bpy

from .bridge.facs import ACTION_UNITS
from .recipes import RECIPES
from .rig_layout import HEAD_PROPERTIES

RIG_ENTRIES: tuple[tuple[str, str] | None, ...] = (
    ("autter.fit_rig", "SNAP_ON"),
    ("autter.keep_fit", "CHECKMARK"),
    ("autter.cancel_fit", "X"),
    ("autter.find_landmarks", "VIEWZOOM"),
    ("autter.handles", "MOD_LATTICE"),
    None,
    ("autter.pin_landmarks", "PINNED"),
    ("autter.unpin_landmarks", "UNPINNED"),
    ("autter.pin_range", "PINNED"),
    ("autter.unpin_range", "UNPINNED"),
    None,
    ("autter.prediction_to_keys", "KEYFRAME"),
    ("autter.prediction_to_samples", "IPO_LINEAR"),
    ("autter.clear_prediction", "TRASH"),
)
CHANNELS: tuple[tuple[str, str], ...] = (
    *((unit.key, f"AU {unit.number} {unit.name}") for unit in ACTION_UNITS),
    *((item.key, item.key.replace("_", " ").title()) for item in HEAD_PROPERTIES),
)


class AUTTER_MT_rig(bpy.types.Menu):
    """Fit, handles, pins"""

    bl_label = "Rig and Pins"

    def draw(self, context: bpy.types.Context) -> None:
        """An entry an operator."""
        for entry in RIG_ENTRIES:
            if entry is None:
                self.layout.separator()
            else:
                self.layout.operator(entry[0], icon=entry[1])


class AUTTER_MT_expressions(bpy.types.Menu):
    """Expressions as sets of AUs"""

    bl_label = "Expressions"

    def draw(self, context: bpy.types.Context) -> None:
        """An entry a recipe, at the strength of the sidebar."""
        settings = context.scene.autter
        for recipe in RECIPES:
            entry = self.layout.operator("autter.recipe", text=f"{recipe.name} ({recipe.formula})")
            entry.recipe, entry.strength, entry.keyed, entry.add = (
                recipe.key, settings.recipe_strength, settings.recipe_keyed, settings.recipe_add,
            )  # fmt: skip
        self.layout.separator()
        self.layout.operator("autter.save_expression", icon="ASSET_MANAGER")
        self.layout.operator("autter.neutral", icon="LOOP_BACK")
        self.layout.operator("autter.sides", text="Swap Left and Right", icon="MOD_MIRROR").way = "MIRROR"
        self.layout.operator("autter.sides", text="Make Both Sides Alike").way = "EVEN"


class AUTTER_MT_key_au(bpy.types.Menu):
    """Set a key on one AU or head channel"""

    bl_label = "Key AU"

    def draw(self, context: bpy.types.Context) -> None:
        """An entry a channel."""
        for key, label in CHANNELS:
            self.layout.operator("autter.key_au", text=f"Key {label}", icon="KEYFRAME_HLT").key = key


class AUTTER_MT_free_au(bpy.types.Menu):
    """Leave one AU or head channel to the voice"""

    bl_label = "Free AU"

    def draw(self, context: bpy.types.Context) -> None:
        """An entry a channel."""
        for key, label in CHANNELS:
            self.layout.operator("autter.free_au", text=f"Free {label}", icon="KEYFRAME").key = key


class AUTTER_MT_take_over_au(bpy.types.Menu):
    """Make keys of what the voice filled in"""

    bl_label = "Take Over Filled-In AU"

    def draw(self, context: bpy.types.Context) -> None:
        """All at once, or an entry an AU."""
        self.layout.operator("autter.take_over_au", text="Take Over Every Filled-In AU", icon="KEYINGSET").key = ""
        for unit in ACTION_UNITS:
            self.layout.operator("autter.take_over_au", text=f"Take Over AU {unit.number} {unit.name}").key = unit.key


CLASSES = (AUTTER_MT_rig, AUTTER_MT_expressions, AUTTER_MT_key_au, AUTTER_MT_free_au, AUTTER_MT_take_over_au)
