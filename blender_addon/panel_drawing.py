# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels of the tab share: where they live, and paragraphs of text."""

from __future__ import annotations

import bpy

from . import actors

WRAP_COLUMNS = 42


def wrapped(text: str, columns: int) -> list[str]:
    """Text in lines of at most so many characters, broken at spaces; labels do not wrap by themselves."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= columns:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def columns_of(context: bpy.types.Context) -> int:
    """How many characters fit into the sidebar."""
    region = context.region
    if region is None:
        return WRAP_COLUMNS
    return max(20, int(region.width / (7.5 * context.preferences.system.ui_scale)) - 4)


def draw_text(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE", columns: int = 0) -> None:
    """A paragraph of labels, the icon before its first line. ``columns``: characters in a line, 0 for what the sidebar holds."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(wrapped(text, columns or columns_of(context))):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


class TabPanel:
    """Mixin: a panel in the tab "AUtter"."""

    bl_category = "AUtter"
    bl_region_type = "UI"


class ActorTabPanel(TabPanel):
    """Mixin: a panel that is there only with an actor."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with an actor."""
        return actors.find_actor(context) is not None
