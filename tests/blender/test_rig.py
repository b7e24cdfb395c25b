# SPDX-License-Identifier: GPL-3.0-or-later
"""The actor: bones, properties, lines, portrait; poses written and read back; AU curves with the keyed/free mask."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402
from mathutils import Vector  # noqa: E402

pytestmark = pytest.mark.blender


def test_actor_is_complete(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    layout = addon.rig_layout
    handles = addon.handle_layout.HANDLE_NAMES
    assert len(actor.data.bones) == 163 + len(handles)
    assert sorted(actor.data.collections.keys()) == sorted([*layout.COLLECTION_COLOURS, "Handles"])
    assert sum(len(kind.bones) for kind in actor.data.collections) == 162 + len(handles)
    for name in layout.BONE_NAMES:
        assert actor.pose.bones[name].lock_location[:] == (False, True, False)
    lines = bpy.data.objects["Ada Lines"]
    assert {group.name for group in lines.vertex_groups} == set(layout.BONE_NAMES)
    assert all(len(vertex.groups) == 1 and vertex.groups[0].weight == 1 for vertex in lines.data.vertices)
    backdrop = bpy.data.objects["Ada Portrait"]
    assert backdrop.type == "EMPTY" and backdrop.data.size[:] == faces.SIZE
    for key in addon.bridge.facs.AU_KEYS:
        ui = actor.id_properties_ui(key).as_dict()
        assert (ui["min"], ui["max"]) == (0, 5) and "Muscle" in ui["description"]
    assert set(layout.HEAD_KEYS) <= set(actor.keys()) and actor["head_scale"] == 1.0


def test_backdrop_lies_under_the_landmarks(addon, tmp_path):
    """A portrait pixel is where the rig says that it is: the image's corners at the frame's corners."""
    actor = faces.actor(addon, tmp_path)
    bpy.context.view_layer.update()
    backdrop, frame = bpy.data.objects["Ada Portrait"], addon.actors.frame_of(actor)
    width, height = faces.SIZE
    scale, shift = backdrop.empty_display_size / max(width, height), backdrop.empty_image_offset
    for corner, pixel in (((0, 0), (0, height)), ((1, 1), (width, 0))):
        there = backdrop.matrix_world @ Vector(((corner[0] + shift[0]) * width * scale, (corner[1] + shift[1]) * height * scale, 0))
        assert np.allclose((there.x, there.z), frame.to_units(np.float32(pixel)), atol=1e-4)
        assert there.y > 0  # behind the rig as seen from the front


def test_pose_round_trip(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    rest = faces.landmarks(addon)
    assert np.allclose(addon.actors.rest_landmarks(actor), rest, atol=1e-2)
    wanted = rest + np.random.default_rng(1).normal(0, 9, rest.shape).astype(np.float32)
    addon.evaluation.write_pose(actor, wanted)
    assert np.allclose(addon.evaluation.read_pose(actor), wanted, atol=1e-2)
    bpy.context.view_layer.update()
    assert np.allclose(addon.evaluation.sample_landmarks(actor, [1]), wanted, atol=1e-2)


def test_moving_the_actor_is_no_motion_of_the_face(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    root = actor.pose.bones["root"]
    root.location, root.scale, root.rotation_euler = (3, 0, 1), (2, 2, 2), (0, 0.4, 0)
    actor.location = (5, 5, 5)
    assert np.allclose(addon.evaluation.sample_landmarks(actor, [1]), faces.landmarks(addon), atol=5e-2)


def test_lines_follow_their_bones(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    wanted = faces.landmarks(addon) + np.float32([10, -20])
    addon.evaluation.write_pose(actor, wanted)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    lines = bpy.data.objects["Ada Lines"]
    posed = lines.evaluated_get(depsgraph).to_mesh()
    moved = np.array([(after.co - before.co)[:] for after, before in zip(posed.vertices, lines.data.vertices)])
    unit = actor.autter.unit
    assert np.allclose(moved, (10 / unit, 0, 20 / unit), atol=1e-4)


def test_names_pair_left_and_right(addon):
    names, mirror = addon.rig_layout.BONE_NAMES, addon.bridge.landmarks.MIRROR
    assert len(set(names)) == 162
    for point, name in enumerate(names):
        assert bpy.utils.escape_identifier(name) == name
        assert names[mirror[point]] == {"L": name[:-1] + "R", "R": name[:-1] + "L"}.get(name[-1], name)


def test_keyed_and_free(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    keys = addon.bridge.facs.AU_KEYS
    for frame, value in ((1, 0.0), (11, 4.0), (21, 0.0)):
        bpy.ops.autter.key_au(key="AU12", frame=frame, value=value)
    actor["AU04"] = 3.0  # set but not keyed: still free
    driver = actor.driver_add('["AU01"]').driver
    driver.expression = "1.5"
    bpy.ops.autter.key_au(key="head_yaw", frame=1, value=10)
    values, keyed = addon.curves.sample_aus(actor, range(1, 22))
    assert [key for key, on in zip(keys, keyed[0]) if on] == ["AU01", "AU12"]
    assert keyed.shape == (21, 18) and (keyed == keyed[0]).all()
    assert values[10, keys.index("AU12")] == pytest.approx(4) and values[0, keys.index("AU12")] == pytest.approx(0)
    assert 0 < values[5, keys.index("AU12")] < 4
    assert np.allclose(values[:, keys.index("AU01")], 1.5) and (values[:, keys.index("AU04")] == 0).all()
    head, head_keyed = addon.curves.sample_head(actor, range(1, 22))
    assert np.allclose(head, [10, 0, 0, 0, 0, 1]) and head_keyed[0].tolist() == [True] + [False] * 5
    bpy.ops.autter.free_au(key="AU12")
    assert addon.curves.commanded_keys(actor) == {"AU01", "head_yaw"}


def test_quick_and_evaluated_sampling_agree(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    for key, item in (("AU12", 4.0), ("head_scale", 1.3), ("head_pitch", -8.0)):
        for frame, value in ((1, item), (9, item / 2), (30, item)):
            bpy.ops.autter.key_au(key=key, frame=frame, value=value)
    keys = ("AU12", "head_scale", "head_pitch", "AU45")
    quick = addon.curves._sample(actor, keys, list(range(1, 31)))
    slow = addon.evaluation.sample_properties(actor, keys, range(1, 31))
    assert addon.curves._deciding_curves(actor) is not None
    assert np.allclose(quick.values, slow.values, atol=1e-5)


def test_kept_samples_follow_every_kind_of_edit(addon, tmp_path):
    """What Live reads again after each edit is kept by what decides it: nothing stale, and nothing worked out twice."""
    actor, frames = faces.actor(addon, tmp_path), list(range(0, 40))
    for frame, value in ((1, 0.0), (12, 4.0), (30, 1.0)):
        bpy.ops.autter.key_au(key="AU12", frame=frame, value=value)
    curve = next(iter(addon.curves.animator_curves(actor)))
    known = set()
    for name, value in (
        ("co", (12.0, 3.0)), ("handle_right_type", "FREE"), ("handle_right", (20.0, 5.0)), ("interpolation", "ELASTIC"),
        ("period", 5.0), ("amplitude", 4.0), ("easing", "EASE_IN"), ("interpolation", "BACK"), ("back", 3.0), ("interpolation", "CONSTANT"),
    ):  # fmt: skip
        setattr(curve.keyframe_points[1], name, value)  # looked up anew: ``update`` may move the keys in memory
        curve.update()
        kept = addon.curve_samples.values_of(curve, frames)
        assert kept.tolist() == [curve.evaluate(frame) for frame in frames], name
        assert addon.curve_samples.values_of(curve, frames) is kept
        known.add(kept.tobytes())
    assert len(known) > 7
    curve.extrapolation = "LINEAR"
    curve.keyframe_points[1].interpolation = "BEZIER"
    curve.modifiers.new("NOISE")
    for strength in (1.0, 2.0):  # no key tells of these
        curve.modifiers[0].strength = strength
        assert addon.curve_samples.values_of(curve, frames).tolist() == [curve.evaluate(frame) for frame in frames]


def test_only_what_is_driven_is_evaluated(addon, tmp_path, monkeypatch):
    actor, asked = faces.actor(addon, tmp_path), []
    for frame, value in ((1, 1.0), (20, 3.0)):
        bpy.ops.autter.key_au(key="AU12", frame=frame, value=value)
    actor.driver_add('["AU04"]').driver.expression = "frame / 10"
    plain = addon.evaluation.sample_properties(actor, addon.bridge.facs.AU_KEYS, range(1, 21)).values
    original = addon.curves.sample_properties
    monkeypatch.setattr(addon.curves, "sample_properties", lambda who, keys, frames: asked.append(keys) or original(who, keys, frames))
    values, keyed = addon.curves.sample_aus(actor, range(1, 21))
    addon.curves.sample_head(actor, range(1, 21))
    assert asked == [("AU04",)] and keyed[0].sum() == 2
    assert np.allclose(values, np.where(keyed, plain, 0), atol=1e-5) and values[9, addon.bridge.facs.AU_INDEX["AU04"]] == pytest.approx(1.0)


def test_an_animators_own_strip_commands_too(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.key_au(key="AU12", frame=1, value=2.0)
    data = actor.animation_data
    action, slot = data.action, addon.compat.assigned_slot(data)
    data.action = None
    mine = data.nla_tracks.new()
    addon.compat.assign_slot(mine.strips.new("smile", 1, action), slot)
    values, keyed = addon.curves.sample_aus(actor, range(1, 4))
    column = addon.bridge.facs.AU_KEYS.index("AU12")
    assert keyed[:, column].all() and np.allclose(values[:, column], 2.0)
    mine.mute = True
    assert not addon.curves.sample_aus(actor, range(1, 4))[1][:, column].any()


@pytest.mark.parametrize("value, code", [(float("nan"), "au-not-finite"), (9.0, "au-range"), (-1.0, "au-range")])
def test_bad_key(addon, tmp_path, value, code):
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.key_au(key="AU12", frame=7, value=1.0)
    curve = next(iter(addon.curves.animator_curves(actor)))
    curve.keyframe_points[0].co[1] = value
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.curves.sample_aus(actor, range(1, 5))
    assert caught.value.code == code and "AU12" in caught.value.sentence and "frame 7" in caught.value.sentence


def test_overshoot_between_good_keys_is_clamped(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    for frame, value in ((1, 0.0), (5, 5.0), (9, 5.0), (13, 0.0)):
        bpy.ops.autter.key_au(key="AU12", frame=frame, value=value)
    curve = next(iter(addon.curves.animator_curves(actor)))
    for point in curve.keyframe_points:
        point.handle_left_type = point.handle_right_type = "AUTO"
    curve.update()
    assert max(curve.evaluate(frame) for frame in range(1, 14)) > 5
    values, _ = addon.curves.sample_aus(actor, range(1, 14))
    assert values.max() == 5 and values.min() == 0


@pytest.mark.parametrize("expression, code", [("sqrt(0 - 1)", "driver-broken"), ("nothing_here * 2", "driver-broken")])
def test_bad_driver(addon, tmp_path, expression, code):
    actor = faces.actor(addon, tmp_path)
    driver = actor.driver_add('["AU12"]').driver
    driver.expression = expression
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.curves.sample_aus(actor, range(1, 5))
    assert caught.value.code == code and "AU12" in caught.value.sentence


def test_driver_out_of_range_is_clamped(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    actor.driver_add('["AU12"]').driver.expression = "frame"
    values, keyed = addon.curves.sample_aus(actor, range(1, 13))
    column = addon.bridge.facs.AU_KEYS.index("AU12")
    assert keyed[:, column].all() and values[:, column].tolist() == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5]


@pytest.mark.parametrize(
    "fps, base, exact",
    [(24, 1.0, Fraction(24)), (24, 1.001, Fraction(24000, 1001)), (30, 1.001, Fraction(30000, 1001)), (25, 2.0, Fraction(25, 2))],
)
def test_frame_rate_is_exact(addon, fps, base, exact):
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, base
    assert addon.compat.frame_rate(scene) == exact


def test_missing_bone_is_said(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    actor.data.bones["Jaw.18"].name = "chin"
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.actors.rest_landmarks(actor)
    assert caught.value.code == "rig-incomplete" and "Jaw.18" in caught.value.sentence


def test_unknown_au_and_value_out_of_range(addon, tmp_path):
    faces.actor(addon, tmp_path)
    with pytest.raises(RuntimeError, match="AU99"):
        bpy.ops.autter.key_au(key="AU99")
    with pytest.raises(RuntimeError, match="runs from 0 to 5"):
        bpy.ops.autter.key_au(key="AU12", value=9.0)


def test_portrait_follows_the_blend(addon, tmp_path):
    """The portrait is an image datablock: its path goes with the file, and a packed one needs no file at all."""
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    actor = faces.actor(addon, tmp_path / "a")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a" / "shot.blend"))
    bpy.ops.file.make_paths_relative()
    assert actor.autter.portrait.filepath == "//portrait.png"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "b" / "shot.blend"))
    assert addon.actors.portrait_path(actor).resolve() == tmp_path / "a" / "portrait.png"
    actor.autter.portrait.pack()
    content = (tmp_path / "a" / "portrait.png").read_bytes()
    (tmp_path / "a" / "portrait.png").unlink()
    assert addon.actors.portrait_path(actor).read_bytes() == content
    actor.autter.portrait.unpack(method="REMOVE")
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.actors.portrait_path(actor)
    assert caught.value.code == "portrait-missing" and "portrait.png" in caught.value.sentence
