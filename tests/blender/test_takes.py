# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: what a render asks for and leaves, redo, edited ranges, comparison, queue, jobs for elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402
import movies  # noqa: E402

pytestmark = pytest.mark.blender
FRAMES = 30


@pytest.fixture
def unhurried(addon, monkeypatch):
    """Operators return at once, as they do with a window; the tests call the tick themselves."""
    monkeypatch.setattr(addon.operators_base.WaitingOperator, "waits", lambda self: self.wait)
    return addon


@pytest.fixture
def ready(addon, tmp_path):
    """A saved file with a predicted actor and a voice, and a backend's double that writes movies. The double."""
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, FRAMES
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    faces.actor(addon, tmp_path)
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    client = faces.double(
        addon,
        predict=faces.predicting(addon),
        render=movies.rendering(addon),
        preview_frame=lambda request: ({}, {"image": np.full((500, 400, 3), 90, np.uint8)}),
    )
    bpy.ops.autter.predict(wait=True)
    return client


def takes_of(addon):
    return [addon.takes.take_of(strip) for strip in addon.takes.strips_in(bpy.context.scene)]


def test_two_blenders_never_write_the_same_take(addon, ready, unhurried, tmp_path):
    """Another Blender has the same file open and renders, too."""
    import os

    reservations, folder = addon.bridge.reservations, tmp_path / "autter"
    folder.mkdir()
    marker = folder / ".Ada_take001.mp4.reserved"
    marker.write_text(f"{addon.bridge.half_written.place_of_this_process()} {os.getppid()}")
    ready.held = True
    bpy.ops.autter.render()
    assert Path(ready.requests[-1].out_path).name == "Ada_take002.mp4" and (folder / ".Ada_take002.mp4.reserved").exists()
    bpy.ops.autter.render()
    assert Path(ready.requests[-1].out_path).name == "Ada_take003.mp4"
    ready.answers["render"] = lambda request: addon.bridge.faults.Fault("disk-full", "Full.", "Make room.")
    ready.held = False
    addon.backend_link.poll()
    addon.backend_link.collect_faults()
    assert {path.name for path in folder.iterdir()} == {marker.name}, "a failed render keeps its name"
    died = addon.bridge.faults.Fault("backend-died", "It died.", "Again.")
    ready.answers["render"] = lambda request: died
    bpy.ops.autter.render()
    addon.backend_link.poll()
    addon.backend_link.collect_faults()
    ready.held = True
    bpy.ops.autter.render()
    assert Path(ready.requests[-1].out_path).name == "Ada_take003.mp4", "the name of a job that is offered again was given away"
    assert bpy.ops.autter.forget_lost() == {"FINISHED"} and not (folder / ".Ada_take002.mp4.reserved").exists()
    addon.backend_link.close()
    assert {path.name for path in folder.iterdir()} == {marker.name} and not reservations._ours


def test_a_render_leaves_a_take_that_remembers(addon, ready, tmp_path):
    actor = bpy.data.objects["Ada"]
    actor.autter.seed = 7
    bpy.context.scene.autter.steps = 1
    bpy.ops.autter.render(wait=True)
    (take,) = takes_of(addon)
    assert take.movie == tmp_path / "autter" / "Ada_take001.mp4" and take.folder == tmp_path / "autter" / "Ada_take001.take"
    assert (take.first, take.frames, take.seed, take.tier, take.cut_short) == (1, FRAMES, 7, "small", False)
    content = addon.takes.read(take)
    assert content.shot.seed == 7 and content.shot.render.steps == 1 and content.shot.portrait == str(tmp_path / "portrait.png")
    assert content.record["actor"] == "Ada" and content.record["blend"] == "shot.blend" and "script" in content.record["consent"]
    assert np.allclose(content.track.landmarks, addon.evaluation.sample_landmarks(actor, range(1, FRAMES + 1)), atol=1e-3)
    described = json.loads((take.folder / "shot.json").read_text())
    assert described["shot"]["portrait"] == "../../portrait.png"  # the project can move
    request = ready.requests[-1]
    assert request.keep_partial and request.reuse is None


