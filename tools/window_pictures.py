# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: `window_pictures.py SHOT.blend FOLDER`, pictures of the add-on at work on the sample's shot.

Each picture is a PNG of the window with a line in places.json that tells which part of it to keep.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import addon_utils
import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import window_driver as driver  # noqa: E402

PACKAGE = "bl_ext.user_default.autter"
places: dict[str, list[int]] = {}


def module(name: str) -> Any:
    """A module of the add-on."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def begin(blend: str) -> driver.Script:
    """The shot, with one large area and the actor selected."""
    driver.quiet()
    bpy.context.preferences.system.viewport_aa = "5"
    bpy.context.preferences.view.ui_scale = 1.0
    bpy.context.preferences.system.use_region_overlap = False  # so that "view all" means what is not under the sidebar
    addon_utils.enable(PACKAGE, default_set=True, persistent=True)
    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    yield 1.0
    scene = bpy.context.scene
    driver.window().workspace.sequencer_scene = scene
    actor = module("actors").require_actor(bpy.context)
    scene.render.resolution_x, scene.render.resolution_y = actor.autter.portrait_size
    bpy.context.view_layer.objects.active = actor
    actor.select_set(True)
    for area in list(driver.window().screen.areas):
        if area.type in ("OUTLINER", "PROPERTIES", "DOPESHEET_EDITOR"):
            with bpy.context.temp_override(area=area, region=driver.region_of(area)):
                bpy.ops.screen.area_close()
            yield 0.3
    bpy.ops.object.mode_set(mode="POSE")
    yield 0.5


def strongest(scene: bpy.types.Scene, actor: bpy.types.Object, key: str = "AU12") -> int:
    """The frame at which a keyed AU is highest."""
    frames = range(scene.frame_start, scene.frame_end + 1)
    values, _ = module("curves").sample_aus(actor, frames)
    return frames[int(values[:, module("bridge.facs").AU_INDEX[key]].argmax())]


def keep(name: str, folder: Path, area: bpy.types.Area) -> driver.Script:
    """A picture of one area."""
    places[name] = [area.x, area.y, area.width, area.height, driver.window().height]
    yield from driver.move(area.x + area.width * 0.3, area.y + 8)
    yield from driver.picture(str(folder / f"{name}.png"))


def clean_view(area: bpy.types.Area) -> None:
    """The face from the front, nothing else of Blender's in the picture."""
    space = area.spaces.active
    overlay = space.overlay
    for name in ("show_floor", "show_axis_x", "show_axis_y", "show_cursor", "show_text", "show_relationship_lines"):
        setattr(overlay, name, False)
    space.show_gizmo = False
    space.show_region_toolbar = False
    module("build_actor").look_at(bpy.context, module("actors").require_actor(bpy.context))
    space.region_3d.view_distance = 3.6


def viewport(folder: Path) -> driver.Script:
    """The rig over the portrait, and the sidebar from top to bottom."""
    area = driver.area_of("VIEW_3D")
    actor = module("actors").require_actor(bpy.context)
    bpy.context.scene.frame_set(strongest(bpy.context.scene, actor))
    clean_view(area)
    yield from driver.open_tab("VIEW_3D")
    yield from keep("viewport", folder, area)
    region = driver.region_of(area, "UI")
    yield from driver.move(region.x + region.width / 2, region.y + region.height / 2)
    for _ in range(14):
        driver.event("WHEELDOWNMOUSE", "PRESS")
        yield 0.05
    yield from keep("sidebar", folder, area)


def layers(folder: Path) -> driver.Script:
    """The NLA with the locked prediction below the edits, and the graph editor with keyed AUs."""
    area = driver.area_of("VIEW_3D")
    with bpy.context.temp_override(area=area, region=driver.region_of(area)):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.7)
    yield 0.5
    lower, upper = sorted((area for area in driver.window().screen.areas if area.type == "VIEW_3D"), key=lambda area: area.y)[:2]
    upper.type, lower.type = "NLA_EDITOR", "GRAPH_EDITOR"
    yield 0.5
    upper.type = "NLA_EDITOR"
    graph = lower.spaces.active
    graph.dopesheet.show_only_selected = True
    graph.use_normalization = False
    graph.show_handles = False
    graph.show_region_ui = upper.spaces.active.show_region_ui = False
    actor = module("actors").require_actor(bpy.context)
    data = actor.animation_data
    for curve in module("compat").iterate_curves(data.action, module("compat").assigned_slot(data)):
        curve.select = curve.data_path.startswith('["AU')
    with bpy.context.temp_override(area=lower, region=driver.region_of(lower, "CHANNELS")):
        for _ in range(2):  # groups, then curves
            bpy.ops.anim.channels_expand(all=True)
    for area, operator in ((lower, bpy.ops.graph.view_all), (upper, bpy.ops.nla.view_all)):
        with bpy.context.temp_override(area=area, region=driver.region_of(area)):
            operator()
    yield 0.5
    whole = upper
    yield from driver.move(whole.x + 10, whole.y + 10)
    places["layers"] = [lower.x, lower.y, lower.width, upper.y + upper.height - lower.y, driver.window().height]
    yield from driver.picture(str(folder / "layers.png"))
    with bpy.context.temp_override(area=upper, region=driver.region_of(upper)):
        bpy.ops.screen.area_close()
    yield 0.5


def sequencer(folder: Path) -> driver.Script:
    """The sequencer with a take and its voice, the preview above, the panel beside."""
    area = max(driver.window().screen.areas, key=lambda area: area.width * area.height)
    area.type = "SEQUENCE_EDITOR"
    yield 0.5
    space = area.spaces.active
    space.view_type = "SEQUENCER_PREVIEW"
    yield 0.8
    scene = bpy.context.scene
    for strip in module("compat").strips_of(scene.sequence_editor):
        strip.select = False
    yield from driver.open_tab("SEQUENCE_EDITOR")
    for kind, operator in (("WINDOW", bpy.ops.sequencer.view_all), ("PREVIEW", bpy.ops.sequencer.view_all_preview)):
        with bpy.context.temp_override(area=area, region=driver.region_of(area, kind)):
            operator()
    yield 0.5
    yield from keep("sequencer", folder, area)


def script(blend: str, folder: Path) -> driver.Script:
    """All pictures, one after another."""
    yield from begin(blend)
    for part in (viewport, layers, sequencer):
        yield from part(folder)
        (folder / "places.json").write_text(json.dumps(places), encoding="utf-8")


if __name__ == "__main__":
    words = sys.argv[sys.argv.index("--") + 1 :]
    driver.play(script(words[0], Path(words[1])))
