# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators, ticks and handlers with a backend's double: results at the right place, or parked; faults as sentences."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender


@pytest.fixture
def unhurried(addon, monkeypatch):
    """Operators return at once, as they do with a window; the tests call the tick themselves."""
    monkeypatch.setattr(addon.operators_base.WaitingOperator, "waits", lambda self: self.wait)
    return addon


def ready_scene(addon, tmp_path):
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 30
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    return actor


def test_new_actor_waits_in_background(addon, tmp_path):
    client = faces.double(addon)
    assert bpy.ops.autter.new_actor(filepath=str(faces.portrait(tmp_path)), actor_name="Ada") == {"FINISHED"}
    actor = bpy.data.objects["Ada"]
    assert addon.actors.require_actor(bpy.context) == actor and bpy.context.scene.autter.actor == actor
    assert np.allclose(addon.actors.rest_landmarks(actor), faces.landmarks(addon), atol=1e-2)
    assert client.requests[0].path == tmp_path / "portrait.png"


def test_new_actor_arrives_with_a_tick(unhurried, tmp_path):
    addon = unhurried
    faces.double(addon)
    bpy.ops.autter.new_actor(filepath=str(faces.portrait(tmp_path)))
    assert not addon.actors.actors_in(bpy.context.scene)
    assert addon.operators_actor.AUTTER_OT_new_actor.disabled_reason(bpy.context)  # one at a time
    assert addon.ticks.tick() <= addon.ticks.IDLE_SECONDS
    assert [actor.name for actor in addon.actors.actors_in(bpy.context.scene)] == ["Portrait"]


def test_result_finds_its_scene(unhurried, tmp_path):
    addon = unhurried
    faces.double(addon)
    home = bpy.context.scene
    bpy.ops.autter.new_actor(filepath=str(faces.portrait(tmp_path)))
    bpy.context.window.scene = bpy.data.scenes.new("Elsewhere")
    addon.ticks.tick()
    assert len(addon.actors.actors_in(home)) == 1 and not addon.actors.actors_in(bpy.data.scenes["Elsewhere"])
    assert bpy.context.window.scene.name == "Elsewhere"


def test_prediction_follows_a_renamed_actor(unhurried, tmp_path):
    addon = unhurried
    actor = ready_scene(addon, tmp_path)
    faces.double(addon, predict=faces.predicting(addon))
    bpy.ops.autter.predict()
    actor.name = "Grace"
    addon.ticks.tick()
    assert addon.prediction.predicted_action(actor) is not None


def test_prediction_of_a_deleted_actor_is_said(unhurried, tmp_path):
    addon = unhurried
    actor = ready_scene(addon, tmp_path)
    faces.double(addon, predict=faces.predicting(addon))
    bpy.ops.autter.predict()
    bpy.data.objects.remove(actor)
    addon.ticks.tick()
    assert "is gone" in addon.reports.latest_problem().sentence
    assert not addon.backend_link.book.finished


def test_predicting_anew_gives_up_the_former(unhurried, tmp_path):
    addon = unhurried
    actor = ready_scene(addon, tmp_path)
    client = faces.double(addon, predict=faces.predicting(addon))
    client.held = True
    bpy.ops.autter.predict()
    bpy.ops.autter.predict()
    assert client.cancelled == [1]
    client.held = False
    addon.ticks.tick()
    assert addon.prediction.predicted_action(actor) is not None and not addon.backend_link.book.open


def test_results_of_another_file_wait_for_it(unhurried, tmp_path):
    addon = unhurried
    ready_scene(addon, tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    client = faces.double(addon, predict=faces.predicting(addon))
    client.held = True
    bpy.ops.autter.predict()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    faces.actor(addon, tmp_path)  # another actor of the same name, in another file
    client.held = False
    addon.ticks.tick()
    assert addon.prediction.predicted_action(bpy.data.objects["Ada"]) is None
    assert len(addon.backend_link.book.parked) == 1 and "shot.blend" in addon.panel_state.current(bpy.context).parked[0]
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    addon.ticks.tick()
    assert addon.prediction.predicted_action(bpy.data.objects["Ada"]) is not None
    assert not addon.backend_link.book.parked


def test_failed_open_parks_nothing(unhurried, tmp_path):
    addon = unhurried
    actor = ready_scene(addon, tmp_path)
    client = faces.double(addon, predict=faces.predicting(addon))
    client.held = True
    bpy.ops.autter.predict()
    (tmp_path / "broken.blend").write_bytes(b"no blend file")
    with pytest.raises(RuntimeError):
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "broken.blend"))
    client.held = False
    addon.ticks.tick()
    assert addon.prediction.predicted_action(actor) is not None


