# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on against the real backend in its own process, with the shipped weights and sample."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = [
    pytest.mark.blender,
    pytest.mark.skipif(not os.environ.get("AUTTER_BACKEND_PYTHON"), reason="AUTTER_BACKEND_PYTHON names no backend"),
]
FRAMES = 24


@pytest.fixture
def shot(addon, tmp_path):
    """The sample's actor and voice, one second long, in a saved file. The actor."""
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 11, 10 + FRAMES
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert bpy.ops.autter.new_actor(filepath=str(addon.sample_scene.sample_file(addon.sample_scene.PORTRAITS))) == {"FINISHED"}
    bpy.ops.autter.add_voice(filepath=str(addon.sample_scene.sample_file(addon.sample_scene.RECORDINGS)))
    return addon.actors.require_actor(bpy.context)


def test_portrait_predict_render(addon, shot, tmp_path):
    actor, scene = shot, bpy.context.scene
    table = addon.bridge.landmarks
    rest = addon.actors.rest_landmarks(actor)
    width, height = actor.autter.portrait_size
    assert (rest > 0).all() and (rest < (width, height)).all()
    assert rest[table.EYE_OUTER_LEFT, 0] > rest[table.EYE_OUTER_RIGHT, 0]  # the subject's left is the picture's right
    assert rest[table.CHIN, 1] > rest[table.LIP_INNER_LOWER, 1] > rest[table.NOSE_TIP, 1] > rest[table.EYE_INNER_LEFT, 1]

    for frame, value in ((11, 0.0), (22, 4.0), (34, 4.0)):
        bpy.ops.autter.key_au(key="AU12", frame=frame, value=value)
    assert bpy.ops.autter.predict(wait=True) == {"FINISHED"}
    assert addon.prediction.predicted_range(actor) == (11, 10 + FRAMES)
    moved = addon.evaluation.sample_landmarks(actor, range(11, 11 + FRAMES))
    unit = actor.autter.unit
    gap = moved[:, table.LIP_INNER_LOWER, 1] - moved[:, table.LIP_INNER_UPPER, 1]
    assert np.ptp(gap) > 0.01 * unit  # the lips move with the voice
    smile = np.hypot(*(moved[:, table.MOUTH_CORNER_LEFT] - moved[:, table.MOUTH_CORNER_RIGHT]).T)
    assert smile[-6:].mean() > smile[:3].mean()
    assert np.abs(moved - rest).max() < 0.8 * unit

    scene.autter.steps = 1
    assert bpy.ops.autter.render(wait=True) == {"FINISHED"}
    strips = list(addon.compat.strips_of(scene.sequence_editor))
    (picture,) = [strip for strip in strips if strip.type == "MOVIE"]
    movie = Path(bpy.path.abspath(picture.filepath))
    assert movie.parent == tmp_path / "autter" and movie.stat().st_size > 10_000 and picture.filepath.startswith("//")
    left, right = addon.compat.strip_handles(picture)
    assert (left, right) == (11, 11 + FRAMES)
    record = json.loads(picture["autter_take"])
    assert record["frames"] == FRAMES and record["actor"] == actor.name and record["report"]["seconds"] > 0
    assert sorted(path.name for path in movie.parent.iterdir()) == [f"{movie.stem}.mp4", f"{movie.stem}.take"]  # nothing half-written
    assert addon.panel_state.current(bpy.context).backend_word == "Ready"


def test_preview_edited_range_and_capture(addon, shot, tmp_path):
    """The preview is the render's own frame; an edit re-renders its frames alone; the movie drives the AUs."""
    actor, scene = shot, bpy.context.scene
    scene.autter.steps = 1
    bpy.ops.autter.predict(wait=True)
    bpy.ops.autter.render(wait=True)
    name = addon.rig_layout.BONE_NAMES[addon.bridge.landmarks.MOUTH_CORNER_LEFT]
    bone = actor.pose.bones[name]
    for frame in (14, 16, 18):
        scene.frame_set(frame)
        bone.keyframe_insert("location", index=2, frame=frame)
    data = actor.animation_data
    (curve,) = [found for found in addon.compat.iterate_curves(data.action, addon.compat.assigned_slot(data)) if name in found.data_path]
    for point, value in zip(curve.keyframe_points, (0.0, 0.08, 0.0)):
        point.co[1] = value
    curve.update()
    bpy.ops.autter.render_edited(wait=True)
    newest = addon.takes.take_of(addon.takes.strips_in(scene)[0])
    assert newest.note == "3 of 24 frames made anew" and newest.frames == FRAMES
    bpy.ops.autter.preview_frame(frame=20, filepath=str(tmp_path / "frame.png"))
    image = bpy.data.images["AUtter Preview"]
    assert tuple(image.size) == tuple(actor.autter.portrait_size) and np.ptp(np.array(image.pixels[:4000])) > 0.05

    bpy.ops.autter.capture(filepath=str(newest.movie), speech=True, tolerance=0.3)
    assert addon.curves.commanded_keys(actor)


