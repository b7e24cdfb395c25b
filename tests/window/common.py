# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios in a windowed Blender share: the shot they begin with, the add-on's modules, what they have seen."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import addon_utils
import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import window_driver as driver  # noqa: E402

PACKAGE = "bl_ext.user_default.autter"
PATIENCE = 240.0  # seconds: a software display and a busy machine
seen: dict[str, Any] = {}


def module(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{name}")


def actor() -> bpy.types.Object:
    return module("actors").require_actor(bpy.context)


def begin(source: str, blend: str) -> driver.Script:
    """A copy of the shot, one viewport with the tab AUtter."""
    driver.quiet()
    addon_utils.enable(PACKAGE, default_set=True, persistent=True)
    yield 0.5
    bpy.ops.wm.open_mainfile(filepath=source, load_ui=False)
    yield 1.0
    bpy.ops.wm.save_as_mainfile(filepath=blend)  # which keeps relative paths right
    bpy.context.preferences.system.viewport_aa = "OFF"
    for area in list(driver.window().screen.areas):  # little to draw: a software display is slow
        if area.type in ("OUTLINER", "PROPERTIES", "DOPESHEET_EDITOR"):
            with bpy.context.temp_override(area=area, region=driver.region_of(area)):
                bpy.ops.screen.area_close()
            yield 0.3
    bpy.context.view_layer.objects.active = actor()
    driver.window().workspace.sequencer_scene = bpy.context.scene
    yield from driver.open_tab()


def keyed() -> set[str]:
    return set(module("curves").commanded_keys(actor()))


def idle() -> bool:
    """Whether nothing is asked of the backend and nothing waits to be used."""
    book = module("backend_link").book
    return not book.open and not book.finished


def stalls() -> Any:
    """Measures the longest time between two calls of a timer that wants to be called every 10 ms; a function that tells it."""
    last, longest = [time.perf_counter()], [0.0]

    def beat() -> float:
        now = time.perf_counter()
        longest[0] = max(longest[0], now - last[0])
        last[0] = now
        return 0.01

    bpy.app.timers.register(beat)

    def told() -> float:
        bpy.app.timers.unregister(beat)
        return longest[0]

    return told
