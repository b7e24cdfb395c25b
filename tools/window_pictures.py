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
LONGEST = 240.0  # seconds to wait for the backend
PAGES = (  # panels of the sidebar that are shown one below another
    ("backend", "actor", "voice", "predict"),
    ("units", "expressions", "upper", "lower", "head"),
    ("render", "takes", "queue", "exchange"),
)
TAB_WIDTH = 22  # pixels of the sidebar that its tabs take
WIDER = 70  # pixels
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
    unfold("queue", "exchange")
    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    yield 1.0
    scene = bpy.context.scene
    driver.window().workspace.sequencer_scene = scene
    driver.window().screen.show_statusbar = False
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
    """The rig over the picture that it makes, and the sidebar from top to bottom, page by page."""
    area = driver.area_of("VIEW_3D")
    actor = module("actors").require_actor(bpy.context)
    bpy.context.scene.frame_set(strongest(bpy.context.scene, actor))
    bpy.ops.autter.handles(regions={"mouth", "brows"})
    clean_view(area)
    yield from driver.open_tab("VIEW_3D")
    yield from widen_sidebar(area)
    bpy.ops.autter.backend_start()
    bpy.ops.autter.preview_frame()
    yield from driver.until(lambda: module("backdrop").shown_frame(actor) is not None, LONGEST, "the rendered frame")
    yield from driver.until(lambda: module("backend_link").state().value == "ready", LONGEST, "the backend")
    bpy.ops.autter.clear_report()
    yield 0.6
    yield from keep("viewport", folder, area)
    yield from sidebar(folder, area)
    bpy.ops.autter.show_portrait()


def widen_sidebar(area: bpy.types.Area) -> driver.Script:
    """Its edge is dragged, as people do whose names do not fit."""
    region = driver.region_of(area, "UI")
    x, y = region.x, region.y + region.height * 0.5
    yield from driver.move(x + 40, y)
    yield from driver.move(x, y)
    driver.event("LEFTMOUSE", "PRESS")
    yield 0.2
    for step in range(1, 7):
        yield from driver.move(x - WIDER * step / 6, y)
    driver.event("LEFTMOUSE", "RELEASE")
    yield 0.6


def panel_classes(space: str) -> list[Any]:
    """The panels of the tab of a kind of editor, parents before their children."""
    return [found for found in module("panels").CLASSES if found.bl_space_type == space]


def panel_name(panel: Any) -> str:
    """As PAGES has it."""
    return str(panel.__name__.rsplit("_", 1)[1])


def unfold(*names: str) -> None:
    """Panels that are closed at first stand open. Takes effect before they are first drawn."""
    for panel in panel_classes("VIEW_3D"):
        if panel_name(panel) in names:
            bpy.utils.unregister_class(panel)
            panel.bl_options = set()
            bpy.utils.register_class(panel)


def show_panels(space: str, names: tuple[str, ...]) -> None:
    """The tab holds these panels and no others."""
    for panel in reversed([panel for panel in panel_classes(space) if panel.is_registered]):
        bpy.utils.unregister_class(panel)
    for panel in panel_classes(space):
        if panel_name(panel) in names:
            bpy.utils.register_class(panel)


def sidebar(folder: Path, area: bpy.types.Area) -> driver.Script:
    """The tab from top to bottom, page by page."""
    space = area.spaces.active
    space.show_region_header = space.show_region_tool_header = False
    for number, names in enumerate(PAGES):
        show_panels("VIEW_3D", names)
        area.tag_redraw()
        yield 0.8
        region = driver.region_of(area, "UI")
        yield from driver.move(area.x + 200, area.y + 40)
        places[f"sidebar{number}"] = [region.x, region.y, region.width - TAB_WIDTH, region.height, driver.window().height]
        yield from driver.picture(str(folder / f"sidebar{number}.png"))
    show_panels("VIEW_3D", tuple(panel_name(panel) for panel in panel_classes("VIEW_3D")))
    space.show_region_header = space.show_region_tool_header = True


def layers(folder: Path) -> driver.Script:
    """The NLA with the locked prediction below the edits; keyed AUs over what the voice filled in; an edited dot over its prediction."""
    area = driver.area_of("VIEW_3D")
    actor = module("actors").require_actor(bpy.context)
    bone = edit_a_dot(actor)
    with bpy.context.temp_override(area=area, region=driver.region_of(area)):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.78)
    yield 0.5
    lower, upper = sorted((area for area in driver.window().screen.areas if area.type == "VIEW_3D"), key=lambda area: area.y)[:2]
    with bpy.context.temp_override(area=lower, region=driver.region_of(lower)):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.55)
    yield 0.5
    right = next(area for area in driver.window().screen.areas if area.type == "VIEW_3D" and area not in (lower, upper))
    if right.x < lower.x:
        lower, right = right, lower
    upper.type, lower.type, right.type = "NLA_EDITOR", "GRAPH_EDITOR", "GRAPH_EDITOR"
    yield 0.5
    upper.spaces.active.show_region_ui = False
    for area, words, zoomed_out in ((lower, "AU", 0), (right, bone, 4)):
        yield from show_curves(area, words, zoomed_out)
    with bpy.context.temp_override(area=upper, region=driver.region_of(upper)):
        bpy.ops.nla.view_all()
    yield 0.5
    yield from driver.move(upper.x + 10, upper.y + 10)
    places["layers"] = [lower.x, lower.y, right.x + right.width - lower.x, upper.y + upper.height - lower.y, driver.window().height]
    yield from driver.picture(str(folder / "layers.png"))
    for area in (right, upper):
        with bpy.context.temp_override(area=area, region=driver.region_of(area)):
            bpy.ops.screen.area_close()
        yield 0.5


