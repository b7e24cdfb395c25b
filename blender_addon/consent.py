# SPDX-License-Identifier: GPL-3.0-or-later
"""The line of consent: asked once for a portrait, kept in the actor and with each of its takes."""

from __future__ import annotations

import time

import bpy

from .bridge.faults import Fault

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


def require(actor: bpy.types.Object, ticked: bool) -> None:
    """Takes the answer of a dialog; Fault ``consent-missing`` where it is no."""
    if ticked and not is_given(actor):
        give(actor)
    if not is_given(actor):
        raise Fault(
            "consent-missing",
            f"Nobody has said yet that {actor.name}'s face and voice may be used.",
            "Tick the line in the Render dialog. Use only faces and voices of people who agreed to it.",
        )
