# SPDX-License-Identifier: GPL-3.0-or-later
"""Region handles: what they move, that quick sampling agrees with Blender, switching on and off."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender
ALL = ("mouth", "jaw", "brows", "lids", "gaze")


def moved_by(addon, actor, name: str, x: float, z: float) -> np.ndarray:
    """How far every landmark goes when a handle is moved, (162, 2) armature units."""
    actor.pose.bones[name].location = (x, 0, z)
    bpy.context.view_layer.update()
    quick, slow = addon.evaluation.sample_landmarks(actor, [1])[0], addon.evaluation.evaluate_landmarks(actor, [1])[0]
    assert np.allclose(quick, slow, atol=0.05)
    actor.pose.bones[name].location = (0, 0, 0)
    return (slow - faces.landmarks(addon)) * (1, -1) / actor.autter.unit


def test_every_handle_moves_its_neighbours_with_falloff(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    addon.handle_rig.switch_on(actor, ALL)
    found = addon.handle_layout.handles(addon.actors.rest_units(actor))
    assert {handle.name for handle in found} == set(addon.handle_layout.HANDLE_NAMES)
    for handle in found:
        way = moved_by(addon, actor, handle.name, 0.2, -0.1)
        weights = np.zeros(162)
        weights[list(handle.weights)] = list(handle.weights.values())
        assert np.allclose(way, weights[:, None] * (0.2, -0.1), atol=1e-3)
        assert weights.max() > 0.8 and (weights == 0).sum() > 100
        if handle.region in ("mouth", "jaw", "brows"):
            assert len(np.unique(weights.round(2))) > 4  # a falloff, not a switch


def test_handles_of_the_mouth_share_it(addon, tmp_path):
    """All four moved alike move every lip point alike."""
    actor = faces.actor(addon, tmp_path)
    total = np.zeros(162)
    for handle in addon.handle_layout.handles(addon.actors.rest_units(actor)):
        if handle.region == "mouth":
            total[list(handle.weights)] += list(handle.weights.values())
    regions = addon.bridge.landmarks.REGIONS
    lips = [*regions["lips_outer"], *regions["lips_inner"]]
    assert np.allclose(total[lips], 1.0, atol=0.05) and np.delete(total, lips).max() == 0


def test_handles_are_mirrored(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    mirror = addon.bridge.landmarks.MIRROR
    rest = addon.actors.rest_units(actor)
    rest = (rest + rest[list(mirror)] * (-1, 1)) / 2  # an exactly even face
    by_name = {handle.name: handle for handle in addon.handle_layout.handles(rest.astype(np.float32))}
    for name, handle in by_name.items():
        twin = by_name[{"L": name[:-1] + "R", "R": name[:-1] + "L"}.get(name[-1], name) if name[-2] == "." else name]
        assert {mirror[point]: round(weight, 3) for point, weight in handle.weights.items()} == pytest.approx(
            {point: round(weight, 3) for point, weight in twin.weights.items()}, abs=2e-3
        )


def test_a_keyed_handle_lies_over_the_prediction(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    addon.handle_rig.switch_on(actor, ["jaw"])
    addon.prediction.write_prediction(actor, faces.track(addon, 48), 1)
    bone = actor.pose.bones["Handle Jaw"]
    for frame, z in ((1, 0.0), (20, -0.3), (40, 0.0)):
        bone.location.z = z
        bone.keyframe_insert("location", index=2, frame=frame)
    bpy.context.scene.frame_set(20)  # Blender leaves the evaluated value on the bone
    frames = list(range(1, 48, 4))
    quick = addon.evaluation.sample_landmarks(actor, frames)
    assert np.allclose(quick, addon.evaluation.evaluate_landmarks(actor, frames), atol=2e-2)
    chin = addon.bridge.landmarks.CHIN
    assert quick[5, chin, 1] - quick[0, chin, 1] > 0.2 * actor.autter.unit


def test_switching_off_keeps_what_is_in_use(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    hidden = addon.compat.is_bone_hidden
    assert addon.handle_rig.regions_on(actor) == frozenset()
    assert all(hidden(actor.pose.bones[name]) for name in addon.handle_layout.HANDLE_NAMES)
    assert bpy.ops.autter.handles(regions={"mouth", "lids"}, on=True) == {"FINISHED"}
    assert addon.handle_rig.regions_on(actor) == {"mouth", "lids"}
    assert not hidden(actor.pose.bones["Handle Upper Lip"]) and hidden(actor.pose.bones["Handle Jaw"])
    actor.pose.bones["Handle Upper Lip"].location.z = 0.1
    bpy.ops.autter.handles(regions={"mouth", "lids"}, on=False)
    assert addon.handle_rig.regions_on(actor) == {"mouth"}
    assert "Handle Upper Lip" in addon.reports.latest_problem().sentence
    actor.pose.bones["Handle Upper Lip"].location.z = 0.0
    bpy.ops.autter.handles(regions={"mouth"}, on=False)
    assert not any(len(bone.constraints) for bone in actor.pose.bones)


def test_an_older_actor_gets_its_handles(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    with addon.modes.edit_bones(actor) as bones:
        for name in addon.handle_layout.HANDLE_NAMES:
            bones.remove(bones[name])
    assert actor.mode == "POSE"
    bpy.ops.autter.handles(regions={"brows"}, on=True)
    assert set(addon.handle_layout.HANDLE_NAMES) <= set(actor.data.bones.keys()) and actor.mode == "POSE"


def test_rings_go_with_the_face(addon, tmp_path):
    """They are drawn beside a landmark, wherever the prediction has it; after a fit too."""
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.handles()
    names, rest = addon.rig_layout.BONE_NAMES, addon.actors.rest_units(actor)
    for handle in addon.handle_layout.handles(rest):
        bone = actor.pose.bones[handle.name]
        assert bone.custom_shape_transform.name == names[handle.anchor] and handle.weights[handle.anchor] > 0.5
        drawn = rest[handle.anchor] + np.array(bone.custom_shape_translation)[[0, 2]]
        assert np.allclose(drawn, handle.place, atol=1e-5)  # at rest where its bone is
    corner = actor.pose.bones["Handle Mouth Corner.L"].custom_shape_transform.name
    assert corner == names[addon.bridge.landmarks.MOUTH_CORNER_LEFT]
    before = tuple(actor.pose.bones["Handle Jaw"].custom_shape_translation)
    chin = addon.actors.rest_landmarks(actor)[addon.bridge.landmarks.CHIN]
    bpy.ops.autter.place_landmark(bone=names[addon.bridge.landmarks.CHIN], x=float(chin[0]), y=float(chin[1]) + 20)
    assert np.allclose(tuple(actor.pose.bones["Handle Jaw"].custom_shape_translation), before, atol=0.05)


def test_a_face_laid_out_like_none_has_handles_too(addon):
    """Landmarks that a person dragged anywhere: no handle fails, some move nothing."""
    for seed in range(20):
        rest = np.random.default_rng(seed).uniform(-1, 1, (162, 2)).astype(np.float32)
        found = addon.handle_layout.handles(rest if seed else np.zeros_like(rest))
        assert len(found) == len(addon.handle_layout.HANDLE_NAMES) and all(np.isfinite(handle.aside).all() for handle in found)