def edit_a_dot(actor: bpy.types.Object) -> str:
    """A mouth corner lifted by hand for some frames, as an animator would; the name of its bone, selected alone."""
    name = module("rig_layout").BONE_NAMES[module("bridge.landmarks").MOUTH_CORNER_LEFT]
    bone, middle = actor.pose.bones[name], strongest(bpy.context.scene, actor)
    for frame, lift in ((middle - 14, 0.0), (middle + 14, 0.0), (middle, 0.12)):
        bpy.context.scene.frame_set(frame)
        bone.location.z += lift
        bone.keyframe_insert("location", index=2, frame=frame)
    for other in actor.pose.bones:
        module("compat").select_bone(other, other == bone)
    actor.data.bones.active = actor.data.bones[name]
    return str(name)


def show_curves(area: bpy.types.Area, words: str, zoomed_out: int) -> driver.Script:
    """A graph editor with the curves whose names hold the words, all of them in view; further off where ghosts are larger."""
    graph = area.spaces.active
    graph.dopesheet.show_only_selected = True
    graph.dopesheet.filter_text = words
    graph.use_normalization = False
    graph.show_handles = False
    graph.show_region_ui = False
    data = module("actors").require_actor(bpy.context).animation_data
    for curve in module("compat").iterate_curves(data.action, module("compat").assigned_slot(data)):
        curve.select = True
    yield 0.3
    with bpy.context.temp_override(area=area, region=driver.region_of(area, "CHANNELS")):
        for _ in range(2):  # groups, then curves
            bpy.ops.anim.channels_expand(all=True)
    yield 0.3
    with bpy.context.temp_override(area=area, region=driver.region_of(area)):
        bpy.ops.graph.view_all()
        for _ in range(zoomed_out):
            bpy.ops.view2d.zoom_out("EXEC_REGION_WIN")
    yield 0.5


def sequencer(folder: Path) -> driver.Script:
    """The finished picture on the left; two takes, the newer one with the edit stitched in, and their voice; the panel beside."""
    bpy.ops.autter.render_edited()
    area = max(driver.window().screen.areas, key=lambda area: area.width * area.height)
    area.type = "SEQUENCE_EDITOR"
    yield 0.5
    with bpy.context.temp_override(area=area, region=driver.region_of(area)):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.3)
    yield 0.5
    preview, strips = sorted((found for found in driver.window().screen.areas if found.type == "SEQUENCE_EDITOR"), key=lambda area: area.x)
    preview.spaces.active.view_type, strips.spaces.active.view_type = "PREVIEW", "SEQUENCER"
    for shown in (preview, strips):
        shown.spaces.active.show_region_toolbar = False
    preview.spaces.active.show_gizmo = False
    yield 0.8
    scene = bpy.context.scene
    takes = module("takes")
    yield from driver.until(lambda: len(takes.strips_in(scene)) == 2, LONGEST, "the take with the edit")
    yield from driver.open_tab("SEQUENCE_EDITOR")
    strips.spaces.active.show_region_channels = False
    strips.spaces.active.timeline_overlay.show_strip_source = False
    show_panels("SEQUENCE_EDITOR", ("voice", "render", "takes", "queue"))
    for strip in module("compat").strips_of(scene.sequence_editor):
        strip.select = True
    with bpy.context.temp_override(area=strips, region=driver.region_of(strips)):
        bpy.ops.sequencer.view_selected()
    with bpy.context.temp_override(area=preview, region=driver.region_of(preview, "PREVIEW")):
        bpy.ops.sequencer.view_all_preview()
    for strip in module("compat").strips_of(scene.sequence_editor):
        strip.select = False
    yield 2.0  # for the small pictures in the strips
    yield from driver.move(strips.x + strips.width * 0.3, strips.y + 8)
    places["sequencer"] = [preview.x, preview.y, strips.x + strips.width - preview.x, preview.height, driver.window().height]
    yield from driver.picture(str(folder / "sequencer.png"))


def script(blend: str, folder: Path) -> driver.Script:
    """All pictures, one after another."""
    yield from begin(blend)
    for part in (viewport, layers, sequencer):
        yield from part(folder)
        (folder / "places.json").write_text(json.dumps(places), encoding="utf-8")


if __name__ == "__main__":
    words = sys.argv[sys.argv.index("--") + 1 :]
    driver.play(script(words[0], Path(words[1])))
