# SPDX-License-Identifier: GPL-3.0-or-later
"""The line of consent: asked once for a portrait, kept in the actor and with each of its takes."""

from __future__ import annotations

import time

import bpy

from .bridge.faults import Fault
from .panel_drawing import draw_text

LINE = "I have the right to animate this face and to use this voice"
NEVER_ASKED = "not asked: made by a script"


def of(actor: bpy.types.Object) -> str:
    """What was said about this actor, for the record of a take."""
    return actor.autter.consent or NEVER_ASKED


def is_given(actor: bpy.types.Object) -> bool:
    """Whether the line was ticked for this actor."""
    return bool(actor.autter.consent)


def give(actor: bpy.types.Object) -> None:
    """Notes that it was said, and when."""
    actor.autter.consent = f"{LINE} ({time.strftime('%Y-%m-%d')})"


def ask(operator: bpy.types.Operator, actor: bpy.types.Object) -> None:
    """``require`` where a person was shown a dialog (``operator.asked``) or ticked its ``agreed``; scripts answer for themselves."""
    if getattr(operator, "asked", False) or operator.agreed:
        require(actor, operator.agreed)


def draw(operator: bpy.types.Operator, context: bpy.types.Context, whom: list[bpy.types.Object], columns: int = 0) -> None:
    """The line with its box to tick in the operator's dialog, where it was not said yet for somebody; ``whom``: for whom."""
    if not whom:
        return
    box = operator.layout.box()
    box.use_property_split = False
    draw_text(box, context, f"{', '.join(actor.name for actor in whom)}: {LINE}", "USER", columns)  # a box's own words do not wrap
    box.prop(operator, "agreed", text="Yes, for all of them" if len(whom) > 1 else "Yes")


def require(actor: bpy.types.Object, ticked: bool) -> None:
    """Takes the answer of a dialog; Fault ``consent-missing`` where it is no."""
    if ticked and not is_given(actor):
        give(actor)
    if not is_given(actor):
        raise Fault(
            "consent-missing",
            f"Nobody has said yet that {actor.name}'s face and voice may be used.",
            "Tick the line in the dialog. Use only faces and voices of people who agreed to it.",
        )
