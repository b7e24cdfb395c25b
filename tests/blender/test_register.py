# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip validates, installs, and comes and goes without traces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")
pytestmark = pytest.mark.blender


def test_zip_validates(extension_zip, extension_tool):
    checked = subprocess.run([sys.executable, str(extension_tool), "validate", str(extension_zip)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_five_cycles_leave_nothing_behind(addon):
    def ours() -> set[str]:
        operators = {f"autter.{name}" for name in dir(bpy.ops.autter)}
        kinds = {name for name in dir(bpy.types) if "autter" in name.lower()}
        return operators | kinds

    handler_lists = {
        name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers) if isinstance(getattr(bpy.app.handlers, name), list)
    }
    enabled = {name: len(functions) for name, functions in handler_lists.items()}
    assert ours() and bpy.app.timers.is_registered(addon.ticks.tick)
    for _ in range(5):
        tick = addon.ticks.tick
        bpy.ops.preferences.addon_disable(module=addon.package)
        assert not ours()
        assert not hasattr(bpy.types.Object, "autter") and not hasattr(bpy.types.Scene, "autter")
        assert not bpy.app.timers.is_registered(tick)
        for name, functions in handler_lists.items():
            assert not any("autter" in getattr(function, "__module__", "") for function in functions), name
        bpy.ops.preferences.addon_enable(module=addon.package)
        assert ours()
        assert {name: len(functions) for name, functions in handler_lists.items()} == enabled


def test_no_key_is_taken(addon):
    """Keys belong to the person: everything is in the tab, the menu and the search."""
    configurations = [found for found in (bpy.context.window_manager.keyconfigs.addon, bpy.context.window_manager.keyconfigs.user) if found]
    assert not [item.idname for found in configurations for keys in found.keymaps for item in keys.keymap_items if "autter" in item.idname]


def test_no_name_outside_the_package(addon):
    top = {name.split(".")[0] for name in sys.modules}
    assert not {"bridge", "backend", "autter", "blender_addon"} & top
    assert not any(Path(bpy.utils.user_resource("EXTENSIONS")).joinpath(".local").glob("**/site-packages/*autter*"))


def test_every_operator_says_what_it_does(addon):
    for name in dir(bpy.ops.autter):
        kind = getattr(bpy.ops.autter, name).get_rna_type()
        assert kind.description and not kind.description.endswith("."), name
        for item in kind.properties:
            if item.identifier in ("rna_type", "filter_glob", "check_existing", "filepath", "display_type", "sort_method", "filter_search"):
                continue
            if not item.identifier.startswith(("filter_", "hide_", "show_")):
                assert item.description or item.is_hidden, f"{name}.{item.identifier}"
