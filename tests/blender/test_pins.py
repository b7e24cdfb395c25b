# SPDX-License-Identifier: GPL-3.0-or-later
"""Predicting a few frames of many, another take of them, pinned landmarks and pinned frames."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender
LIP = "LipInner.00"


@pytest.fixture
def predicted(addon, tmp_path):
    """An actor with a prediction of frames 1 to 96, and the backend's double. Its motion grows with the seed."""
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 96
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    client = faces.double(addon, predict=faces.predicting(addon))
    bpy.ops.autter.predict()
    return actor, client


def rows(addon, actor) -> np.ndarray:
    """The rig over the scene, (96, 162, 2) pixels."""
    return addon.evaluation.sample_landmarks(actor, range(1, 97))


def test_a_few_frames_fade_into_the_rest(addon, predicted):
    actor, client = predicted
    before = rows(addon, actor)
    client.answers["predict"] = faces.predicting(addon, 12.0)
    bpy.ops.autter.predict(frame_first=40, frame_last=60, fade=4)
    request = client.requests[-1]
    assert request.window == (39, 60) and request.shot.frame_count == 96 and request.shot.frame_start == 1
    after, wanted = rows(addon, actor), faces.track(addon, 96, 12.0).landmarks
    assert addon.prediction.predicted_range(actor) == (1, 96)
    assert np.allclose(after[:39], before[:39], atol=1e-3) and np.allclose(after[60:], before[60:], atol=1e-3)
    assert np.allclose(after[43:56], wanted[43:56], atol=2e-2)
    between = np.abs(after[40:42] - before[40:42]).max()
    assert 0 < between < np.abs(wanted[40:42] - before[40:42]).max()
    steps = np.abs(np.diff(after[:, :, 1], axis=0)).max(1)
    assert steps.max() < 2 * np.abs(np.diff(wanted[:, :, 1], axis=0)).max()  # no jump


def test_another_take_of_a_few_frames(addon, predicted):
    actor, client = predicted
    before = rows(addon, actor)
    scene = bpy.context.scene
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 30, 50
    assert "faded into the rest" in addon.predicting.range_text(bpy.context)
    bpy.ops.autter.another_take()
    other = rows(addon, actor)
    assert actor.autter.seed == 0 and client.requests[-1].shot.seed != 0
    assert not np.allclose(other[35:45], before[35:45], atol=0.5) and np.allclose(other[:29], before[:29], atol=1e-3)
    bpy.ops.autter.another_take()
    assert len({request.shot.seed for request in client.requests}) == 3
    bpy.ops.autter.predict()  # the actor's own take again
    assert np.allclose(rows(addon, actor)[36:43], before[36:43], atol=1e-2) and client.requests[-1].shot.seed == 0


def test_pinned_landmarks_stay(addon, predicted):
    actor, client = predicted
    bone = actor.pose.bones[LIP]
    bone.location.x += 0.25
    bone.keyframe_insert("location", index=0, frame=40)  # an edit above, which stays too
    before = rows(addon, actor)
    bpy.ops.autter.pin_landmarks(bones=LIP)
    assert list(actor.data.collections["Pinned"].bones.keys()) == [LIP]
    client.answers["predict"] = faces.predicting(addon, 12.0)
    bpy.ops.autter.predict()
    after = rows(addon, actor)
    point = addon.rig_layout.BONE_NAMES.index(LIP)
    assert np.allclose(after[:, point], before[:, point], atol=1e-2)
    other = addon.rig_layout.BONE_NAMES.index("LipInner.02.L")
    assert not np.allclose(after[:, other], before[:, other], atol=1)
    bpy.ops.autter.unpin_landmarks(bones=LIP)
    assert "Pinned" not in actor.data.collections
    bpy.ops.autter.predict()
    assert not np.allclose(rows(addon, actor)[:, point], before[:, point], atol=1)