def test_redo_is_the_same_whatever_has_changed(addon, ready):
    bpy.ops.autter.render(wait=True)
    first = ready.requests[-1]
    actor, settings = bpy.data.objects["Ada"], bpy.context.scene.autter
    actor.autter.seed, settings.steps, settings.lip_strength = 99, 4, 0.3
    actor.pose.bones[addon.rig_layout.BONE_NAMES[10]].location.x = 0.2
    bpy.ops.autter.redo_take(wait=True)
    again = ready.requests[-1]
    assert again.kind == "render" and again.out_path != first.out_path
    assert again.shot.seed == first.shot.seed and again.shot.render == first.shot.render and again.shot.motion == first.shot.motion
    assert np.array_equal(again.track.landmarks, first.track.landmarks)
    assert [take.name for take in takes_of(addon)] == ["Ada_take002", "Ada_take001"]
    assert addon.takes.read(takes_of(addon)[0]).record["redo_of"] == "Ada_take001"
    bpy.ops.autter.restore_take(take="Ada_take001")
    assert (actor.autter.seed, settings.steps, round(settings.lip_strength, 3)) == (first.shot.seed, 2, 1.0)


def key_bone(addon, actor, frame: int, x: float) -> None:
    """An edit of a bone by so much, on top of the prediction (keying alone would take the prediction off again)."""
    bone = actor.pose.bones[addon.rig_layout.BONE_NAMES[15]]
    bone.keyframe_insert("location", index=0, frame=frame)
    data = actor.animation_data
    for curve in addon.compat.iterate_curves(data.action, addon.compat.assigned_slot(data)):
        for point in curve.keyframe_points:
            if curve.data_path == bone.path_from_id("location") and point.co[0] == frame:
                point.co[1] = x
        curve.update()


def test_only_edited_frames_are_rendered_again(addon, ready, tmp_path):
    actor = bpy.data.objects["Ada"]
    bpy.ops.autter.render(wait=True)
    with pytest.raises(RuntimeError, match="Nothing has changed"):
        bpy.ops.autter.render_edited(wait=True)
    for frame, x in ((9, 0.0), (12, 0.1), (15, 0.0)):
        key_bone(addon, actor, frame, x)
    bpy.context.scene.autter.steps = 4  # of the panel; the take keeps its own
    bpy.ops.autter.render_edited(wait=True)
    request = ready.requests[-1]
    assert request.reuse.path == str(tmp_path / "autter" / "Ada_take001.mp4")
    rendered = sorted(set(range(FRAMES)) - {row for first, end, _ in request.reuse.runs for row in range(first, end)})
    assert rendered == list(range(9, 14))  # rows of the frames 10 to 14: at 9 and 15 the edit is nothing yet
    assert request.shot.render.steps == 2
    newest = takes_of(addon)[0]
    assert newest.name == "Ada_take002" and newest.note == "5 of 30 frames made anew"


def test_an_edited_take_of_another_portrait_or_rate_is_refused(addon, ready):
    bpy.ops.autter.render(wait=True)
    bpy.context.scene.render.fps = 25
    with pytest.raises(RuntimeError, match="24 frames a second"):
        bpy.ops.autter.render_edited(wait=True)
    with pytest.raises(RuntimeError, match="24 frames a second"):
        bpy.ops.autter.redo_take(wait=True)


def test_a_take_whose_folder_is_gone_is_said(addon, ready, tmp_path):
    bpy.ops.autter.render(wait=True)
    folder = tmp_path / "autter" / "Ada_take001.take"
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(RuntimeError, match="remembers how it was made, is gone"):
        bpy.ops.autter.redo_take(wait=True)


