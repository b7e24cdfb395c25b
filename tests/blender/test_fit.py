# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit Rig: landmarks put right by hand, kept in the rest pose, in the shot, under the animation; asymmetry of AUs."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender
CORNER = "LipOuter.00.R"


def dragged(addon, actor, name: str, x: float, z: float) -> np.ndarray:
    """Moves a bone by hand; where the landmarks should be now."""
    actor.pose.bones[name].location = (x, 0, z)
    wanted = faces.landmarks(addon)
    wanted[addon.rig_layout.BONE_NAMES.index(name)] += np.float32([x, -z]) * actor.autter.unit
    return wanted


def test_a_kept_fit_is_the_portraits_own(addon, scene_with_voice):
    actor = scene_with_voice
    name = addon.rig_layout.BONE_NAMES[0]
    assert bpy.ops.autter.fit_rig() == {"FINISHED"} and actor.autter.fitting
    wanted = dragged(addon, actor, name, 0.2, -0.1)
    assert bpy.ops.autter.keep_fit() == {"FINISHED"}
    assert np.allclose(addon.actors.rest_landmarks(actor), wanted, atol=1e-2)
    assert actor.pose.bones[name].location.length == 0 and actor.autter.is_fitted and not actor.autter.fitting
    shot = addon.shots.make_shot(bpy.context, actor, range(1, 5))
    assert np.allclose(shot.portrait_landmarks, wanted, atol=1e-2)
    lines = addon.line_mesh.lines_of(actor)
    group = lines.vertex_groups[name].index
    own = [vertex.co for vertex in lines.data.vertices if vertex.groups[0].group == group]
    middle = np.mean([(co.x, co.z) for co in own], axis=0)
    assert np.allclose(middle, addon.actors.rest_units(actor)[0], atol=0.02)


def test_a_fit_leaves_animation_as_it_is(addon, scene_with_voice):
    actor = scene_with_voice
    name = addon.rig_layout.BONE_NAMES[0]
    addon.prediction.write_prediction(actor, faces.track(addon, 48), 1)
    bpy.ops.autter.key_au(key="AU12", frame=1, value=2.0)
    action = actor.animation_data.action
    before = addon.evaluation.sample_landmarks(actor, [10])[0]
    bpy.context.scene.frame_set(10)
    bpy.ops.autter.fit_rig()
    assert actor.animation_data.action is None and np.allclose(addon.evaluation.read_pose(actor), faces.landmarks(addon), atol=1e-2)
    bpy.context.scene.frame_set(20)  # nothing plays during a fit
    assert np.allclose(addon.evaluation.read_pose(actor), faces.landmarks(addon), atol=1e-2)
    wanted = dragged(addon, actor, name, 0.2, -0.1)
    bpy.ops.autter.keep_fit()
    assert actor.animation_data.action == action and actor.animation_data.use_nla
    assert addon.curves.commanded_keys(actor) == {"AU12"}
    after = addon.evaluation.sample_landmarks(actor, [10])[0]
    assert np.allclose(after - before, wanted - faces.landmarks(addon), atol=2e-2)  # the same motion from another place
    bpy.context.scene.frame_set(10)
    assert np.allclose(addon.evaluation.evaluate_landmarks(actor, [10])[0], after, atol=2e-2)


def test_cancel_and_undo(addon, scene_with_voice):
    actor = scene_with_voice
    bpy.ops.autter.fit_rig()
    dragged(addon, actor, addon.rig_layout.BONE_NAMES[0], 0.3, 0.3)
    bpy.ops.autter.cancel_fit()
    assert np.allclose(addon.actors.rest_landmarks(actor), faces.landmarks(addon), atol=1e-2) and not actor.autter.is_fitted
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.autter.place_landmark(bone=addon.rig_layout.BONE_NAMES[3], x=10, y=20)
    bpy.ops.ed.undo_push(message="placed")
    assert np.allclose(addon.actors.rest_landmarks(bpy.data.objects["Ada"])[3], (10, 20), atol=1e-2)
    bpy.ops.ed.undo()
    assert np.allclose(addon.actors.rest_landmarks(bpy.data.objects["Ada"]), faces.landmarks(addon), atol=1e-2)