def test_pinned_before_the_first_prediction(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    addon.pins.pin(actor, [LIP])
    action = addon.prediction.write_prediction(actor, faces.track(addon, 10), 1)
    strip = actor.animation_data.nla_tracks["Predicted"].strips[0]
    paths = {curve.data_path for curve in addon.compat.iterate_curves(action, addon.compat.assigned_slot(strip))}
    assert f'pose.bones["{LIP}"].location' not in paths and len(paths) == 161
    point = addon.rig_layout.BONE_NAMES.index(LIP)
    landmarks = addon.evaluation.sample_landmarks(actor, range(1, 11))
    assert np.allclose(landmarks[:, point], faces.landmarks(addon)[point], atol=1e-2)


def test_selected_landmarks_are_pinned(addon, predicted):
    actor, _ = predicted
    with pytest.raises(RuntimeError, match="Select dots"):
        bpy.ops.autter.pin_landmarks()
    for name in (LIP, "Jaw.18"):
        addon.compat.select_bone(actor.pose.bones[name], True)
    bpy.ops.autter.pin_landmarks()
    assert set(actor.data.collections["Pinned"].bones.keys()) == {LIP, "Jaw.18"}
    assert actor.pose.bones[LIP].color.custom.normal[0] == pytest.approx(addon.pins.PINNED_COLOUR[0], abs=0.01)


def test_pinned_frames_stay(addon, predicted):
    actor, client = predicted
    before = rows(addon, actor)
    bpy.ops.autter.pin_range(frame_first=30, frame_last=50)
    client.answers["predict"] = faces.predicting(addon, 12.0)
    bpy.ops.autter.predict(fade=5)
    after, wanted = rows(addon, actor), faces.track(addon, 96, 12.0).landmarks
    assert np.allclose(after[29:50], before[29:50], atol=1e-2)
    assert np.allclose(after[:23], wanted[:23], atol=2e-2) and np.allclose(after[57:], wanted[57:], atol=2e-2)
    assert not np.allclose(after[51], wanted[51], atol=1e-2)


def test_the_list_of_pinned_frames(addon, predicted):
    actor, _ = predicted
    for first, last in ((10, 20), (40, 50), (18, 30)):
        bpy.ops.autter.pin_range(frame_first=first, frame_last=last)
    assert addon.pins.pinned_spans(actor) == [(10, 30), (40, 50)]
    bpy.ops.autter.unpin_range(frame_first=15, frame_last=44)
    assert addon.pins.pinned_spans(actor) == [(10, 14), (45, 50)]
    with pytest.raises(RuntimeError, match="is before frame"):
        bpy.ops.autter.pin_range(frame_first=9, frame_last=5)


def test_clear_prediction(addon, predicted):
    actor, _ = predicted
    bpy.ops.autter.key_au(key="AU12", frame=1, value=2.0)
    assert bpy.ops.autter.clear_prediction() == {"FINISHED"}
    assert addon.prediction.predicted_range(actor) is None and not actor.animation_data.nla_tracks
    assert np.allclose(addon.evaluation.sample_landmarks(actor, [40]), faces.landmarks(addon), atol=1e-2)
    assert addon.curves.commanded_keys(actor) == {"AU12"}
    with pytest.raises(RuntimeError, match="make one with Predict"):
        bpy.ops.autter.clear_prediction()


def test_a_piece_of_nothing_is_refused(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.prediction.write_prediction(actor, faces.track(addon, 10), 1, piece=True)
    assert caught.value.code == "prediction-missing" and addon.prediction.predicted_range(actor) is None


def test_the_rig_shows_a_new_prediction_at_once(addon, predicted):
    actor, client = predicted
    bpy.context.scene.frame_set(8)
    client.answers["predict"] = faces.predicting(addon, 30.0)
    bpy.ops.autter.predict()
    bpy.context.view_layer.update()
    posed = np.array(actor.pose.bones[LIP].matrix.translation)
    point = addon.rig_layout.BONE_NAMES.index(LIP)
    wanted = addon.actors.frame_of(actor).to_units(faces.track(addon, 96, 30.0).landmarks[7, point])
    assert np.allclose(posed[[0, 2]], wanted, atol=1e-3)