def test_cancel_keeps_what_is_done(unhurried, ready):
    addon = unhurried
    ready.held = True
    bpy.ops.autter.render()
    bpy.ops.autter.cancel()
    ready.held, ready.partial = False, 12
    addon.ticks.tick()
    (take,) = takes_of(addon)
    assert take.cut_short and take.frames == 12
    (strip,) = addon.takes.strips_in(bpy.context.scene)
    assert addon.compat.strip_handles(strip) == (1, 13)
    assert "12 of 30" in addon.reports.reports[-1].sentence


def test_renders_queue_up(unhurried, ready):
    addon = unhurried
    ready.held = True
    for _ in range(3):
        assert bpy.ops.autter.render() == {"FINISHED"}
    names = [Path(request.out_path).name for request in ready.requests if request.kind == "render"]
    assert names == ["Ada_take001.mp4", "Ada_take002.mp4", "Ada_take003.mp4"]
    state = addon.takes_state.read(bpy.context)
    assert [row.text for row in state.jobs] == [f"{name}: waits its turn" for name in names]
    ready.held = False
    for _ in range(4):
        addon.ticks.tick()
    assert len(takes_of(addon)) == 3 and len(addon.backend_link.book.endings) == 3
    assert all(ending.good for ending in addon.backend_link.book.endings)


def test_renders_that_waited_when_the_backend_died_are_asked_for_again(unhurried, ready):
    addon = unhurried
    died = addon.bridge.faults.Fault("backend-died", "The backend stopped unexpectedly.", "Start the job again.")
    ready.held = True
    for _ in range(3):
        bpy.ops.autter.render()
    first, *others = list(addon.backend_link.book.open.values())
    ready.held, ready.waiting = False, []
    event = addon.bridge.client.Event
    ready.events = [event("started", first.number), *(event("failed", job.number, died.to_dict()) for job in (first, *others))]
    addon.ticks.tick()
    assert "stopped unexpectedly" in addon.reports.latest_problem().sentence
    assert len(addon.backend_link.book.open) + len(takes_of(addon)) == 2
    for _ in range(3):
        addon.ticks.tick()
    assert len(takes_of(addon)) == 2
    endings = [ending.good for ending in addon.backend_link.book.endings]
    assert sorted(endings) == [False, True, True]


def test_all_actors_of_all_scenes(addon, ready, tmp_path):
    home = bpy.context.scene
    other = bpy.data.scenes.new("Second")
    other.render.fps, other.frame_start, other.frame_end = 24, 5, 14
    bpy.context.window.scene = other
    addon.compat.show_sequencer_scene(bpy.context, other)
    actor = addon.build_actor.build_actor(bpy.context, tmp_path / "portrait.png", faces.landmarks(addon), faces.SIZE, "Grace")
    other.autter.voice_file = str(tmp_path / "voice.wav")
    bpy.ops.autter.predict(wait=True)
    assert addon.prediction.predicted_range(actor) == (5, 14)
    bpy.context.window.scene = home
    addon.compat.show_sequencer_scene(bpy.context, home)
    assert bpy.ops.autter.render_all() == {"FINISHED"}
    asked = [(request.shot.frame_start, request.shot.frame_count) for request in ready.requests if request.kind == "render"]
    assert sorted(asked) == [(1, FRAMES), (5, 10)]


def test_a_movie_for_a_file_that_was_closed_is_not_lost(unhurried, ready, tmp_path):
    addon = unhurried
    bpy.ops.wm.save_mainfile()
    ready.held = True
    bpy.ops.autter.render()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.scene.render.fps = 24
    ready.held = False
    addon.ticks.tick()
    (row,) = addon.takes_state.read(bpy.context).parked
    assert row.usable and "shot.blend" in row.text
    assert bpy.ops.autter.use_parked(job=row.number) == {"FINISHED"}
    (take,) = takes_of(addon)
    assert take.movie == tmp_path / "autter" / "Ada_take001.mp4" and not addon.backend_link.book.parked


