# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios worked by hand: dots dragged in the viewport, buttons of the sidebar clicked where they are, keys set with I."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from common import PATIENCE, actor, driver, idle, module, seen

Place = tuple[float, float]


def face_the_actor() -> driver.Script:
    """Pose mode, the face from the front, nothing else in the way."""
    if actor().mode != "POSE":
        bpy.ops.object.mode_set(mode="POSE")
    module("build_actor").look_at(bpy.context, actor())
    driver.area_of("VIEW_3D").spaces.active.show_gizmo = False
    yield 0.8


def place_of(bone: str) -> Place:
    """Where a bone's dot is in the window, as it is posed now."""
    area = driver.area_of("VIEW_3D")
    region, view = driver.region_of(area), area.spaces.active.region_3d
    posed = actor().evaluated_get(bpy.context.evaluated_depsgraph_get())
    x, y = location_3d_to_region_2d(region, view, posed.matrix_world @ posed.pose.bones[bone].head)
    return region.x + x, region.y + y


def drag(bone: str, dx: int, dy: int) -> driver.Script:
    """Click on the dot, G, move the mouse, click."""
    x, y = place_of(bone)
    yield from driver.click(x, y)
    yield 0.3
    active = bpy.context.active_pose_bone
    assert active is not None and active.name == bone, f"the click chose {active and active.name}, not {bone}"
    yield from driver.press("G")
    for step in range(1, 6):
        yield from driver.move(x + dx * step / 5, y + dy * step / 5)
    yield from driver.press("LEFTMOUSE")
    yield 0.4


def chin() -> str:
    return str(module("rig_layout").BONE_NAMES[module("bridge.landmarks").CHIN])


def fit_by_mouse(blend: str) -> driver.Script:
    """Fit Rig: a dot is dragged with G and kept; every frame of the animation starts from there; Ctrl-Z puts it back."""
    frames, bone = [1, 40], chin()
    column = module("rig_layout").BONE_NAMES.index(bone)
    sample = lambda: module("evaluation").sample_landmarks(actor(), frames)  # noqa: E731
    rest, before = module("actors").rest_landmarks(actor()), sample()
    yield from face_the_actor()
    yield from driver.search("Fit Rig")
    yield from driver.until(lambda: actor().autter.fitting, 20, "Fit Rig")
    yield from drag(bone, 0, -30)
    assert abs(actor().pose.bones[bone].location[1]) < 1e-6, "the dot left the portrait's plane"
    yield from driver.search("Keep Fit")
    yield from driver.until(lambda: not actor().autter.fitting, 20, "Keep Fit")
    moved = module("actors").rest_landmarks(actor())[column] - rest[column]
    seen["moved_pixels"] = [round(float(part), 1) for part in moved]
    assert moved[1] > 5 and abs(moved[0]) < 1, seen["moved_pixels"]
    assert np.allclose(sample()[:, column] - before[:, column], moved, atol=0.5), "the animation does not start from the fit"
    for _ in range(6):
        yield from driver.press("Z", ctrl=True)
        yield 0.4
        if np.allclose(module("actors").rest_landmarks(actor()), rest, atol=1e-3) and not actor().autter.fitting:
            break
    assert np.allclose(module("actors").rest_landmarks(actor()), rest, atol=1e-3), "Ctrl-Z did not bring the fit back"


