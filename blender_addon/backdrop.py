# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture behind the rig: the portrait, or for a while a rendered frame in its place."""

from __future__ import annotations

import bpy

MARK = "autter_rendered_frame"  # custom property of the backdrop: the frame that is shown instead of the portrait
alert = True  # a change of frame may have to change the picture; while it need not, playback is not slowed down


def be_alert() -> None:
    """The next change of frame looks whether the picture is still right."""
    global alert
    alert = True


def of(actor: bpy.types.Object) -> bpy.types.Object | None:
    """The actor's image empty; None where someone deleted it."""
    return next((child for child in actor.children if child.type == "EMPTY" and child.empty_display_type == "IMAGE"), None)


def show(actor: bpy.types.Object, image: bpy.types.Image, frame: int) -> bool:
    """Shows a rendered frame in the portrait's place; False where there is no backdrop."""
    backdrop = of(actor)
    if backdrop is None:
        return False
    if backdrop.data != image:
        backdrop.data = image
    backdrop[MARK] = frame
    be_alert()
    return True


def shown_frame(actor: bpy.types.Object) -> int | None:
    """The rendered frame that is shown; None while it is the portrait."""
    backdrop = of(actor)
    return backdrop.get(MARK) if backdrop is not None else None


def shows_any() -> bool:
    """Whether any actor of the file shows a rendered frame."""
    return any(MARK in found for found in bpy.data.objects if found.type == "EMPTY")


def restore(actor: bpy.types.Object) -> bool:
    """Shows the portrait again; False if it was shown already."""
    backdrop = of(actor)
    if backdrop is None or backdrop.get(MARK) is None:
        return False
    del backdrop[MARK]
    backdrop.data = actor.autter.portrait
    return True