def test_side_by_side_and_back(addon, ready):
    scene = bpy.context.scene
    scene.render.resolution_x = 1000
    assert "only one" in addon.operators_takes.no_take(bpy.context, 2) or not takes_of(addon)
    for _ in range(3):
        bpy.ops.autter.render(wait=True)
    newest, middle, oldest = addon.takes.strips_in(scene)
    before = [(strip.mute, strip.transform.scale_x, strip.transform.offset_x, strip.blend_type) for strip in (newest, middle, oldest)]
    bpy.ops.autter.compare_takes(left=oldest.name, right=newest.name)
    assert (oldest.transform.offset_x, newest.transform.offset_x) == (-250, 250) and newest.transform.scale_x == 0.5
    assert middle.mute and not oldest.mute and not newest.mute and addon.compare.is_on(scene)
    bpy.ops.autter.compare_takes()
    assert before == [
        (strip.mute, strip.transform.scale_x, strip.transform.offset_x, strip.blend_type) for strip in (newest, middle, oldest)
    ]
    for strip in (newest, middle, oldest):
        strip.select = False
    bpy.ops.autter.compare_takes()
    assert addon.takes.take_of(newest).name == "Ada_take003" and middle.transform.offset_x == -250


def test_choosing_a_take_uncovers_it(addon, ready):
    for _ in range(2):
        bpy.ops.autter.render(wait=True)
    newest, oldest = addon.takes.strips_in(bpy.context.scene)
    bpy.ops.autter.choose_take(take=oldest.name)
    assert newest.mute and not oldest.mute and bpy.context.scene.sequence_editor.active_strip == oldest
    assert addon.takes_state.read(bpy.context).active == oldest.name
    bpy.ops.autter.choose_take(take=newest.name)
    assert not newest.mute


def test_a_job_goes_out_and_comes_back(addon, ready, tmp_path):
    folder = tmp_path / "job ünïcode"
    bpy.ops.autter.export_job(filepath=str(folder), frame_first=3, frame_last=12)
    content = addon.bridge.shot_folder.read_shot_folder(folder)
    assert (content.shot.frame_start, content.shot.frame_count, len(content.track.landmarks)) == (3, 10, 10)
    assert Path(content.shot.portrait).is_relative_to(folder) and Path(content.shot.voice[0].path).is_relative_to(folder)
    with pytest.raises(RuntimeError, match="not been rendered yet"):
        bpy.ops.autter.add_take(filepath=str(folder / "shot.json"))
    movies.write(folder / content.record["movie"], 10)
    addon.bridge.shot_folder.update_record(folder, {"report": {"frames": 10, "seconds": 1.0}})
    assert bpy.ops.autter.add_take(filepath=str(folder / "shot.json")) == {"FINISHED"}
    (strip,) = addon.takes.strips_in(bpy.context.scene)
    assert addon.compat.strip_handles(strip) == (3, 13) and addon.takes.take_of(strip).actor == "Ada"


def test_the_dialog_asks_once_for_consent(addon, ready):
    actor = bpy.data.objects["Ada"]
    fault = addon.bridge.faults.Fault
    with pytest.raises(fault) as caught:
        addon.consent.require(actor, False)
    assert caught.value.code == "consent-missing"
    bpy.ops.autter.render(wait=True, agreed=True)
    assert addon.consent.is_given(actor) and "right to animate" in addon.takes.read(takes_of(addon)[0]).record["consent"]
    addon.consent.require(actor, False)  # never again


