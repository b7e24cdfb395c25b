# SPDX-License-Identifier: GPL-3.0-or-later
"""An actor that is linked from another file, as studios do: overridden it keys, predicts and renders; what needs its bones says so."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender


@pytest.fixture
def overridden(addon, tmp_path):
    """An actor of another file as a library override in a scene with a voice."""
    faces.actor(addon, tmp_path)
    library = tmp_path / "ada.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 24
    with bpy.data.libraries.load(str(library), link=True) as (there, here):
        here.collections = [name for name in there.collections if name == "Ada"]
    linked = here.collections[0]
    scene.collection.children.link(linked)
    made = linked.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
    actor = next(found for found in made.all_objects if addon.actors.is_actor(found))
    bpy.context.view_layer.objects.active = actor
    scene.autter.actor = actor
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path, 1.0)))
    return actor


def test_an_overridden_actor_keys_and_predicts(addon, overridden, tmp_path):
    actor = overridden
    assert actor.override_library is not None and addon.actors.require_actor(bpy.context) == actor
    client = faces.double(addon, predict=faces.predicting(addon))
    bpy.ops.autter.key_au(key="AU12", frame=5, value=3.0)
    assert bpy.ops.autter.predict() == {"FINISHED"}
    assert client.requests[-1].shot.au_keyed[:, addon.bridge.facs.AU_INDEX["AU12"]].all()
    assert addon.prediction.predicted_range(actor) == (1, 24)
    wanted = faces.track(addon, 24).landmarks
    assert np.allclose(addon.evaluation.sample_landmarks(actor, range(1, 25)), wanted, atol=0.05)
    bpy.ops.autter.recipe(recipe="joy", frame=10)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    actor = next(found for found in bpy.data.objects if addon.actors.is_actor(found) and found.override_library is not None)
    assert {"AU12", "AU06"} <= addon.curves.commanded_keys(actor)
    assert addon.prediction.predicted_range(actor) == (1, 24)
    assert np.allclose(addon.evaluation.sample_landmarks(actor, range(1, 25)), wanted, atol=0.05)


def test_what_needs_its_bones_says_so(addon, overridden):
    bpy.ops.autter.key_au(key="AU12", frame=5, value=3.0)
    for operator, given in (("fit_rig", {}), ("place_landmark", {"bone": "Jaw.18", "x": 200.0, "y": 450.0})):
        with pytest.raises(RuntimeError, match="linked from another file"):
            getattr(bpy.ops.autter, operator)(**given)
    assert not overridden.autter.fitting and addon.curves.commanded_keys(overridden) == {"AU12"}
    bpy.ops.autter.handles(regions={"mouth"})  # ties are the scene's own
    assert addon.handle_rig.regions_on(overridden) == {"mouth"}
