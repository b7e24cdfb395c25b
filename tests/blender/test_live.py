# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: an edit asks for the rows that it changed, the answer lands with the next tick, and undo brings the former one back."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender


@pytest.fixture
def live_scene(addon, tmp_path):
    """An actor, a voice, Live on and the first prediction written. The actor and the backend's double."""
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 96
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    for frame, value in ((1, 0.0), (29, 0.0), (30, 0.0), (41, 3.0), (52, 0.0), (53, 0.0), (90, 0.0)):
        bpy.ops.autter.key_au(key="AU12", frame=frame, value=value)
    client = faces.double(addon, predict=faces.predicting(addon))
    scene.autter.live = True
    settle(addon)
    return actor, client


def settle(addon, ticks: int = 6) -> None:
    """Ticks until everything asked for has arrived."""
    for _ in range(ticks):
        addon.ticks.tick()


def edit_key(actor, addon, frame: int, value: float) -> None:
    """Moves one key of AU12, as an animator does in the graph editor."""
    curve = next(curve for curve in addon.curves.animator_curves(actor) if curve.data_path == '["AU12"]')
    point = next(point for point in curve.keyframe_points if round(point.co[0]) == frame)
    point.co[1] = value
    curve.update()
    actor.animation_data.action.update_tag()
    bpy.context.view_layer.update()


def test_the_first_time_everything_is_predicted(addon, live_scene):
    actor, client = live_scene
    assert len(client.requests) == 1 and client.requests[0].edited is None
    assert addon.prediction.predicted_range(actor) == (1, 96)


def test_nothing_new_asks_for_nothing(addon, live_scene):
    actor, client = live_scene
    actor.update_tag()
    bpy.context.view_layer.update()
    settle(addon)
    actor["AU04"] = 3.0  # free: it commands nothing
    actor.update_tag()
    bpy.context.view_layer.update()
    settle(addon)
    assert len(client.requests) == 1


def test_an_edit_asks_for_its_rows_only(addon, live_scene):
    actor, client = live_scene
    before = addon.evaluation.sample_landmarks(actor, range(1, 97))
    edit_key(actor, addon, 41, 5.0)
    client.answers["predict"] = faces.predicting(addon, 12.0)
    addon.ticks.tick()
    request = client.requests[-1]
    assert len(client.requests) == 2 and request.window is None
    first, end = request.edited
    assert 29 <= first <= 40 <= end <= 53  # the key and what curves towards it
    settle(addon)
    after = addon.evaluation.sample_landmarks(actor, range(1, 97))
    quiet = np.r_[0 : first - faces.REACH, min(96, end + faces.REACH) : 96]
    assert np.allclose(after[quiet], before[quiet], atol=1e-3)
    assert not np.allclose(after[45], before[45], atol=0.5)


def test_the_answer_lands_with_the_tick_after_it(addon, live_scene):
    actor, client = live_scene
    edit_key(actor, addon, 41, 5.0)
    client.held = True
    addon.ticks.tick()
    client.answers["predict"] = faces.predicting(addon, 20.0)
    client.held = False
    addon.ticks.tick()  # the double answers in this tick's poll, and this tick writes it
    wanted = faces.track(addon, 96, 20.0).landmarks[45]
    assert np.allclose(addon.evaluation.sample_landmarks(actor, [46])[0], wanted, atol=2e-2)


def test_a_further_edit_gives_up_the_former(addon, live_scene):
    actor, client = live_scene
    client.held = True
    edit_key(actor, addon, 41, 5.0)
    addon.ticks.tick()
    edit_key(actor, addon, 90, 2.0)
    addon.ticks.tick()
    first, second = client.requests[1:]
    assert client.cancelled == [first.job] and second.edited[0] <= first.edited[0] and second.edited[1] >= 90  # both edits
    client.held = False
    settle(addon)
    assert len(client.requests) == 3 and not [report for report in addon.reports.reports if report.level == "ERROR"]


def test_knobs_and_voice_ask_for_everything(addon, live_scene):
    actor, client = live_scene
    bpy.context.scene.autter.lip_strength = 1.5
    bpy.context.scene.update_tag()
    bpy.context.view_layer.update()
    settle(addon)
    assert client.requests[-1].edited is None and client.requests[-1].shot.motion.lip_strength == 1.5
    scene = bpy.context.scene
    if scene.sequence_editor and len(addon.compat.strips_of(scene.sequence_editor)):
        addon.compat.trim_strip(addon.compat.strips_of(scene.sequence_editor)[0], 12, 0)
    else:
        scene.autter.voice_frame = 9
    scene.update_tag()
    bpy.context.view_layer.update()
    settle(addon)
    assert len(client.requests) == 3 and client.requests[-1].shot.voice != client.requests[-2].shot.voice


