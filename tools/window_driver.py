# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: plays a script that waits, presses keys, moves the mouse and takes pictures of the window.

A script is a generator: every ``yield seconds`` gives control back to Blender. Needs ``--enable-event-simulate``; pictures need
ImageMagick's ``import`` and an X display.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any

import bpy

Script = Iterator[float]
Finding = Generator[float, None, tuple[int, int]]
STEP = 0.15  # seconds between two events, for a slow display
LETTERS = {" ": "SPACE", "-": "MINUS", ".": "PERIOD"}


def play(script: Script) -> None:
    """Plays the script, then quits Blender; an error ends it with status 3."""

    def step() -> float | None:
        try:
            return next(script)
        except StopIteration:
            bpy.ops.wm.quit_blender()
        except Exception:
            traceback.print_exc()
            leave(3)
        return None

    bpy.app.timers.register(step, first_interval=1.0, persistent=True)


def leave(status: int) -> None:
    """Ends the process at once."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def window() -> bpy.types.Window:
    """The one window."""
    return bpy.context.window_manager.windows[0]


def area_of(kind: str) -> bpy.types.Area:
    """The largest area of that type."""
    return max((area for area in window().screen.areas if area.type == kind), key=lambda area: area.width * area.height)


def region_of(area: bpy.types.Area, kind: str = "WINDOW") -> bpy.types.Region:
    """A region of an area."""
    return next(region for region in area.regions if region.type == kind)


def event(kind: str, value: str = "PRESS", **more: Any) -> None:
    """One event at the place where the mouse was moved last."""
    place = {"x": _mouse[0], "y": _mouse[1]}
    window().event_simulate(type=kind, value=value, **{**place, **more})


_mouse = [600, 400]


def move(x: float, y: float) -> Script:
    """Moves the mouse to a place in the window."""
    _mouse[:] = [int(x), int(y)]
    event("MOUSEMOVE", "NOTHING")
    yield STEP


def press(kind: str, **more: Any) -> Script:
    """A key or button, down and up."""
    event(kind, "PRESS", **more)
    yield STEP
    event(kind, "RELEASE", **{name: value for name, value in more.items() if name != "unicode"})
    yield STEP


def type_text(text: str) -> Script:
    """Text into the field that has the focus."""
    for letter in text:
        kind = LETTERS.get(letter, letter.upper())
        event(kind, "PRESS", unicode=letter)
        yield 0.05
        event(kind, "RELEASE")
        yield 0.05


def search(words: str, over: str = "VIEW_3D") -> Script:
    """Calls an entry by its name through the search (F3)."""
    area = area_of(over)
    yield from move(area.x + area.width * 0.4, area.y + area.height * 0.5)
    yield from press("F3")
    yield 0.6
    yield from type_text(words)
    yield 0.8
    yield from press("RET")
    yield 0.4


def until(true: Callable[[], Any], seconds: float, what: str) -> Script:
    """Waits until something is so; an error after so many seconds."""
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        yield 0.1


def click(x: float, y: float) -> Script:
    """The left button at a place."""
    yield from move(x, y)
    yield from press("LEFTMOUSE")


def lies_at(x: float, y: float) -> Generator[float, None, str]:
    """What lies under the mouse, as Blender copies it: the data path of a setting, or the call of a button."""
    manager = bpy.context.window_manager
    manager.clipboard = ""
    yield from move(x, y)
    for held in ({"ctrl": True, "alt": True, "shift": True}, {"ctrl": True}):
        event("C", "PRESS", **held)
        yield 0.05
        event("C", "RELEASE", **held)
        yield 0.05
        if manager.clipboard:
            break
    return str(manager.clipboard)


def find(words: str, over: str = "VIEW_3D", across: tuple[float, ...] = (0.3, 0.75), pages: int = 3) -> Finding:
    """The place of a button or setting in the sidebar of an area, scrolled down until it is seen. ``words``: of what ``lies_at`` tells."""
    region = region_of(area_of(over), "UI")
    for _ in range(pages):
        for y in range(region.y + region.height - 12, region.y + 12, -14):
            for share in across:
                told = yield from lies_at(region.x + region.width * share, y)
                if words in told:
                    return _mouse[0], _mouse[1]
        for _ in range(8):
            event("WHEELDOWNMOUSE", "PRESS")
            yield 0.05
        yield 0.4
    raise AssertionError(f"{words} is not in the sidebar")


def picture(path: str) -> Script:
    """A picture of the whole window, after a redraw."""
    bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    yield 0.8
    subprocess.run(["import", "-window", "root", path], check=False, env={**os.environ, "LD_LIBRARY_PATH": ""})
    yield 0.2


def open_tab(kind: str = "VIEW_3D", width: int = 0) -> Script:
    """Shows the sidebar of an area with the tab AUtter."""
    area = area_of(kind)
    area.spaces.active.show_region_ui = True
    yield 0.5
    region = region_of(area, "UI")
    region.active_panel_category = "AUtter"
    area.tag_redraw()
    yield 0.8


def quiet() -> None:
    """No splash screen, no tooltips in the way."""
    view = bpy.context.preferences.view
    view.show_splash = False
    view.show_tooltips = False
