# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws ghosts into the graph editor. What is drawn is worked out in ghosts.py and kept until something changes."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import ghosts

LABEL_SIZE = 11

_handle: Any = None
_kept: tuple[tuple[object, ...], list[ghosts.Line]] | None = None


def draw() -> None:
    """Called by Blender for each graph editor, before its own curves."""
    context = bpy.context
    actor = ghosts.find_actor(context) if context.scene is not None else None
    if actor is None or not context.scene.autter.show_ghosts or context.space_data.mode != "FCURVES":
        return
    import blf
    import gpu
    from gpu_extras.batch import batch_for_shader

    view, region = context.region.view2d, context.region
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    gpu.state.line_width_set(1.5)
    blf.size(0, LABEL_SIZE * context.preferences.system.ui_scale)
    written: list[ghosts.Box] = []
    for line in _lines(actor, context):
        places = [view.view_to_region(float(frame), float(value), clip=False) for frame, value in line.points]
        batch = batch_for_shader(shader, "LINE_STRIP", {"pos": [(float(x), float(y), 0.0) for x, y in places]})
        shader.uniform_float("color", line.colour)
        batch.draw(shader)
        (x, y), (width, height) = view.view_to_region(*line.peak, clip=False), blf.dimensions(0, line.words)
        x, y = min(x + 4, region.width - width - 4), min(y + 3, region.height - 3 * LABEL_SIZE)
        x, y = ghosts.free_place(written, x, y, width, height)
        blf.color(0, *line.colour[:3], 1.0)
        blf.position(0, x, y, 0)
        blf.draw(0, line.words)
    gpu.state.line_width_set(1.0)
    gpu.state.blend_set("NONE")


def _lines(actor: bpy.types.Object, context: bpy.types.Context) -> list[ghosts.Line]:
    global _kept
    view, region = context.region.view2d, context.region
    (first, bottom), (last, top) = view.region_to_view(0, 0), view.region_to_view(region.width, region.height)
    height = float(f"{top - bottom:.2g}")
    signature = (actor.session_uid, actor.autter.prediction_stamp, round(first), round(last), height, len(actor.keys()), _changes)
    if _kept is None or _kept[0] != signature:
        _kept = (signature, ghosts.lines(actor, first, last, height))
    return _kept[1]


_changes = 0


@persistent
def after_update(*_: Any) -> None:
    """A key may have been set: an AU with keys has no ghost."""
    global _changes
    _changes += 1


def register() -> None:
    """Adds the drawing; without a window there is nothing to draw into."""
    global _handle
    if _handle is None and not bpy.app.background:
        _handle = bpy.types.SpaceGraphEditor.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")
    if after_update not in bpy.app.handlers.depsgraph_update_post:
        bpy.app.handlers.depsgraph_update_post.append(after_update)


def unregister() -> None:
    """Takes the drawing away."""
    global _handle, _kept
    if _handle is not None:
        bpy.types.SpaceGraphEditor.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    _kept = None
    if after_update in bpy.app.handlers.depsgraph_update_post:
        bpy.app.handlers.depsgraph_update_post.remove(after_update)
