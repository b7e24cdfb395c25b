# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: `session.py SCENARIO SHOT.blend COPY.blend OUT.json`, one scenario on a copy of the
shot, by keyboard and mouse where a person would use them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import session_hands  # noqa: E402
from common import PATIENCE, actor, begin, driver, keyed, module, seen, stalls  # noqa: E402


def key_and_drag(blend: str) -> driver.Script:
    """I over an AU slider keys it; dragging it changes its value; ctrl-Z takes both back."""
    for key in list(keyed()):
        bpy.ops.autter.free_au(key=key)
    bpy.ops.ed.undo_push(message="all free")
    yield 0.5
    region = driver.region_of(driver.area_of("VIEW_3D"), "UI")
    found = None
    yield from driver.move(region.x + region.width * 0.35, region.y + region.height * 0.5)
    for _ in range(14):
        driver.event("WHEELDOWNMOUSE", "PRESS")
        yield 0.05
    yield 0.5
    for y in range(region.y + region.height // 2, region.y + 20, -16):  # until an AU lies under the mouse
        yield from driver.move(region.x + region.width * 0.35, y)
        yield from driver.press("I")
        yield 0.2
        if any(name.startswith("AU") for name in keyed()):
            found = y
            break
    assert found is not None, "no slider was keyed"
    (name,) = keyed()
    seen["keyed"] = name
    before = float(actor()[name])
    x = region.x + region.width * 0.35
    driver.event("LEFTMOUSE", "PRESS")
    yield 0.2
    for step in range(1, 9):
        yield from driver.move(x + 8 * step, found)
    driver.event("LEFTMOUSE", "RELEASE")
    yield 0.5
    seen["dragged"] = [before, float(actor()[name])]
    assert actor()[name] != before, "the drag changed nothing"
    yield from driver.move(region.x - 200, region.y + region.height * 0.5)
    for _ in range(4):
        yield from driver.press("Z", ctrl=True)
        yield 0.3
        if not keyed() and abs(float(actor()[name]) - before) < 1e-6:
            break
    seen["undone"] = sorted(keyed())
    assert name not in keyed() and abs(float(actor()[name]) - before) < 1e-6


def predict_and_preview(blend: str) -> driver.Script:
    """Predict and Preview Frame from the search; Blender keeps ticking meanwhile."""
    prediction = module("prediction")
    action = prediction.predicted_action(actor())
    curve_count = len(list(module("compat").iterate_curves(action, action.slots[0])))
    actor().autter.seed += 1
    ticks = stalls()
    yield from driver.search("Predict")
    yield from driver.until(lambda: bool(module("backend_link").book.open), 20, "the prediction to begin")
    seen["asked"] = True
    yield from driver.until(lambda: not module("backend_link").book.open and not module("backend_link").book.finished, PATIENCE, "Predict")
    assert "Predicted" in module("reports").reports[-1].sentence, module("reports").reports[-1]
    seen["curves"] = curve_count
    bpy.context.scene.frame_set(30)
    yield 0.3
    yield from driver.search("Preview Frame")
    yield from driver.until(lambda: module("backdrop").shown_frame(actor()) == 30, PATIENCE, "Preview Frame")
    seen["longest_stall_ms"] = round(ticks() * 1000)
    yield from driver.press("RIGHT_ARROW")
    yield 0.5
    assert module("backdrop").shown_frame(actor()) is None, "the preview stayed when the playhead moved"


def live(blend: str) -> driver.Script:
    """Live on: an edited key updates the rig by itself."""
    assert hasattr(bpy.context.scene.autter, "live"), "no Live switch"
    bpy.context.scene.autter.live = True
    yield from driver.until(lambda: module("backend_link").state().value == "ready", PATIENCE, "the backend")
    bpy.context.scene.frame_set(40)
    place = lambda: module("evaluation").sample_landmarks(actor(), [40]).copy()  # noqa: E731
    before = place()
    bpy.ops.autter.key_au(key="AU12", frame=40, value=5.0)
    bpy.ops.autter.key_au(key="AU26", frame=40, value=4.0)
    began = time.monotonic()
    yield from driver.until(lambda: abs(place() - before).max() > 2.0, PATIENCE, "Live")
    seen["live_seconds"] = round(time.monotonic() - began, 2)
    bpy.context.scene.autter.live = False


def render_and_cancel(blend: str) -> driver.Script:
    """Render to Sequencer with its dialog and Return; progress and frames as they come; Cancel keeps what is done."""
    book, takes = module("backend_link").book, module("takes")
    before = len(takes.strips_in(bpy.context.scene))
    area = driver.area_of("VIEW_3D")
    module("consent").give(actor())
    bpy.context.scene.autter.steps = 8  # slow enough to be cancelled on the way
    yield from driver.search("Render to Sequencer")
    yield 0.8
    seen["dialog"] = True
    yield from driver.move(area.x + area.width * 0.4, area.y + area.height * 0.5)
    yield from driver.press("RET")
    yield from driver.until(lambda: book.running("render") is not None, 30, "the render to begin")
    yield from driver.until(lambda: book.running("render").done >= 3, PATIENCE, "progress")
    job = book.running("render")
    seen["progress"] = [job.done, job.total]
    yield from driver.until(lambda: "AUtter Render" in bpy.data.images, 60, "a frame of the render")
    yield from driver.search("Cancel")
    yield from driver.until(lambda: len(takes.strips_in(bpy.context.scene)) > before, PATIENCE, "the cut take")
    take = takes.take_of(takes.strips_in(bpy.context.scene)[0])
    seen["kept"] = take.frames
    assert take.cut_short and 0 < take.frames < job.total and take.movie.is_file()


def open_during_job(blend: str) -> driver.Script:
    """File > New and File > Open while it renders, by their keys: the result waits, is offered, and comes to its own
    file when that is opened again."""
    book = module("backend_link").book
    module("consent").give(actor())
    bpy.context.scene.frame_end, bpy.context.scene.autter.steps = 12, 8  # slow enough to be left on the way
    bpy.ops.wm.save_mainfile()
    bpy.ops.autter.render("EXEC_DEFAULT")
    yield from driver.until(lambda: book.running("render") is not None, 30, "the render to begin")
    yield from from_menu("N", ctrl=True)
    if bpy.data.filepath:
        yield from driver.press("RET")  # Blender asks whether to save, and Save is what Return does
    yield from driver.until(lambda: not bpy.data.filepath, 30, "a new file")
    assert book.open, "the render was over before the file was left"
    yield from driver.until(lambda: book.parked, PATIENCE, "the parked result")
    seen["parked"] = module("takes_state").read(bpy.context).parked[0].text
    assert not bpy.data.is_dirty, "a result that waits is no change to another file"
    yield from from_file_browser(blend)
    yield from driver.until(lambda: bpy.data.filepath == blend, 30, "the former file")
    yield from driver.until(lambda: not book.parked and not book.finished, 60, "the result to be used")
    assert any(take.frames == 12 for take in map(module("takes").take_of, module("takes").strips_in(bpy.context.scene)))


def from_menu(key: str, **held: bool) -> driver.Script:
    """The first entry of the menu that opens on a key."""
    area = driver.area_of("VIEW_3D")
    yield from driver.move(area.x + area.width * 0.4, area.y + area.height * 0.5)
    yield from driver.press(key, **held)
    yield 0.8
    yield from driver.press("RET")
    yield 0.8


def from_file_browser(path: str) -> driver.Script:
    """File > Open, in the window itself and not in one of its own."""
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"
    area = driver.area_of("VIEW_3D")
    yield from driver.move(area.x + area.width * 0.4, area.y + area.height * 0.5)
    yield from driver.press("O", ctrl=True)
    yield from driver.until(lambda: any(found.type == "FILE_BROWSER" for found in driver.window().screen.areas), 20, "the file browser")
    yield 1.0
    browser = driver.area_of("FILE_BROWSER")
    browser.spaces.active.params.directory = str(Path(path).parent).encode()
    browser.spaces.active.params.filename = Path(path).name
    yield 0.5
    region = driver.region_of(browser)
    yield from driver.move(region.x + region.width * 0.5, region.y + region.height * 0.3)
    yield from driver.press("RET")


def quit_during_job(blend: str) -> driver.Script:
    """Quitting while it renders: Blender ends, and so does the backend."""
    module("consent").give(actor())
    bpy.ops.autter.render("EXEC_DEFAULT")
    book = module("backend_link").book
    yield from driver.until(lambda: book.running("render") and book.running("render").done >= 1, PATIENCE, "progress")
    status: list[int] = []
    client = module("backend_link").current_client()
    original = client.poll

    def poll() -> list[Any]:
        events = original()
        status.extend(int(found.header["pid"]) for found in events if found.kind == "status" and "pid" in found.header)
        return events

    client.poll = poll
    client.request_status()
    yield from driver.until(lambda: status, 30, "the backend's process id")
    seen["pid"] = status[0]


def first_five_minutes(blend: str) -> driver.Script:
    """An empty Blender, New Sample Scene, then an edit and Re-render Edited Range, all through the search as the guide says."""
    book, takes = module("backend_link").book, module("takes")
    bpy.ops.wm.read_homefile(app_template="", use_factory_startup=False)
    yield 1.0
    module("preferences").preferences().output_folder = str(Path(blend).parent / "takes")
    yield from driver.open_tab()
    yield from driver.search("New Sample Scene")
    strips = lambda: takes.strips_in(module("compat").shown_sequencer_scene(bpy.context))  # noqa: E731
    yield from driver.until(lambda: strips() and not book.open and not book.finished, 2 * PATIENCE, "the sample's take")
    seen["first_take"] = takes.take_of(strips()[0]).frames
    assert module("prediction").predicted_range(actor()) and takes.take_of(strips()[0]).movie.is_file()
    bone = actor().pose.bones["LipOuter.00"]
    for frame, x in ((10, 0.0), (18, 0.0), (14, 0.06)):  # both ends first, as the guide says: the edit stays between them
        bpy.context.scene.frame_set(frame)
        bone.location.x += x
        bone.keyframe_insert("location", frame=frame)
    yield 0.5
    yield from driver.search("Re-render Edited Range")
    yield from driver.until(lambda: len(strips()) > 1 and not book.open and not book.finished, 2 * PATIENCE, "the edited take")
    seen["second_take"] = takes.take_of(strips()[0]).note
    assert 3 <= int(seen["second_take"].split()[0]) <= 9, seen["second_take"]
    yield from driver.picture(str(Path(blend).with_name("five_minutes.png")))


def buttons_of_the_guide(blend: str) -> driver.Script:
    """Entries that the guide names, called by their names; Ctrl-Z takes them back."""
    prediction, mine = module("prediction"), lambda: actor().autter
    book = module("backend_link").book
    for name, is_so in (
        ("Fit Rig", lambda: mine().fitting),
        ("Cancel Fit", lambda: not mine().fitting),
        ("Pin Frames", lambda: len(mine().pinned_ranges) == 1),
        ("Unpin Frames", lambda: not len(mine().pinned_ranges)),
        ("Clear Prediction", lambda: prediction.predicted_range(actor()) is None),
        (None, lambda: prediction.predicted_range(actor()) is not None),
        ("Another Take", lambda: mine().seed == 1 and not book.open and not book.finished),
        (None, lambda: mine().seed == 0),
        ("Copy Report", lambda: bpy.context.window_manager.clipboard.startswith("AUtter")),
    ):
        if name is not None:
            yield from driver.search(name)
        for _ in range(4 if name is None else 1):  # the result of a job is a step of undo of its own
            if name is None and not is_so():
                yield from driver.press("Z", ctrl=True)
                yield 0.5
        yield from driver.until(is_so, PATIENCE, name or "undo")
        seen.setdefault("called", []).append(name or "Ctrl-Z")
    yield from driver.picture(str(Path(blend).with_name("buttons.png")))


SCENARIOS = {
    "first_five_minutes": first_five_minutes,
    "buttons_of_the_guide": buttons_of_the_guide,
    "key_and_drag": key_and_drag,
    "predict_and_preview": predict_and_preview,
    "live": live,
    "render_and_cancel": render_and_cancel,
    "open_during_job": open_during_job,
    "quit_during_job": quit_during_job,
    **session_hands.SCENARIOS,
}


def script(name: str, source: str, blend: str, out: str) -> driver.Script:
    yield from begin(source, blend)
    yield from SCENARIOS[name](blend)
    Path(out).write_text(json.dumps({"scenario": name, **seen}), encoding="utf-8")


if __name__ == "__main__":
    words = sys.argv[sys.argv.index("--") + 1 :]
    driver.play(script(*words[:4]))