def test_cancel(unhurried, tmp_path):
    addon = unhurried
    actor = ready_scene(addon, tmp_path)
    client = faces.double(addon, predict=faces.predicting(addon))
    client.held = True
    bpy.ops.autter.predict()
    bpy.ops.autter.cancel()
    assert addon.panel_state.current(bpy.context).job_text == "Cancelling"
    client.held = False
    addon.ticks.tick()
    assert addon.prediction.predicted_action(actor) is None
    assert addon.reports.latest_problem().level == "WARNING"
    assert not bpy.ops.autter.cancel.poll()


def test_progress_in_the_panel(unhurried, tmp_path):
    addon = unhurried
    ready_scene(addon, tmp_path)
    client = faces.double(addon, predict=faces.predicting(addon))
    client.held = True
    bpy.ops.autter.predict()
    job = addon.backend_link.book.running()
    job.note_progress({"done": 15, "total": 60, "eta_s": 12.2, "phase": "frames"})
    addon.panel_state.forget()
    state = addon.panel_state.current(bpy.context)
    assert state.job_fraction == 0.25 and state.job_text == "Frames, 15 of 60, 12 s left"


def test_stop_ends_jobs_with_a_sentence(unhurried, tmp_path):
    addon = unhurried
    ready_scene(addon, tmp_path)
    client = faces.double(addon, predict=faces.predicting(addon))
    client.held = True
    bpy.ops.autter.predict()
    bpy.ops.autter.backend_stop()
    assert client.closed == 1 and not addon.backend_link.book.open
    assert addon.reports.latest_problem().sentence == "The backend was stopped."
    assert addon.panel_state.current(bpy.context).backend_word == "Off"


def test_start_and_free_memory(addon):
    client = faces.double(addon)
    assert bpy.ops.autter.backend_start() == {"FINISHED"}
    assert not bpy.ops.autter.backend_start.poll()
    assert bpy.ops.autter.free_memory() == {"FINISHED"} and client.freed == 1


def test_undo_of_an_arrived_result(unhurried, tmp_path):
    addon = unhurried
    ready_scene(addon, tmp_path)
    faces.double(addon, predict=faces.predicting(addon))
    bpy.ops.ed.undo_push(message="ready")
    bpy.ops.autter.predict()
    addon.ticks.tick()
    bpy.ops.ed.undo_push(message="end")
    assert addon.prediction.predicted_action(bpy.data.objects["Ada"]) is not None
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    assert addon.prediction.predicted_action(bpy.data.objects["Ada"]) is None


def test_no_portrait_no_actor_no_voice(addon, tmp_path):
    faces.double(addon)
    with pytest.raises(RuntimeError, match="no portrait"):
        bpy.ops.autter.new_actor(filepath=str(tmp_path / "nobody.png"))
    assert not bpy.ops.autter.predict.poll()
    faces.actor(addon, tmp_path)
    assert "voice" in addon.operators_predict.AUTTER_OT_predict.disabled_reason(bpy.context)
    bpy.context.scene.autter.voice_file = str(faces.voice(tmp_path))
    assert not addon.operators_predict.AUTTER_OT_predict.disabled_reason(bpy.context)
    assert "Predict first" in addon.operators_render.AUTTER_OT_render.disabled_reason(bpy.context)


