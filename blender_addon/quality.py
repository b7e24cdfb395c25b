# SPDX-License-Identifier: GPL-3.0-or-later
"""The choices of a render as the panel and the dialog show them, and what the Stable Diffusion tier needs, as the backend told it."""

from __future__ import annotations

from typing import Any

import bpy

from . import backend_link
from .panel_drawing import draw_text

SMALL_CHOICES = ("steps", "crop_size")
SD15_CHOICES = ("preset", "sd15_steps", "sd15_weights")


def draw_quality(layout: bpy.types.UILayout, context: bpy.types.Context, settings: bpy.types.PropertyGroup) -> None:
    """The tier, its own choices, and for the Stable Diffusion tier whether it can run here."""
    layout.prop(settings, "tier")
    for name in SD15_CHOICES if settings.tier == "sd15" else SMALL_CHOICES:
        layout.prop(settings, name)
    if settings.tier == "sd15":
        for text, icon in sd15_lines(settings.preset):
            draw_text(layout, context, text, icon)
    layout.prop(settings, "label")
    layout.prop(settings, "invisible_mark")


def sd15_lines(preset: str) -> list[tuple[str, str]]:
    """What is worth telling of the Stable Diffusion tier, with icons: what is missing, or what it needs beside what is free."""
    client = backend_link.current_client()
    told: dict[str, Any] = client.tiers.get("sd15", {}) if client is not None else {}
    if not told:
        return [("The backend tells what this tier needs once it runs", "INFO")]
    hint = [(str(told["hint"]), "NONE")] if told.get("hint") else []
    if not told.get("ready"):
        return [(str(told.get("sentence", "The tier is not ready")), "ERROR"), *hint]
    needs, free = told.get("need_gb", {}), told.get("free_gb")
    need = needs.get(preset)
    if need is None:
        return [(str(told.get("sentence", "")), "INFO"), *hint]
    if free is not None and need > free:
        return [(f"Needs about {need:g} GB of memory, but only {free:g} GB are free; it will try, slower", "ERROR"), *hint]
    return [(f"Needs about {need:g} GB of memory" + ("" if free is None else f"; {free:g} GB are free"), "MEMORY"), *hint]
