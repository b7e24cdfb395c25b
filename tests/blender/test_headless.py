# SPDX-License-Identifier: GPL-3.0-or-later
"""`--command autter ...`: what it does, what it prints, what it answers."""

from __future__ import annotations

import json

import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402
import movies  # noqa: E402

pytestmark = pytest.mark.blender


@pytest.fixture
def shot(addon, tmp_path):
    """A saved file with an actor and a voice."""
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 12
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    faces.actor(addon, tmp_path)
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    image = __import__("numpy").zeros((50, 40, 3), "uint8")
    return faces.double(
        addon, predict=faces.predicting(addon), render=movies.rendering(addon), preview_frame=lambda request: ({}, {"image": image})
    )


def answer_of(capfd) -> dict:
    return json.loads([line for line in capfd.readouterr().out.splitlines() if line.startswith("{")][-1])


def test_blender_knows_the_command(addon):
    assert addon.headless._handle is not None


def test_predict_render_redo_and_save(addon, shot, tmp_path, capfd):
    run = addon.headless.run
    assert run(["predict", "--seed", "4", "--json"]) == 0
    assert bpy.data.objects["Ada"].autter.seed == 4 and answer_of(capfd)["command"] == "predict"
    assert run(["render", "--steps", "1", "--frames", "3-8", "--out", str(tmp_path / "movie.mp4"), "--json", "--save"]) == 0
    (take,) = answer_of(capfd)["takes"]
    assert take["movie"] == str(tmp_path / "movie.mp4") and take["frames"] == 6 and shot.requests[-1].shot.render.steps == 1
    assert run(["redo", "--json", "--save", str(tmp_path / "other.blend")]) == 0
    assert len(answer_of(capfd)["takes"]) == 2 and (tmp_path / "other.blend").is_file()
    assert run(["takes"]) == 0
    assert "Ada_take001" in capfd.readouterr().out


def test_predict_and_render_in_one(addon, shot, capfd):
    assert addon.headless.run(["render", "--predict", "--json"]) == 0
    assert [request.kind for request in shot.requests] == ["predict", "render"]
    assert addon.headless.run(["render", "--all", "--json"]) == 0


def test_preview_and_job(addon, shot, tmp_path, capfd):
    assert addon.headless.run(["predict"]) == 0
    assert addon.headless.run(["preview", "--frame", "5", "--out", str(tmp_path / "p.png")]) == 0
    assert (tmp_path / "p.png").stat().st_size > 50
    assert addon.headless.run(["export-job", "--frames", "2-7", "--out", str(tmp_path / "job")]) == 0
    assert addon.bridge.shot_folder.read_shot_folder(tmp_path / "job").shot.frame_count == 6


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, ""),
        (["dance"], 2, ""),
        (["--help"], 0, ""),
        (["render"], 2, "Predict first"),
        (["render", "--frames", "x-y"], 2, "is no range"),
        (["predict", "--scene", "Nowhere"], 2, 'no scene "Nowhere"'),
        (["predict", "--actor", "Nobody"], 2, 'no actor "Nobody"'),
        (["redo"], 2, "no take yet"),
        (["capture", "--video", "nothing.mp4"], 2, "no video at"),
    ],
)
def test_exit_codes_and_sentences(addon, shot, capfd, words, code, said):
    assert addon.headless.run(words) == code
    assert said in capfd.readouterr().err


def test_a_bug_is_told_as_one(addon, shot, monkeypatch, capfd):
    def stumble(choice):
        raise ValueError("a bug")

    monkeypatch.setitem(addon.headless.COMMANDS, "takes", (*addon.headless.COMMANDS["takes"][:2], stumble))
    assert addon.headless.run(["takes"]) == 1 and "a bug" in capfd.readouterr().err