def test_what_cannot_be_done_says_so(addon, scene_with_voice):
    with pytest.raises(RuntimeError, match="Start with Fit Rig"):
        bpy.ops.autter.keep_fit()
    with pytest.raises(RuntimeError, match="There is no landmark"):
        bpy.ops.autter.place_landmark(bone="Chin", x=0, y=0)
    bpy.ops.autter.fit_rig()
    for operator in (bpy.ops.autter.fit_rig, bpy.ops.autter.predict):
        with pytest.raises(RuntimeError, match="keep or cancel the fit"):
            operator()


def test_handles_help_to_fit_and_follow_it(addon, scene_with_voice):
    actor = scene_with_voice
    bpy.ops.autter.handles(regions={"jaw"}, on=True)
    bpy.ops.autter.fit_rig()
    actor.pose.bones["Handle Jaw"].location.z = -0.2
    bpy.ops.autter.keep_fit()
    chin = addon.bridge.landmarks.CHIN
    way = addon.actors.rest_landmarks(actor)[chin] - faces.landmarks(addon)[chin]
    assert way == pytest.approx((0, 0.2 * actor.autter.unit), abs=0.5)
    handle = actor.data.bones["Handle Jaw"]
    assert handle.head_local.z == pytest.approx(actor.data.bones[addon.rig_layout.BONE_NAMES[chin]].head_local.z - 0.15, abs=1e-3)
    assert actor.pose.bones["Handle Jaw"].location.z == 0 and addon.handle_rig.regions_on(actor) == {"jaw"}


def test_find_landmarks_again(addon, scene_with_voice):
    actor = scene_with_voice
    bpy.ops.autter.place_landmark(bone=addon.rig_layout.BONE_NAMES[0], x=10, y=20)
    found = faces.landmarks(addon) + np.float32([3, 2])
    faces.double(addon, portrait=lambda request: ({"portrait_size": list(faces.SIZE)}, {"landmarks": found}))
    assert bpy.ops.autter.find_landmarks() == {"FINISHED"}
    assert np.allclose(addon.actors.rest_landmarks(actor), found, atol=1e-2) and not actor.autter.is_fitted
    assert len(addon.actors.actors_in(bpy.context.scene)) == 1
    faces.double(addon, portrait=lambda request: ({"portrait_size": [10, 10]}, {"landmarks": found}))
    addon.backend_link.close()
    with pytest.raises(RuntimeError, match="new actor"):
        bpy.ops.autter.find_landmarks()


def test_asymmetry_goes_into_the_shot(addon, scene_with_voice):
    actor, keys = scene_with_voice, addon.bridge.facs.AU_KEYS
    assert "AU12_side" in actor and "AU26_side" not in actor  # a jaw has no sides
    ui = actor.id_properties_ui("AU12_side").as_dict()
    assert (ui["min"], ui["max"]) == (-1, 1) and "left half only" in ui["description"]
    bpy.ops.autter.key_au(key="AU12", frame=1, value=3.0)
    assert addon.shots.make_shot(bpy.context, actor, range(1, 12)).au_asymmetry is None
    bpy.ops.autter.key_au(key="AU12_side", frame=1, value=-1.0)
    bpy.ops.autter.key_au(key="AU12_side", frame=11, value=1.0)
    actor["AU02_side"] = 0.5  # set and not keyed: a standing difference
    sides = addon.shots.make_shot(bpy.context, actor, range(1, 12)).au_asymmetry
    assert sides.shape == (11, 18)
    assert (
        sides[0, keys.index("AU12")] == -1
        and sides[-1, keys.index("AU12")] == 1
        and sides[5, keys.index("AU12")] == pytest.approx(0, abs=0.01)
    )
    assert np.allclose(sides[:, keys.index("AU02")], 0.5)
    with pytest.raises(RuntimeError, match="runs from -1 to 1"):
        bpy.ops.autter.key_au(key="AU12_side", value=2.0)