@pytest.mark.parametrize("operator", ["render_all", "export_job"])
def test_everything_that_renders_asks_for_consent(addon, ready, tmp_path, operator):
    actor, given = bpy.data.objects["Ada"], {"filepath": str(tmp_path / "job")} if operator == "export_job" else {}
    for agreed, shown, refused in ((False, False, False), (False, True, True), (True, True, False)):
        actor.autter.consent = ""
        choice = SimpleNamespace(agreed=agreed, **({"asked": True} if shown else {}))
        if refused:
            with pytest.raises(addon.bridge.faults.Fault, match="Nobody has said yet"):
                addon.consent.ask(choice, actor)
        else:
            addon.consent.ask(choice, actor)
        assert addon.consent.is_given(actor) == agreed
    actor.autter.consent = ""
    assert getattr(bpy.ops.autter, operator)(agreed=True, **given) == {"FINISHED"}
    assert addon.consent.is_given(actor)


def test_what_the_dialog_says(addon, ready, monkeypatch, tmp_path):
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    actor, frames = bpy.data.objects["Ada"], range(1, 25)
    before = [line.text for line in addon.estimates.lines(bpy.context, actor, frames)]
    assert "24 frames, 1 to 24, 1.0 s at 24 frames a second" in before and any("first render" in text for text in before)
    bpy.ops.autter.render(wait=True)
    after = " ".join(line.text for line in addon.estimates.lines(bpy.context, actor, frames))
    assert "About 2 s at 12.0 frames a second" in after and "Memory: about" in after and str(tmp_path / "autter") in after
    bpy.context.scene.autter.tier = "sd15"
    memory = lambda: [line.text for line in addon.estimates.lines(bpy.context, actor, frames) if "Memory" in line.text]  # noqa: E731
    monkeypatch.setattr(addon.backend_link.current_client(), "tiers", {}, raising=False)
    assert "not measured here yet" in memory()[0]
    addon.backend_link.current_client().tiers["sd15"] = {"ready": True, "need_gb": {"draft": 5.0}}
    assert not memory()  # it stands beside the choice of quality


def test_preview_over_the_portrait(addon, ready, tmp_path):
    actor, scene = bpy.data.objects["Ada"], bpy.context.scene
    scene.frame_set(9)
    assert bpy.ops.autter.preview_frame(filepath=str(tmp_path / "frame.png")) == {"FINISHED"}
    request = ready.requests[-1]
    assert request.kind == "preview_frame" and request.frame == 8 and len(request.track.landmarks) == FRAMES and not request.shot.voice
    backdrop = addon.backdrop.of(actor)
    assert backdrop.data.name == "AUtter Preview" and addon.backdrop.shown_frame(actor) == 9
    pixel = np.array(backdrop.data.pixels[:4])
    assert np.allclose(pixel, [90 / 255] * 3 + [1], atol=1e-2) and (tmp_path / "frame.png").stat().st_size > 100
    scene.frame_set(10)
    assert backdrop.data == actor.autter.portrait and addon.backdrop.shown_frame(actor) is None
    assert not bpy.ops.autter.show_portrait.poll()


def test_the_file_is_saved_with_the_portrait(addon, ready):
    actor = bpy.data.objects["Ada"]
    bpy.ops.autter.preview_frame()
    assert bpy.ops.autter.show_portrait.poll()
    bpy.ops.wm.save_mainfile()
    assert addon.backdrop.of(actor).data == actor.autter.portrait