def test_no_face(addon, tmp_path):
    fault = addon.bridge.faults.Fault
    faces.double(
        addon,
        portrait=lambda request: fault(
            "face-none", "No face was found in portrait.png.", "Use a picture that shows one face from the front."
        ),
    )
    with pytest.raises(RuntimeError, match="No face was found"):
        bpy.ops.autter.new_actor(filepath=str(faces.portrait(tmp_path)))
    assert not bpy.data.objects and not bpy.data.armatures
    report = addon.reports.latest_problem()
    assert report.code == "face-none" and report.hint.startswith("Use a picture")
    text = addon.reports.as_text({"backend": "ready"})
    assert "No face was found" in text and "Blender" in text
    addon.reports.note_fault(
        addon.bridge.faults.Fault("image-missing", f"There is no file {tmp_path / 'Secret Film' / 'a face.png'}.", "-")
    )
    log = tmp_path / "Secret Film" / "backend.log"
    log.parent.mkdir()
    log.write_text("an old line\n" * 2000 + f"job 3 read {tmp_path}/Secret Film/a voice.wav\n")
    told = addon.reports.as_text({"device": "CPU", "log": str(log)}, log)
    assert "job 3 read" in told and "voice.wav" in told and told.count("an old line") < 500
    assert "Secret" not in told and str(tmp_path) not in told and "face.png" in told and "CPU" in told and "image-missing" in told
    bpy.ops.autter.clear_report()
    assert addon.reports.latest_problem() is None


