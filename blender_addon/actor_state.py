# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels show of an actor, worked out here and not while drawing."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from . import curves, handle_rig, own_expressions, pins, prediction, recipes
from .bridge.facs import ACTION_UNITS, AU_KEYS, intensity_letter
from .rig_layout import HEAD_PROPERTIES, PREDICTED_PREFIX, SIDE_KEYS


@dataclass(frozen=True)
class Channel:
    """One AU or head channel as a row of the panel."""

    key: str
    label: str
    letter: str
    keyed: bool
    filled_in: str = ""  # what the prediction gives a free AU at this frame
    side: str = ""  # key of its left/right difference, if it has one
    side_keyed: bool = False


@dataclass(frozen=True)
class ActorState:
    """A snapshot of an actor."""

    name: str
    landmarks_text: str
    predicted_text: str
    upper: tuple[Channel, ...]
    lower: tuple[Channel, ...]
    head: tuple[Channel, ...]
    fights: tuple[str, ...]
    handle_regions: frozenset[str]
    fitting: bool
    pinned_count: int
    pinned_spans: tuple[tuple[int, int], ...]
    saved_expressions: tuple[str, ...] = ()


def read(actor: bpy.types.Object) -> ActorState:
    """The snapshot, read now. An actor with bones missing is shown too: what it cannot tell is left out."""
    commanded = curves.commanded_keys(actor)
    rows = {"upper": [], "lower": []}
    for unit in ACTION_UNITS:
        rows[unit.region].append(_unit(actor, unit, commanded))
    head = tuple(Channel(item.key, item.key.removeprefix("head_").capitalize(), "", item.key in commanded) for item in HEAD_PROPERTIES)
    span = prediction.predicted_range(actor)
    values = {key: _number(actor, key) if key in commanded else _number(actor, PREDICTED_PREFIX + key) for key in AU_KEYS}
    return ActorState(
        name=actor.name,
        landmarks_text=_landmarks_text(actor),
        predicted_text=f"Predicted {span[0]} to {span[1]}" if span else "",
        upper=tuple(rows["upper"]),
        lower=tuple(rows["lower"]),
        head=head,
        fights=tuple(fight.sentence for fight in recipes.fights(values)),
        handle_regions=handle_rig.regions_on(actor),
        fitting=actor.autter.fitting,
        pinned_count=int(pins.pinned_mask(actor).sum()),
        pinned_spans=tuple(pins.pinned_spans(actor)),
        saved_expressions=tuple(action.name for action in own_expressions.saved()),
    )


def _unit(actor: bpy.types.Object, unit: object, commanded: frozenset[str]) -> Channel:
    keyed, side = unit.key in commanded, SIDE_KEYS.get(unit.key, "")
    predicted = actor.get(PREDICTED_PREFIX + unit.key)
    filled_in = f"{predicted:.1f}" if predicted is not None and not keyed else ""
    letter = intensity_letter(_number(actor, unit.key))
    return Channel(unit.key, f"{unit.number} {unit.name}", letter, keyed, filled_in, side if side in actor else "", side in commanded)


def _number(actor: bpy.types.Object, key: str) -> float:
    value = actor.get(key, 0.0)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _landmarks_text(actor: bpy.types.Object) -> str:
    width, height = actor.autter.portrait_size
    return f"{width} x {height} px, 162 landmarks" + (", fitted" if actor.autter.is_fitted else "")