def test_no_face_is_said(addon, tmp_path):
    with pytest.raises(RuntimeError, match="face"):
        bpy.ops.autter.new_actor(filepath=str(faces.portrait(tmp_path)))
    assert addon.reports.latest_problem().code == "face-none" and not addon.actors.actors_in(bpy.context.scene)
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with pytest.raises(RuntimeError):
        bpy.ops.autter.new_actor(filepath=str(text))
    assert addon.reports.latest_problem().code == "image-unreadable"


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_killed_backend_is_said_and_replaced(addon, tmp_path, monkeypatch):
    portrait = addon.sample_scene.sample_file(addon.sample_scene.PORTRAITS)
    monkeypatch.setattr(addon.operators_base.WaitingOperator, "waits", lambda self: False)
    bpy.ops.autter.backend_start()
    client = addon.backend_link.current_client()
    pids: list[int] = []
    while not pids:
        time.sleep(0.05)  # a backend has to answer everything that it is asked, however often
        for event in client.poll():
            pids += [event.header["pid"]] if event.kind == "status" and "pid" in event.header else []
        client.request_status()
    bpy.ops.autter.new_actor(filepath=str(portrait))
    job = next(iter(addon.backend_link.book.open.values()))
    while not job.started:  # one that only waits would be sent again to the next backend
        time.sleep(0.001)
        addon.backend_link.poll()
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.backend_link.wait_for(job, 30)
    assert caught.value.code == "backend-died" and caught.value.hint
    assert not addon.actors.actors_in(bpy.context.scene)
    bpy.ops.autter.new_actor(filepath=str(portrait))
    addon.backend_link.wait_for(next(iter(addon.backend_link.book.open.values())), 120)


def test_a_python_without_the_backend(addon, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTTER_BACKEND_PYTHON", sys.executable)
    monkeypatch.delenv("AUTTER_SOURCE", raising=False)
    with pytest.raises(RuntimeError, match="backend"):
        bpy.ops.autter.new_actor(filepath=str(faces.portrait(tmp_path)))
    report = addon.reports.latest_problem()
    assert report.code == "backend-start-failed" and "preferences" in report.hint and "No module named" in report.log_tail
    assert addon.panel_state.current(bpy.context).backend_word == "Error"


def test_live_pieces_sides_and_fit(addon, shot):
    """A live edit gives what predicting anew would give, one half smiles alone, and a fitted landmark is where motion starts."""
    actor = shot
    for frame, value in ((11, 0.0), (20, 0.0), (24, 3.0), (28, 0.0), (34, 0.0)):
        bpy.ops.autter.key_au(key="AU12", frame=frame, value=value)
    bpy.ops.autter.predict(wait=True)
    frames = range(11, 11 + FRAMES)
    curve = next(curve for curve in addon.curves.animator_curves(actor) if curve.data_path == '["AU12"]')
    curve.keyframe_points[2].co[1] = 5.0
    curve.update()
    job = addon.predicting.request_edit(bpy.context, actor, addon.shots.make_shot(bpy.context, actor, frames))
    assert job.details["piece"] and job.details["edited"][0] > 0
    addon.use_results.use(bpy.context, addon.backend_link.wait_for(job))
    live = addon.evaluation.sample_landmarks(actor, frames)
    assert addon.predicting.request_edit(bpy.context, actor, addon.shots.make_shot(bpy.context, actor, frames)) is None
    bpy.ops.autter.predict(wait=True)
    assert np.allclose(live, addon.evaluation.sample_landmarks(actor, frames), atol=0.05)

    table, unit = addon.bridge.landmarks, actor.autter.unit
    both = addon.evaluation.sample_landmarks(actor, [24])[0]
    bpy.ops.autter.key_au(key="AU12_side", frame=11, value=1.0)
    bpy.ops.autter.predict(wait=True)
    left = addon.evaluation.sample_landmarks(actor, [24])[0]
    changed = np.hypot(*(left - both).T) / unit
    assert changed[table.MOUTH_CORNER_RIGHT] > 3 * changed[table.MOUTH_CORNER_LEFT] and changed[table.MOUTH_CORNER_RIGHT] > 0.01

    rest = addon.actors.rest_landmarks(actor)
    name = addon.rig_layout.BONE_NAMES[table.CHIN]
    bpy.ops.autter.place_landmark(bone=name, x=float(rest[table.CHIN, 0]), y=float(rest[table.CHIN, 1] + 0.1 * unit))
    bpy.ops.autter.predict(wait=True)
    fitted = addon.evaluation.sample_landmarks(actor, [24])[0]
    assert (fitted - left)[table.CHIN, 1] > 0.07 * unit