def edit_over_the_prediction(blend: str) -> driver.Script:
    """A predicted dot is keyed, dragged and keyed; another prediction leaves the edit as it is."""
    scene, bone = bpy.context.scene, chin()
    column = module("rig_layout").BONE_NAMES.index(bone)
    yield from face_the_actor()
    for frame in (20, 28):
        scene.frame_set(frame)
        yield 0.4
        yield from driver.click(*place_of(bone))
        yield from driver.press("I")
    scene.frame_set(24)
    yield 0.4
    yield from drag(bone, 0, -24)
    yield from driver.press("I")
    yield 0.3

    def above() -> np.ndarray:
        """What the animator's own keys add, in pixels."""
        whole = module("evaluation").sample_landmarks(actor(), range(16, 33))[:, column]
        motion = module("prediction").read_motion(actor())
        alone = (
            module("actors")
            .frame_of(actor())
            .to_pixels(module("actors").rest_units(actor())[column] + motion.points[16 - motion.first : 33 - motion.first, column])
        )
        return whole - alone

    edit, predicted = above(), module("prediction").read_motion(actor()).points.copy()
    seen["edit_pixels"] = round(float(edit[8, 1]), 1)
    assert edit[8, 1] > 4 and np.abs(edit[[0, 1, 2, 14, 15, 16]]).max() < 0.2, edit
    yield from driver.search("Another Take")
    yield from driver.until(lambda: actor().autter.seed == 1 and idle(), PATIENCE, "Another Take")
    assert not np.allclose(module("prediction").read_motion(actor()).points, predicted, atol=1e-4), "the prediction is the same"
    assert np.allclose(above(), edit, atol=0.2), "the edit did not survive"


def live_by_mouse(blend: str) -> driver.Script:
    """Live is clicked in the sidebar, a slider dragged and keyed with I; the rig follows by itself."""
    scene = bpy.context.scene
    place = yield from driver.find(".autter.live", across=(0.8,))
    yield from driver.click(*place)
    yield from driver.until(lambda: scene.autter.live, 10, "the click on Live")
    yield from driver.until(lambda: module("backend_link").state().value == "ready" and idle(), PATIENCE, "the first prediction")
    scene.frame_set(30)
    x, y = yield from driver.find('["AU26"]', across=(0.3,), pages=5)
    driver.event("LEFTMOUSE", "PRESS")
    yield 0.2
    for step in range(1, 9):
        yield from driver.move(x + 10 * step, y)
    driver.event("LEFTMOUSE", "RELEASE")
    yield 0.4
    seen["dragged_to"] = round(float(actor()["AU26"]), 2)
    assert actor()["AU26"] > 1.0, "the drag changed nothing"
    sample = lambda: module("evaluation").sample_landmarks(actor(), [30])  # noqa: E731
    before, began = sample(), time.monotonic()
    yield from driver.move(x, y)
    yield from driver.press("I")
    yield from driver.until(lambda: abs(sample() - before).max() > 2.0, PATIENCE, "the rig to follow")
    seen["seconds_with_the_key_press"] = round(time.monotonic() - began, 2)
    assert "AU26" in module("curves").commanded_keys(actor())
    yield from driver.until(idle, PATIENCE, "quiet")
    strip, stamp = module("voices").voice_strips(scene)[0], actor().autter.prediction_stamp
    if hasattr(strip, "content_start"):
        strip.content_start += 6
    else:
        strip.frame_start += 6
    yield from driver.until(lambda: actor().autter.prediction_stamp != stamp, PATIENCE, "the rig to follow the moved voice")


def pictures_while_working(blend: str) -> driver.Script:
    """Preview Frame fills an image editor too; Live Picture follows the playhead, plays from what is kept, and makes edits anew."""
    scene, live = bpy.context.scene, module("live_picture")
    area = driver.area_of("VIEW_3D")
    with bpy.context.temp_override(area=area, region=driver.region_of(area)):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.6)
    yield 0.5
    small = min((found for found in driver.window().screen.areas if found.type == "VIEW_3D"), key=lambda found: found.width)
    small.type = "IMAGE_EDITOR"
    yield 0.5
    scene.frame_set(3)
    yield from driver.search("Preview Frame")
    yield from driver.until(lambda: module("backdrop").shown_frame(actor()) == 3 and idle(), PATIENCE, "Preview Frame")
    assert small.spaces.active.image.name == module("pictures").PREVIEW
    place = yield from driver.find(".autter.live_picture", across=(0.6,), pages=6)
    yield from driver.click(*place)
    yield from driver.until(lambda: scene.autter.live_picture, 10, "the click on Live Picture")
    scene.frame_end = 6
    area = driver.area_of("VIEW_3D")
    yield from driver.move(area.x + area.width * 0.4, area.y + area.height * 0.5)
    for frame in range(1, 7):
        scene.frame_set(frame)
        yield from driver.until(lambda frame=frame: kept(frame) is not None, PATIENCE, f"the picture of frame {frame}")
        assert module("backdrop").shown_frame(actor()) == frame
    asked, times = module("backend_link").revision, watched_times(live)
    yield from driver.press("SPACE")
    yield 4.0
    yield from driver.press("SPACE")
    seen["pictures_played"], seen["ms_each"] = len(times), round(1000 * float(np.median(times)), 1) if times else None
    assert len(times) > 5 and live.cache.count() == 6, seen
    assert module("backend_link").book.running("live_picture") is None and module("backend_link").revision - asked < 40
    before = kept(4)[0]
    scene.frame_set(4)
    bone = actor().pose.bones[chin()]
    bone.location.z -= 0.05
    bone.keyframe_insert("location", frame=4)
    yield from driver.until(lambda: kept(4)[0] != before, PATIENCE, "the edited frame")


