# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operator that edits the actor can be undone and redone, from the menu's point of view and from a script's."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender

EDITS = {
    "key_au": {"key": "AU12", "value": 3.0},
    "free_au": {"key": "AU04"},
    "recipe": {"recipe": "joy"},
    "sides": {"way": "MIRROR"},
    "neutral": {},
    "handles": {"regions": {"mouth", "jaw"}},
    "fit_rig": {},
    "place_landmark": {"bone": "Jaw.18", "x": 200.0, "y": 450.0},
    "pin_landmarks": {"bones": "Jaw.18"},
    "pin_range": {"frame_first": 3, "frame_last": 9},
    "clear_prediction": {},
    "prediction_to_keys": {},
    "take_over_au": {"key": "AU01"},
    "predict": {},
    "another_take": {},
}


@pytest.fixture
def actor_name(addon, tmp_path):
    """A scene with a keyed, predicted actor and a voice; a step of undo before the test. Names outlive undo."""
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 24
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path, 1.0)))
    faces.double(addon, predict=faces.predicting(addon))
    bpy.ops.autter.key_au(key="AU04", frame=1, value=2.0)
    bpy.ops.autter.key_au(key="AU04_side", frame=1, value=0.5)
    bpy.ops.autter.predict()
    bpy.ops.ed.undo_push(message="before")
    return actor.name


def state_of(addon, name: str) -> tuple[object, ...]:
    """What an edit could change, as plain data."""
    actor = bpy.data.objects[name]
    curves = sorted(
        (curve.data_path, curve.array_index, tuple(tuple(p.co) for p in curve.keyframe_points))
        for curve in (*addon.curves.animator_curves(actor), *addon.prediction.predicted_curves(actor))
    )
    motion = addon.prediction.read_motion(actor)
    return (
        tuple((key, round(float(value), 5)) for key, value in sorted(actor.items()) if isinstance(value, (int, float))),
        tuple(curves),
        None if motion is None else motion.points.round(4).tobytes(),
        addon.actors.rest_landmarks(actor).round(2).tobytes(),
        addon.handle_rig.regions_on(actor),
        tuple(addon.pins.pinned_spans(actor)),
        addon.pins.pinned_mask(actor).tobytes(),
        (actor.autter.fitting, actor.autter.seed),
    )


@pytest.mark.parametrize("operator", EDITS)
def test_undo_and_redo(addon, actor_name, operator):
    faces.double(addon, predict=faces.predicting(addon, 11.0))
    addon.backend_link.close()
    before = state_of(addon, actor_name)
    assert getattr(bpy.ops.autter, operator)(**EDITS[operator]) == {"FINISHED"}
    bpy.ops.ed.undo_push(message=operator)
    after = state_of(addon, actor_name)
    assert after != before
    bpy.ops.ed.undo()
    assert state_of(addon, actor_name) == before
    bpy.ops.ed.redo()
    assert state_of(addon, actor_name) == after


def test_saved_and_read_again(addon, actor_name, tmp_path):
    """Handles, pins, sides, fit and keys are in the file, not in the session."""
    bpy.ops.autter.handles(regions={"brows"})
    bpy.ops.autter.pin_landmarks(bones="Jaw.18")
    bpy.ops.autter.pin_range(frame_first=3, frame_last=9)
    bpy.ops.autter.place_landmark(bone="Jaw.18", x=200.0, y=450.0)
    before = state_of(addon, actor_name)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert state_of(addon, actor_name) == before


def test_a_fit_under_way_survives_saving(addon, actor_name, tmp_path):
    bpy.ops.autter.fit_rig()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    actor = bpy.data.objects[actor_name]
    assert actor.autter.fitting and actor.animation_data.action is None
    bpy.ops.autter.cancel_fit()
    assert addon.curves.commanded_keys(actor) == {"AU04", "AU04_side"}


def test_sides(addon, actor_name):
    actor = bpy.data.objects[actor_name]
    column = addon.bridge.facs.AU_KEYS.index("AU04")
    bpy.ops.autter.sides(way="MIRROR")
    assert addon.curves.sample_sides(actor, [1])[0, column] == pytest.approx(-0.5)
    bpy.ops.autter.sides(way="EVEN")
    assert addon.curves.sample_sides(actor, [1]) is None and addon.curves.commanded_keys(actor) == {"AU04"}


def test_menus_list_operators_that_exist(addon, actor_name):
    """What the menus list the search finds; each entry must be an operator with the properties that it is given."""
    from test_operators import LayoutDouble

    drawn: list[str] = []
    from types import SimpleNamespace

    for menu in addon.menus_rig.CLASSES:
        menu.draw(SimpleNamespace(layout=LayoutDouble(drawn)), bpy.context)
    assert {"autter.fit_rig", "autter.recipe", "autter.key_au", "autter.take_over_au", "autter.pin_range"} <= set(drawn)
    assert np.count_nonzero([name == "autter.key_au" for name in drawn]) == 24
