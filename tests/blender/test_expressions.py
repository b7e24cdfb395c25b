# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions as sets of AUs with a strength, AUs that fight, and what the voice filled in: shown, taken over."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender


def test_the_table_says_what_facs_says(addon):
    recipes = addon.recipes.BY_KEY
    formulas = {key: recipe.formula for key, recipe in recipes.items()}
    assert (formulas["joy"], formulas["surprise"], formulas["anger"]) == ("6+12", "1+2+5+26", "4+5+7+23")
    assert formulas["sadness"] == "1+4+15" and formulas["fear"] == "1+2+4+5+7+20+26" and formulas["contempt"] == "L12+L14"
    for recipe in recipes.values():
        assert all(0 < value <= 5 for value in recipe.units.values()) and not addon.recipes.fights(recipe.units)
        assert set(recipe.sides) <= set(addon.rig_layout.SIDE_KEYS)


def test_expressions_blend_with_strength(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    actor["AU12"] = 1.0
    bpy.ops.autter.recipe(recipe="joy", strength=0.5, keyed=False)
    assert (actor["AU06"], actor["AU12"]) == pytest.approx((1.5, 2.5)) and not addon.curves.commanded_keys(actor)
    bpy.ops.autter.recipe(recipe="surprise", strength=0.5, keyed=False)
    assert (actor["AU06"], actor["AU12"], actor["AU01"], actor["AU26"]) == pytest.approx((1.5, 2.5, 2.0, 1.5))  # a mixture
    bpy.ops.autter.recipe(recipe="joy", strength=1.0, keyed=False, add=True)
    assert (actor["AU06"], actor["AU12"]) == pytest.approx((4.5, 5.0))  # on top, within 0 to 5


def test_keyed_at_a_frame(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    bpy.context.scene.frame_set(5)
    bpy.ops.autter.recipe(recipe="joy", strength=0.0)
    bpy.ops.autter.recipe(recipe="joy", strength=1.0, frame=15)
    assert addon.curves.commanded_keys(actor) == {"AU06", "AU12"}
    values, _ = addon.curves.sample_aus(actor, range(5, 16))
    column = addon.bridge.facs.AU_KEYS.index("AU12")
    assert values[0, column] == 0 and values[-1, column] == pytest.approx(4) and 0 < values[5, column] < 4
    bpy.ops.autter.recipe(recipe="contempt", frame=15)
    assert addon.curves.sample_sides(actor, [15])[0, column] == 1


def test_undo_and_redo_of_an_expression(addon, tmp_path):
    name = faces.actor(addon, tmp_path).name
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.autter.recipe(recipe="anger")
    bpy.ops.ed.undo_push(message="anger")
    bpy.ops.ed.undo()
    assert bpy.data.objects[name]["AU04"] == 0 and not addon.curves.commanded_keys(bpy.data.objects[name])
    bpy.ops.ed.redo()
    assert bpy.data.objects[name]["AU04"] == 4


def test_an_expression_of_ones_own_is_an_asset(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    with pytest.raises(RuntimeError, match="no expression to keep"):
        bpy.ops.autter.save_expression(name="Smirk")
    actor["AU12"], actor["AU12_side"], actor["AU07"] = 3.0, 1.0, 1.0
    bpy.ops.autter.save_expression(name="Smirk")
    action = bpy.data.actions["Smirk"]
    assert action.asset_data is not None and action.use_fake_user and addon.own_expressions.as_recipe(action).formula == "7+L12"
    assert not addon.curves.commanded_keys(actor)  # the actor's own action is another
    bpy.ops.autter.neutral()
    bpy.ops.autter.recipe(saved="Smirk", strength=0.5, frame=4)
    values, _ = addon.curves.sample_aus(actor, [4])
    column = addon.bridge.facs.AU_KEYS.index("AU12")
    assert values[0, column] == pytest.approx(1.5) and addon.curves.sample_sides(actor, [4])[0, column] == pytest.approx(0.5)
    addon.panel_state.forget()
    assert addon.panel_state.current(bpy.context).actor.saved_expressions == ("Smirk",)
    actor["AU12"] = 0.0
    actor.pose.apply_pose_from_action(action, evaluation_time=1)  # as Blender's own pose library does
    assert actor["AU12"] == pytest.approx(3.0) and actor["AU12_side"] == pytest.approx(1.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "assets.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    faces.actor(addon, tmp_path)
    with bpy.data.libraries.load(str(tmp_path / "assets.blend"), assets_only=True) as (there, here):
        here.actions = there.actions
    bpy.ops.autter.recipe(saved="Smirk", keyed=False)
    assert bpy.data.objects["Ada"]["AU12"] == pytest.approx(3.0)
    with pytest.raises(RuntimeError, match="no saved expression"):
        bpy.ops.autter.recipe(saved="Grin")


def test_fights_are_said(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    for key in ("AU12", "AU15"):
        bpy.ops.autter.key_au(key=key, frame=1, value=3.0)
    addon.panel_state.forget()
    (sentence,) = addon.panel_state.current(bpy.context).actor.fights
    assert "12 and 15" in sentence and "mouth corners" in sentence
    assert addon.recipes.fights({"AU12": 3.0, "AU15": 0.5}) == ()
    bpy.ops.autter.recipe(recipe="sadness")
    assert "mouth corners" in addon.reports.latest_problem().sentence
    bpy.ops.autter.free_au(key="AU12")
    addon.panel_state.forget()
    assert addon.panel_state.current(bpy.context).actor.fights == ()
    assert actor["AU15"] == 3.0


@pytest.fixture
def filled_in(addon, tmp_path):
    """An actor whose AU12 is keyed and whose other AUs were filled in: AU01 as a hill, the rest flat."""
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.key_au(key="AU12", frame=1, value=3.0)
    aus = np.full((96, 18), 0.7, np.float32)
    aus[:, 0] = 4 * np.exp(-(((np.arange(96) - 40) / 10) ** 2))
    addon.prediction.write_prediction(actor, faces.track(addon, 96, aus=aus), 1)
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 96
    return actor, aus


def test_ghosts_are_the_free_aus(addon, filled_in):
    actor, aus = filled_in
    ghosts = {ghost.key: ghost for ghost in addon.ghosts.ghosts_of(actor)}
    assert set(ghosts) == set(addon.bridge.facs.AU_KEYS) - {"AU12"}
    assert np.allclose(ghosts["AU01"].values, aus[:, 0], atol=1e-5) and ghosts["AU01"].frames[0] == 1
    drawn = {line.key: line for line in addon.ghosts.lines(actor, 20, 50)}
    assert drawn["AU01"].points[0, 0] == 19 and drawn["AU01"].points[-1, 0] == 51 and drawn["AU01"].peak == (41, pytest.approx(4))
    assert "AU01" not in {line.key for line in addon.ghosts.lines(actor, 80, 95)}  # a trace at most
    assert len({line.colour for line in drawn.values()}) == len(drawn) == 17


def test_ghosts_of_selected_landmarks(addon, filled_in):
    """Their predicted motion is drawn where the graph editor shows curves as small as theirs; AUs where it shows 0 to 5."""
    actor, column = filled_in[0], addon.bridge.landmarks.LIP_INNER_LOWER
    name = addon.rig_layout.BONE_NAMES[column]
    for bone in actor.pose.bones:
        addon.compat.select_bone(bone, bone.name == name)
    motion = addon.prediction.read_motion(actor)
    close = {line.key: line for line in addon.ghosts.lines(actor, 1, 96, height=0.3)}
    assert close.keys() == {f"{name} 2"} and close[f"{name} 2"].words == f"{name} Z predicted"  # across it hardly moves
    assert np.allclose(close[f"{name} 2"].points[:, 1], motion.points[:, column, 1], atol=1e-6)
    assert all(line.key.startswith("AU") for line in addon.ghosts.lines(actor, 1, 96))
    for bone in actor.pose.bones:
        addon.compat.select_bone(bone, True)
    assert addon.ghosts.lines(actor, 1, 96, height=0.3) == []  # a tangle


def test_words_of_ghosts_do_not_cover_each_other(addon):
    written = []
    places = [addon.ghosts.free_place(written, *at, 80, 10) for at in ((10, 50), (40, 55), (50, 52), (200, 50))]
    assert places[0] == (10, 50) and places[3] == (200, 50) and [x for x, _ in places] == [10, 40, 50, 200]
    for place, (left, bottom, right, top) in enumerate(written):
        assert not any(a < right and left < c and b < top and bottom < d for a, b, c, d in written[:place])


def test_a_ghost_is_taken_over_as_few_keys(addon, filled_in):
    actor, aus = filled_in
    bpy.ops.autter.take_over_au(key="AU01")
    assert addon.curves.commanded_keys(actor) == {"AU01", "AU12"}
    curve = next(curve for curve in addon.curves.animator_curves(actor) if curve.data_path == '["AU01"]')
    assert 4 <= len(curve.keyframe_points) < 30
    values, _ = addon.curves.sample_aus(actor, range(1, 97))
    assert np.abs(values[:, 0] - aus[:, 0]).max() < 0.5
    assert actor["AU04"] == 0.0 and {ghost.key for ghost in addon.ghosts.ghosts_of(actor)}.isdisjoint({"AU01", "AU12"})
    with pytest.raises(RuntimeError, match="keyed already"):
        bpy.ops.autter.take_over_au(key="AU12")


def test_all_ghosts_in_a_range(addon, filled_in):
    actor, _ = filled_in
    bpy.ops.autter.take_over_au(frame_first=10, frame_last=20)
    assert addon.curves.commanded_keys(actor) == set(addon.bridge.facs.AU_KEYS)
    curve = next(curve for curve in addon.curves.animator_curves(actor) if curve.data_path == '["AU01"]')
    assert min(point.co[0] for point in curve.keyframe_points) == 10 and max(point.co[0] for point in curve.keyframe_points) == 20


def test_nothing_to_take_over(addon, tmp_path):
    faces.actor(addon, tmp_path)
    with pytest.raises(RuntimeError, match="press Predict first"):
        bpy.ops.autter.take_over_au(key="AU01")