def kept(frame: int) -> Any:
    """The live picture of a frame: digest and pixels."""
    return module("live_picture").cache.get((actor().session_uid, frame))


def watched_times(live: Any) -> list[float]:
    """Seconds of every showing of a picture from now on."""
    times: list[float] = []
    original = live.show

    def show(*given: Any) -> None:
        began, shown = time.perf_counter(), live._shown
        original(*given)
        if live._shown != shown:
            times.append(time.perf_counter() - began)

    live.show = show
    return times


def tab_of_the_sequencer(blend: str) -> driver.Script:
    """The tab beside the strips: an edited take, compared with the former by its button, chosen by its name; consent is asked for."""
    scene, takes = bpy.context.scene, module("takes")
    area = driver.area_of("VIEW_3D")
    area.type = "SEQUENCE_EDITOR"
    yield 0.5
    area.spaces.active.view_type = "SEQUENCER_PREVIEW"
    yield 0.5
    yield from driver.open_tab("SEQUENCE_EDITOR")
    yield from driver.search("Render All Actors", over="SEQUENCE_EDITOR")
    yield 0.8
    yield from driver.press("RET")  # without a tick in the box
    yield from driver.until(lambda: "Nobody has said yet" in told(), 20, "the refusal")
    assert idle()
    yield from driver.move(area.x + 30, area.y + 30)  # the message goes when the mouse leaves it
    yield from driver.press("ESC")
    bone = actor().pose.bones[chin()]
    for frame, z in ((10, 0.0), (18, 0.0), (14, -0.06)):
        scene.frame_set(frame)
        bone.location.z += z
        bone.keyframe_insert("location", frame=frame)
    module("consent").give(actor())
    first = takes.strips_in(scene)[0].name
    yield from driver.search("Re-render Edited Range", over="SEQUENCE_EDITOR")
    yield from driver.until(lambda: len(takes.strips_in(scene)) == 2 and idle(), PATIENCE, "the edited take")
    seen["take"] = takes.take_of(takes.strips_in(scene)[0]).note
    place = yield from driver.find("autter.compare_takes", over="SEQUENCE_EDITOR", across=(0.75,), pages=5)
    yield from driver.click(*place)
    yield from driver.until(lambda: module("compare").is_on(scene), 20, "the click on Compare")
    yield from driver.picture(str(Path(blend).with_name("compare.png")))
    yield from driver.click(*place)
    yield from driver.until(lambda: not module("compare").is_on(scene), 20, "the second click on Compare")
    place = yield from driver.find(f'take="{first}"', over="SEQUENCE_EDITOR", across=(0.3,), pages=5)
    yield from driver.click(*place)
    yield from driver.until(lambda: scene.sequence_editor.active_strip.name == first, 20, "the click on the take's name")


def told() -> str:
    """The sentence of the last report."""
    reports = module("reports").reports
    return reports[-1].sentence if reports else ""


SCENARIOS = {
    "fit_by_mouse": fit_by_mouse,
    "edit_over_the_prediction": edit_over_the_prediction,
    "live_by_mouse": live_by_mouse,
    "pictures_while_working": pictures_while_working,
    "tab_of_the_sequencer": tab_of_the_sequencer,
}