def test_undo_brings_the_former_prediction_back(addon, live_scene):
    name = live_scene[0].name
    client = live_scene[1]
    bpy.ops.ed.undo_push(message="start")
    before = addon.evaluation.sample_landmarks(bpy.data.objects[name], range(1, 97))
    edit_key(bpy.data.objects[name], addon, 41, 5.0)
    bpy.ops.ed.undo_push(message="edit")
    client.answers["predict"] = faces.predicting(addon, 12.0)
    settle(addon)
    assert not np.allclose(addon.evaluation.sample_landmarks(bpy.data.objects[name], range(1, 97)), before, atol=0.5)
    asked = len(client.requests)
    bpy.ops.ed.undo()  # one step: the edit, not the prediction that followed from it
    actor = bpy.data.objects[name]
    settle(addon)
    assert addon.curves.sample_aus(actor, [41])[0].max() == pytest.approx(3)
    assert np.allclose(addon.evaluation.sample_landmarks(actor, range(1, 97)), before, atol=1e-3)
    assert len(client.requests) == asked  # what was undone is known: nothing is asked anew


def test_live_honours_pins_and_edits_above(addon, live_scene):
    actor, client = live_scene
    point = addon.rig_layout.BONE_NAMES.index("LipInner.00")
    before = addon.evaluation.sample_landmarks(actor, range(1, 97))[:, point]
    addon.pins.pin(actor, ["LipInner.00"])
    client.answers["predict"] = faces.predicting(addon, 12.0)
    edit_key(actor, addon, 41, 5.0)
    settle(addon)
    assert len(client.requests) == 2
    assert np.allclose(addon.evaluation.sample_landmarks(actor, range(1, 97))[:, point], before, atol=1e-3)


def test_live_waits_and_says_for_what(addon, live_scene):
    actor, client = live_scene
    bpy.ops.autter.fit_rig()
    bpy.context.view_layer.update()
    settle(addon)
    assert "fit" in addon.live.trouble
    bpy.ops.autter.cancel_fit()
    edit_key(actor, addon, 41, 9.0)  # out of range: said in the panel, no flood of reports
    settle(addon)
    assert "AU12" in addon.live.trouble and not addon.reports.latest_problem()
    edit_key(actor, addon, 41, 4.0)
    settle(addon)
    assert not addon.live.trouble and len(client.requests) == 2
    bpy.context.scene.autter.live = False
    edit_key(actor, addon, 41, 2.0)
    settle(addon)
    assert len(client.requests) == 2


def test_ticks_come_quickly_only_while_live(addon, live_scene):
    assert addon.ticks.tick() == addon.ticks.LIVE_SECONDS <= 0.02
    bpy.context.scene.autter.live = False
    settle(addon, 1)
    assert addon.ticks.tick() == addon.ticks.IDLE_SECONDS


def test_a_failure_is_not_repeated_for_ever(addon, live_scene):
    actor, client = live_scene
    fault = addon.bridge.faults.Fault("backend-died", "The backend ended unexpectedly.", "Start the job again.")
    client.answers["predict"] = lambda request: fault
    edit_key(actor, addon, 41, 5.0)
    for _ in range(4):
        actor.update_tag()
        bpy.context.view_layer.update()
        settle(addon, 2)
    assert len(client.requests) == 2 and "ended unexpectedly" in addon.live.trouble
    client.answers["predict"] = faces.predicting(addon)
    edit_key(actor, addon, 41, 4.0)
    settle(addon)
    assert len(client.requests) == 3 and not addon.live.trouble


def test_redo_of_an_edit_predicts_it_again(addon, live_scene):
    name, client = live_scene[0].name, live_scene[1]
    bpy.ops.ed.undo_push(message="start")
    edit_key(bpy.data.objects[name], addon, 41, 5.0)
    bpy.ops.ed.undo_push(message="edit")
    client.answers["predict"] = faces.predicting(addon, 12.0)
    settle(addon)
    edited = addon.evaluation.sample_landmarks(bpy.data.objects[name], range(1, 97))
    bpy.ops.ed.undo()
    settle(addon)
    bpy.ops.ed.redo()
    settle(addon)
    assert np.allclose(addon.evaluation.sample_landmarks(bpy.data.objects[name], range(1, 97)), edited, atol=1e-3)
