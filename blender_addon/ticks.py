# SPDX-License-Identifier: GPL-3.0-or-later
"""The one timer. It drains the client, uses one finished result at a time through an operator (so that undo knows it),
and redraws the panels when something changed. It never runs in background mode: there operators pump themselves.
"""

from __future__ import annotations

from contextlib import nullcontext

import bpy

from . import backend_link, backend_setup, compat, live, live_picture, pictures, reports
from .bridge.client import BackendState

LIVE_SECONDS = 0.02  # an edit waits for two of them: the one that asks and the one that writes the answer
BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.5
SHOWN_IN = frozenset(("VIEW_3D", "SEQUENCE_EDITOR", "IMAGE_EDITOR", "PREFERENCES"))
# Modal operators that change what we are about to change. Others (add-ons that listen for ever) are no reason to wait.
HANDS_ON = ("TRANSFORM_", "POSE_", "ARMATURE_", "OBJECT_", "ANIM_", "GRAPH_", "ACTION_", "NLA_", "SEQUENCER_", "SCULPT_", "PAINT_")
_drawn_revision = -1


def tick() -> float:
    """What Blender calls; returns the seconds until the next call."""
    backend_link.poll()
    backend_setup.poll()
    live_picture.tick()
    backend_link.collect_faults()
    _show_render_under_way()
    if backend_link.book.finished and _may_edit():
        _use_one_result()
    _redraw_if_changed()
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]) if bpy.context.window_manager.windows else nullcontext():
        live.look(bpy.context)
    if live.is_on() and backend_link.state() in (BackendState.READY, BackendState.BUSY):
        return LIVE_SECONDS
    active = backend_link.state() in (BackendState.STARTING, BackendState.BUSY) or live_picture.is_on() or live.is_on()
    active = active or backend_setup.is_running()
    return BUSY_SECONDS if active or backend_link.book.finished else IDLE_SECONDS


def _show_render_under_way() -> None:
    """The newest frame of a render, where an image editor would show it. A file that did not ask for it is left as it is."""
    for job in backend_link.book.of_this_file():
        if job.picture is not None:
            picture, job.picture = job.picture, None
            pictures.show_progress(picture)


def _may_edit() -> bool:
    """Not while a render owns the data or the person drags something: the result waits for the next tick."""
    windows = bpy.context.window_manager.windows
    if not windows or bpy.app.is_job_running("RENDER"):
        return False
    return not any(name.startswith(HANDS_ON) for window in windows for name in compat.modal_operators(window))


def _use_one_result() -> None:
    job = backend_link.book.finished[0]
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window):
        told = reports.reports[-1] if reports.reports else None
        try:
            if job.details.get("live"):
                bpy.ops.autter.use_live_result("EXEC_DEFAULT", False, job=job.number)
            else:
                bpy.ops.autter.use_result("EXEC_DEFAULT", True, job=job.number)
        except RuntimeError as error:
            if told is (reports.reports[-1] if reports.reports else None):  # no Fault, which the operator would have kept
                reports.note("ERROR", f"{job.title}: the result could not be used.", str(error).strip().splitlines()[-1])
    backend_link.book.remove([job])
    backend_link.touch()


def _redraw_if_changed() -> None:
    global _drawn_revision
    if _drawn_revision == backend_link.revision:
        return
    _drawn_revision = backend_link.revision
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in SHOWN_IN:
                area.tag_redraw()


def register() -> None:
    """Starts ticking; the timer outlives File > Open."""
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=IDLE_SECONDS, persistent=True)


def unregister() -> None:
    """Stops ticking."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