def test_live_picture_follows_playhead_and_edits(unhurried, ready):
    addon = unhurried
    actor, scene = bpy.data.objects["Ada"], bpy.context.scene
    scene.frame_set(4)
    asked = lambda: [request for request in ready.requests if request.kind == "preview_frame"]  # noqa: E731
    addon.ticks.tick()
    assert not asked()
    scene.autter.live_picture = True
    addon.ticks.tick()
    assert len(asked()) == 1 and asked()[0].small and asked()[0].shot.render.steps == 1 and len(asked()[0].track.landmarks) == 1
    expected = addon.evaluation.sample_landmarks(actor, [4])[0]
    assert np.allclose(asked()[0].track.landmarks[0], expected, atol=0.05)
    addon.ticks.tick()
    assert addon.backdrop.shown_frame(actor) == 4 and addon.live_picture.cache.count() == 1
    addon.ticks.tick()
    assert len(asked()) == 1  # nothing has changed
    scene.frame_set(5)
    addon.ticks.tick(), addon.ticks.tick()
    scene.frame_set(4)
    assert addon.backdrop.shown_frame(actor) == 4 and len(asked()) == 2  # from the kept frames, without a question
    bone = actor.pose.bones[addon.rig_layout.BONE_NAMES[15]]
    bone.location.x = 0.3
    bone.keyframe_insert("location", index=0, frame=4)
    scene.frame_set(4)
    addon.ticks.tick(), addon.ticks.tick()
    assert len(asked()) == 3
    bpy.ops.autter.show_portrait()
    assert not scene.autter.live_picture and addon.backdrop.shown_frame(actor) is None
    scene.frame_set(6)
    assert not addon.backdrop.alert  # from now on playback costs nothing for it
    addon.live_picture.cache.clear()


def test_the_cache_lets_the_oldest_go(addon, monkeypatch):
    monkeypatch.setattr(addon.live_picture, "MOST_BYTES", 1000)
    cache = addon.live_picture.Cache()
    for frame in range(5):
        cache.put((1, frame), b"x", np.zeros((10, 10, 3), np.uint8))
    assert cache.count() == 3 and cache.get((1, 0)) is None and cache.get((1, 4)) is not None
    cache.put((1, 4), b"y", np.zeros((10, 10, 3), np.uint8))
    assert cache.count() == 3


def test_frames_of_a_render_appear(unhurried, ready):
    addon = unhurried
    ready.held = True
    bpy.ops.autter.render()
    job = next(iter(addon.backend_link.book.open.values()))
    event = addon.bridge.client.Event
    addon.backend_link.book.take_event(event("preview", job.number, {}, {"image": np.full((20, 10, 3), 200, np.uint8)}))
    addon.ticks.tick()
    image = bpy.data.images["AUtter Render"]
    assert tuple(image.size) == (10, 20) and abs(image.pixels[0] - 200 / 255) < 0.01


def test_the_panels_draw_takes_and_jobs(unhurried, ready):
    from test_operators import LayoutDouble

    addon = unhurried
    for _ in range(2):
        bpy.ops.autter.render(wait=True)
    ready.held = True
    bpy.ops.autter.render()
    drawn: list[str] = []
    for name in ("TakesPanel", "QueuePanel"):
        panel = SimpleNamespace(layout=LayoutDouble(drawn))
        getattr(addon.panel_takes, name).draw(panel, bpy.context)
    addon.panel_render.RenderPanel.draw(SimpleNamespace(layout=LayoutDouble(drawn)), bpy.context)
    addon.panel_exchange.ExchangePanel.draw(SimpleNamespace(layout=LayoutDouble(drawn)), bpy.context)
    assert [row.label for row in addon.takes_state.read(bpy.context).takes] == ["take002", "take001"]
    wanted = ("1-30, seed 0", "autter.choose_take", "autter.render_edited", "autter.compare_takes", "autter.export_job", "autter.capture")
    assert not set(wanted) - set(drawn)
    assert "Ada_take003.mp4: waits its turn" in drawn and "autter.preview_frame" in drawn


def test_a_render_under_way_gets_time_to_clean_up(unhurried, ready):
    addon = unhurried
    ready.held = True
    bpy.ops.autter.render()
    job = next(iter(addon.backend_link.book.open.values()))
    addon.backend_link.book.take_event(addon.bridge.client.Event("started", job.number))
    addon.backend_link.close()
    assert ready.close_seconds == addon.backend_link.RENDER_CLOSE_SECONDS > 3  # the backend's own limit for a job to stop
    addon.backend_link.require_client().start()
    addon.backend_link.close()
    assert ready.close_seconds == addon.backend_link.CLOSE_SECONDS
