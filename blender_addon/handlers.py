# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's own events: another file, undo, quitting."""

from __future__ import annotations

import atexit
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import backend_link, compat, panel_state, reports
from .bridge import reservations


@persistent
def before_load(*_: Any) -> None:
    """Jobs keep running, but their results belong to the file that is being closed."""
    backend_link.book.file_closed()
    panel_state.forget()


@persistent
def after_load(*_: Any) -> None:
    """Results that waited for this file are used now."""
    returning = backend_link.book.file_opened(bpy.data.filepath)
    if returning:
        reports.note("INFO", f"{len(returning)} finished result(s) had been waiting for this file.")
    panel_state.forget()


@persistent
def after_failed_load(*_: Any) -> None:
    """The file could not be opened; the former one is still there."""
    backend_link.book.file_kept()


@persistent
def after_save(*_: Any) -> None:
    """The file may have got a name only now."""
    backend_link.book.file_saved(bpy.data.filepath)


@persistent
def after_change(*_: Any) -> None:
    """Undo and redo replace every datablock; the panel reads them anew."""
    panel_state.forget()


@persistent
def before_exit(*_: Any) -> None:
    """The backend goes with Blender, and the names that it spoke for."""
    reservations.release_all()
    backend_link.close()


def before_disable() -> None:
    """The backend ends behind our back: the person goes on working at once."""
    backend_link.close(wait=False)
    reservations.release_all()


def _pairs() -> list[tuple[list[Any], Any]]:
    handlers = bpy.app.handlers
    pairs = [(handlers.load_pre, before_load), (handlers.load_post, after_load)]
    pairs += [(handlers.undo_post, after_change), (handlers.redo_post, after_change)]
    pairs += [(handlers.load_post_fail, after_failed_load), (handlers.save_post, after_save)]
    leaving = compat.exit_handlers()
    if leaving is not None:
        pairs.append((leaving, before_exit))
    return pairs


def register() -> None:
    """Adds each handler once."""
    for functions, ours in _pairs():
        if ours not in functions:
            functions.append(ours)
    atexit.register(before_exit)


def unregister() -> None:
    """Takes them away again."""
    atexit.unregister(before_exit)
    for functions, ours in _pairs():
        if ours in functions:
            functions.remove(ours)
