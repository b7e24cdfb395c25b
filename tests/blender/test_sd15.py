# SPDX-License-Identifier: GPL-3.0-or-later
"""The tier Stable Diffusion from the panel: what it says, and a render with tiny random weights in the real backend."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

bpy = pytest.importorskip("bpy")

pytestmark = pytest.mark.blender
FRAMES = 4
_WRITE = """
import sys; from pathlib import Path; from backend.synthesis.sd15.tiny import write_tiny_parts
for name, path in write_tiny_parts(Path(sys.argv[1]), "echomimic", suffix=".safetensors").items():
    if path.is_file() and name != "unet_config": path.rename(path.with_name(name + "_pose.safetensors"))
"""


def test_the_panel_says_what_the_tier_needs_or_lacks(addon, monkeypatch):
    lines = addon.quality.sd15_lines
    monkeypatch.setattr(addon.backend_link, "current_client", lambda: None)
    assert "once it runs" in lines("draft")[0][0]
    told = {"ready": False, "sentence": "10.9 GB are missing.", "hint": "Fetch them."}
    monkeypatch.setattr(addon.backend_link, "current_client", lambda: SimpleNamespace(tiers={"sd15": told}))
    assert lines("draft") == [("10.9 GB are missing.", "ERROR"), ("Fetch them.", "NONE")]
    told.clear()
    told.update(ready=True, need_gb={"draft": 5.5, "best": 9.0}, free_gb=7.0, hint="", sentence="s")
    assert lines("draft")[0] == ("Needs about 5.5 GB of memory; 7 GB are free", "MEMORY")
    assert lines("best")[0][1] == "ERROR" and "only 7 GB" in lines("best")[0][0]


def test_the_choices_reach_the_backend(addon):
    settings = bpy.context.scene.autter
    settings.tier, settings.preset, settings.sd15_steps, settings.sd15_weights = "sd15", "best", 7, "aniportrait"
    sent = settings.render_settings()
    assert (sent.tier, sent.preset, sent.sd15_steps, sent.weights) == ("sd15", "best", 7, "aniportrait")
    settings.sd15_weights = "ANY"
    assert settings.render_settings().weights == ""
    assert addon.estimates.key(sent) != addon.estimates.key(settings.render_settings())


@pytest.mark.skipif(not os.environ.get("AUTTER_BACKEND_PYTHON"), reason="AUTTER_BACKEND_PYTHON names no backend")
@pytest.mark.skipif(bpy.app.version[:2] != (5, 2), reason="the tier does not depend on Blender: rendered in the newest")
def test_a_render_with_tiny_weights(addon, tmp_path, monkeypatch):
    python, source = os.environ["AUTTER_BACKEND_PYTHON"], os.environ["AUTTER_SOURCE"]
    tiny = tmp_path / "tiny"
    made = subprocess.run([python, "-c", _WRITE, str(tiny)], cwd=source, capture_output=True, text=True)
    if "No module named 'diffusers'" in made.stderr:
        pytest.skip("the backend has no packages for the tier sd15")
    assert made.returncode == 0, made.stderr
    monkeypatch.setenv("AUTTER_SD15", str(tiny))
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, FRAMES
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.autter.new_actor(filepath=str(addon.sample_scene.sample_file(addon.sample_scene.PORTRAITS)))
    bpy.ops.autter.add_voice(filepath=str(addon.sample_scene.sample_file(addon.sample_scene.RECORDINGS)))
    assert bpy.ops.autter.predict(wait=True) == {"FINISHED"}
    scene.autter.tier, scene.autter.preset, scene.autter.sd15_steps = "sd15", "draft", 2
    assert bpy.ops.autter.render(wait=True) == {"FINISHED"}
    (picture,) = [strip for strip in addon.compat.strips_of(scene.sequence_editor) if strip.type == "MOVIE"]
    movie = Path(bpy.path.abspath(picture.filepath))
    report = json.loads(picture["autter_take"])["report"]
    assert movie.stat().st_size > 1000 and report["tier"] == "sd15" and report["frames"] == FRAMES and report["steps"] == 2
    assert any("EchoMimic" in note for note in report["notes"])
    client = addon.backend_link.current_client()
    for _ in range(3000):
        client.poll()
        if client.tiers:
            break
        client.request_status()
        addon.backend_link.time.sleep(0.01)
    assert client.tiers["sd15"]["ready"] and "Needs about" in addon.quality.sd15_lines("draft")[0][0]