def test_wrong_python(addon, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTTER_BACKEND_PYTHON", str(tmp_path / "no-python"))
    assert not bpy.ops.autter.new_actor.poll()
    reason = addon.operators_actor.AUTTER_OT_new_actor.disabled_reason(bpy.context)
    assert "no-python" in reason and "preferences" in reason
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.backend_link.require_client()
    assert caught.value.code == "backend-missing" and "Set Up Backend" in caught.value.hint
    addon.preferences.preferences().backend_python = str(tmp_path / "chosen")
    assert "chosen" in addon.backend_link.backend_missing()
    addon.preferences.preferences().backend_python = ""


def test_a_backend_on_another_computer(addon, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTTER_BACKEND_PYTHON", str(tmp_path / "no-python"))
    chosen = addon.preferences.preferences()
    try:
        chosen.remote, chosen.remote_address, chosen.remote_token = True, "127.0.0.1:47001", "0" * 64
        assert not addon.backend_link.backend_missing()  # none is needed here
        client = addon.backend_link.require_client()
        assert isinstance(client, addon.bridge.remote.RemoteClient) and client._place.address == "tcp:127.0.0.1:47001"
        chosen.remote_address = "box.example.org:47001"
        with pytest.raises(addon.bridge.faults.Fault) as caught:
            addon.backend_link.require_client()
        assert caught.value.code == "remote-address" and "tunnel" in caught.value.hint
    finally:
        chosen.remote, chosen.remote_token = False, ""
        addon.backend_link.close()
    assert addon.backend_link.backend_missing()


def test_a_backend_that_dies(addon, tmp_path):
    ready_scene(addon, tmp_path)
    fault = addon.bridge.faults.Fault
    client = faces.double(
        addon,
        predict=lambda request: fault(
            "backend-died", "The backend ended unexpectedly (signal SIGKILL).", "Start the job again.", "last words"
        ),
    )
    with pytest.raises(RuntimeError, match="ended unexpectedly"):
        bpy.ops.autter.predict()
    assert "last words" in addon.reports.as_text({})
    client.answers["predict"] = faces.predicting(addon)
    assert bpy.ops.autter.predict() == {"FINISHED"}
    assert addon.reports.latest_problem() is None  # success takes the message away


def test_disable_during_a_job(unhurried, tmp_path):
    addon = unhurried
    ready_scene(addon, tmp_path)
    client = faces.double(addon, predict=faces.predicting(addon))
    client.held = True
    bpy.ops.autter.predict()
    bpy.ops.preferences.addon_disable(module=addon.package)
    assert client.closed == 1
    actor = bpy.data.objects["Ada"]
    assert actor["AU12"] == 0.0 and actor.id_properties_ui("AU12").as_dict()["max"] == 5  # AUs outlive the add-on
    actor["AU12"] = 2.0
    actor.keyframe_insert('["AU12"]', frame=3)
    bpy.ops.preferences.addon_enable(module=addon.package)
    assert addon.actors.require_actor(bpy.context).name == "Ada"
    assert addon.curves.commanded_keys(bpy.data.objects["Ada"]) == {"AU12"}


def test_panels_draw(addon, tmp_path):
    """Draws every panel into a double of the layout that checks each operator and property."""
    ready_scene(addon, tmp_path)
    bpy.ops.autter.key_au(key="AU12", frame=1, value=4.0)
    addon.reports.note_fault(addon.bridge.faults.Fault("x", "It went wrong " * 10, "Mend it"))
    client = faces.double(addon, predict=faces.predicting(addon))
    bpy.ops.autter.predict()
    client.held = True
    addon.reports.note_fault(addon.bridge.faults.Fault("x", "It went wrong " * 10, "Mend it"))
    addon.panel_state.forget()
    drawn: list[str] = []
    for cls in addon.panels.CLASSES:
        assert not hasattr(cls, "poll") or cls.poll(bpy.context)
        panel = SimpleNamespace(layout=LayoutDouble(drawn), group=getattr(cls, "group", ""))
        cls.draw(panel, bpy.context)
    assert "12 Lip Corner Puller" in drawn and "D" in drawn and "0.7" in drawn
    assert "autter.predict" in drawn and "autter.copy_report" in drawn and "seed" in drawn


class LayoutDouble:
    """Takes what a UILayout takes; properties and operators must exist."""

    def __init__(self, drawn: list[str]) -> None:
        object.__setattr__(self, "drawn", drawn)

    def __setattr__(self, name: str, value: object) -> None:
        assert name in bpy.types.UILayout.bl_rna.properties, name

    def row(self, **_) -> LayoutDouble:
        return self

    column = box = grid_flow = row

    def panel(self, name: str, default_closed: bool = False) -> tuple[LayoutDouble, LayoutDouble]:
        return self, self

    def label(self, text: str = "", icon: str = "NONE") -> None:
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
        self.drawn.append(text)

    def prop(self, owner, name: str, text: str = "", slider: bool = False, icon: str = "NONE", toggle: bool = False) -> None:
        assert icon in bpy.types.UILayout.bl_rna.functions["prop"].parameters["icon"].enum_items
        owner.path_resolve(name)
        self.drawn.append(text or name)

    def separator(self) -> None:
        pass

    def progress(self, factor: float, text: str) -> None:
        assert 0 <= factor <= 1
        self.drawn.append(text)

    def operator(self, name: str, text: str = "", icon: str = "NONE", emboss: bool = True, depress: bool = False) -> SimpleNamespace:
        group, _, verb = name.partition(".")
        getattr(getattr(bpy.ops, group), verb).get_rna_type()
        assert icon in bpy.types.UILayout.bl_rna.functions["operator"].parameters["icon"].enum_items
        self.drawn.append(name)
        return SimpleNamespace()


def test_sample_scene(unhurried, tmp_path, monkeypatch):
    """Its steps follow each other, tick by tick; the material is copied out of the add-on's folder."""
    addon = unhurried
    folder = tmp_path / "shipped"
    folder.mkdir()
    faces.portrait(folder), faces.voice(folder)
    (folder / "aus.csv").write_text("frame,timestamp,AU12_r,AU45_r\n1,0.0,0,0\n2,0.4,4,0\n3,0.8,0,5\n")
    monkeypatch.setattr(addon.sample_scene, "sample_folder", lambda: folder)
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    client = faces.double(addon, predict=faces.predicting(addon))
    bpy.ops.autter.new_sample_scene(render=False)
    for _ in range(3):
        addon.ticks.tick()
    scene = bpy.context.scene
    assert scene.name == "AUtter Sample" and (scene.frame_start, scene.frame_end, scene.render.fps) == (1, 100, 25)
    actor = scene.autter.actor
    assert addon.curves.commanded_keys(actor) == {"AU12", "AU45"}
    assert addon.prediction.predicted_range(actor) == (1, 100)
    assert [request.kind for request in client.requests] == ["portrait", "predict"]
    assert addon.actors.portrait_path(actor) == tmp_path / "home" / "sample" / "portrait.png"
    shot = client.requests[1].shot
    assert shot.frame_count == 100 and shot.voice[0].path == str(tmp_path / "home" / "sample" / "voice.wav")
    assert scene.camera is not None and not addon.reports.latest_problem()


def test_import_aus(addon, tmp_path):
    actor = faces.actor(addon, tmp_path)
    bpy.context.scene.render.fps, bpy.context.scene.frame_start = 25, 11
    bpy.ops.autter.key_au(key="AU12", frame=20, value=1.0)
    bpy.ops.autter.key_au(key="AU04", frame=20, value=1.0)
    rows = ["frame, timestamp, AU12_r, AU28_c, AU99_r"]
    rows += [f"{row + 1}, {row * 0.04:.4f}, {min(row, 25) * 0.16:.3f}, {int(row > 40)}, 7" for row in range(51)]
    (tmp_path / "aus.csv").write_text("\n".join(rows))
    bpy.ops.autter.import_aus(filepath=str(tmp_path / "aus.csv"))
    assert addon.curves.commanded_keys(actor) == {"AU12", "AU28", "AU04"}
    curves = {curve.data_path: curve for curve in addon.curves.animator_curves(actor)}
    assert len(curves['["AU12"]'].keyframe_points) <= 4 and len(curves['["AU04"]'].keyframe_points) == 1
    values, _ = addon.curves.sample_aus(actor, range(11, 62))
    column = addon.bridge.facs.AU_KEYS.index("AU12")
    assert values[0, column] == 0 and values[25, column] == pytest.approx(4, abs=0.05) and values[-1, column] == pytest.approx(4, abs=0.05)
    assert values[-1, addon.bridge.facs.AU_KEYS.index("AU28")] == 3


def test_import_aus_by_frame_numbers(addon, tmp_path):
    """A table without times is one of the scene's frames; German spreadsheets and rows without a face are read too."""
    actor = faces.actor(addon, tmp_path)
    bpy.context.scene.render.fps = 25
    (tmp_path / "aus.csv").write_text("frame;success;AU12_r\n1;1;0,0\n2;0;5,0\n3;1;2,5\n")
    bpy.ops.autter.import_aus(filepath=str(tmp_path / "aus.csv"), frame_start=1)
    values, _ = addon.curves.sample_aus(actor, range(1, 4))
    assert values[:, addon.bridge.facs.AU_KEYS.index("AU12")] == pytest.approx([0, 1.25, 2.5], abs=0.3)


@pytest.mark.parametrize(
    "text, code",
    [
        ("frame,timestamp,smile\n1,0,1\n", "au-csv-columns"),
        ("timestamp,AU12_r\n0,1\n0,1\n", "au-csv-time"),
        ("timestamp,AU12_r\n0,nan\n", "au-not-finite"),
        ("timestamp,AU12_r\n0,much\n", "au-not-finite"),
        ("timestamp,AU12_r\n0,9.0\n", "au-range"),
        ("timestamp,AU12_r\n", "au-csv-empty"),
    ],
)
def test_bad_au_table(addon, tmp_path, text, code):
    actor = faces.actor(addon, tmp_path)
    (tmp_path / "aus.csv").write_text(text)
    with pytest.raises(RuntimeError):
        bpy.ops.autter.import_aus(filepath=str(tmp_path / "aus.csv"))
    assert addon.reports.latest_problem().code == code
    assert not addon.curves.commanded_keys(actor)


def test_a_result_waits_while_the_person_drags(unhurried, tmp_path, monkeypatch):
    addon = unhurried
    faces.double(addon)
    bpy.ops.autter.new_actor(filepath=str(faces.portrait(tmp_path)))
    monkeypatch.setattr(addon.compat, "modal_operators", lambda window: ("SCREENCAST_OT_keys", "TRANSFORM_OT_translate"))
    addon.ticks.tick()
    assert not addon.actors.actors_in(bpy.context.scene) and len(addon.backend_link.book.finished) == 1
    monkeypatch.setattr(addon.compat, "modal_operators", lambda window: ("SCREENCAST_OT_keys",))
    addon.ticks.tick()
    assert len(addon.actors.actors_in(bpy.context.scene)) == 1
