# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of one's own: AU values kept as an action that is marked as an asset, so that other files can use it too."""

from __future__ import annotations

import bpy

from . import compat
from .bridge.facs import AU_KEYS, MAXIMUM_INTENSITY
from .bridge.faults import Fault
from .recipes import Recipe
from .rig_layout import AU_PROPERTIES, SIDE_KEYS, SIDE_PROPERTIES

MARK = "autter_expression"
LEAST = 0.05  # intensity below which an AU is no part of an expression
_ITEMS = {item.key: item for item in AU_PROPERTIES + SIDE_PROPERTIES}


def saved() -> list[bpy.types.Action]:
    """The expressions in this file, linked ones too, by name."""
    return sorted((action for action in bpy.data.actions if action.get(MARK)), key=lambda action: action.name)


def save(actor: bpy.types.Object, name: str) -> bpy.types.Action:
    """The face's present AUs as an expression. Faults ``expression-empty``, ``expression-unnamed``."""
    if not name.strip():
        raise Fault("expression-unnamed", "The expression has no name.", "Give it one.")
    values = {key: float(actor.get(key, 0.0)) for key in AU_KEYS}
    values = {key: value for key, value in values.items() if value >= LEAST}
    if not values:
        raise Fault("expression-empty", "Every AU is at 0, so there is no expression to keep.", "Move some sliders first.")
    sides = {side: float(actor.get(side, 0.0)) for key, side in SIDE_KEYS.items() if key in values}
    action = bpy.data.actions.new(name.strip())
    slot = compat.slot_for(action, actor)
    make = compat.curve_maker(compat.bag_of(action, actor, slot))
    for key, value in {**values, **{side: part for side, part in sides.items() if part}}.items():
        curve = make(_ITEMS[key].data_path, 0, _ITEMS[key].group)
        curve.keyframe_points.insert(1, value)
    action[MARK] = True
    action.use_fake_user = True
    action.asset_mark()
    action.asset_data.description = f"AUtter expression: AU {as_recipe(action).formula}"
    action.asset_data.tags.new("AUtter")
    return action


def find(name: str) -> Recipe:
    """A saved expression; Fault ``expression-missing``."""
    action = bpy.data.actions.get(name)
    if action is None or not action.get(MARK):
        raise Fault("expression-missing", f'There is no saved expression "{name}".', "Save one, or append its action from another file.")
    return as_recipe(action)


def as_recipe(action: bpy.types.Action) -> Recipe:
    """Its AUs at their first key."""
    values = {}
    for slot in getattr(action, "slots", (None,)):
        for curve in compat.iterate_curves(action, slot):
            if len(curve.keyframe_points):
                values[curve.data_path[2:-2]] = float(curve.keyframe_points[0].co[1])
    units = {key: min(max(value, 0.0), MAXIMUM_INTENSITY) for key, value in values.items() if key in AU_KEYS}
    sides = {key: min(max(values[side], -1.0), 1.0) for key, side in SIDE_KEYS.items() if side in values and key in units}
    return Recipe(action.name, action.name, units, sides)
