# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend's set-up through the add-on's own buttons, from a folder of small wheels; the real one is marked slow."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import bpy
import pytest

from tests.bridge.wheels import make_release

PACKAGES = ("mediapipe", "av", "onnxruntime")
pytestmark = pytest.mark.blender
# Making environments takes long and depends on Blender's Python alone: the newest Blender of each Python is enough.
newest = pytest.mark.skipif(bpy.app.version[:2] not in ((5, 0), (5, 2)), reason="tried in 5.0 and 5.2")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "Ünï cödé 人 home"
    monkeypatch.setenv("AUTTER_HOME", str(folder))
    monkeypatch.delenv("AUTTER_BACKEND_PYTHON", raising=False)
    monkeypatch.delenv("AUTTER_SOURCE", raising=False)
    return folder


@newest
def test_set_up_repaired_and_taken_away(addon, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, wheels = make_release(tmp_path, packages=PACKAGES)
    monkeypatch.setattr(addon.backend_setup, "DATA", data)
    assert "not set up" in addon.backend_link.backend_missing()
    shown = addon.backend_setup.plan(str(wheels))
    assert str(home) in str(shown.folder) and shown.disk > 0 and shown.reason
    assert addon.backend_setup.time_words(replace(shown, disk=2400)) == "Time: about 2 min"  # from a folder, without a network
    online = addon.backend_setup.time_words(replace(shown, source=None, disk=2400, download=750))
    assert online == "Time: about 4 min at 50 Mbit/s, about 2 min at 300 Mbit/s"

    run = addon.headless.run
    assert run(["backend", "--offline-folder", str(tmp_path / "none")]) == 2 and run(["backend", "--repair", "--uninstall"]) == 2
    assert run(["backend", "--offline-folder", str(wheels)]) == 0
    assert addon.backend_link.backend_missing() == "" and addon.backend_setup.words() == ""
    python = addon.backend_link.backend_python()
    assert subprocess.run([str(python), "-c", "import backend, torch"], capture_output=True).returncode == 0

    lost = next(home.rglob("torch/large.py"))
    lost.unlink()
    assert bpy.ops.autter.repair_backend(source=str(wheels)) == {"FINISHED"}
    assert lost.is_file() and run(["backend", "--repair", "--offline-folder", str(wheels), "--json"]) == 0

    assert run(["backend", "--uninstall"]) == 0
    assert "not set up" in addon.backend_link.backend_missing()
    assert not home.exists() or list(home.iterdir()) == []


def test_the_panel_looks_at_the_card_beside_the_main_thread(addon, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = make_release(tmp_path, packages=PACKAGES)
    monkeypatch.setattr(addon.backend_setup, "DATA", data)
    monkeypatch.setattr(addon.backend_setup, "_looking", None)
    monkeypatch.setattr(addon.backend_setup, "_hardware", None)
    awake, threads = threading.Event(), []

    def sleepy_driver():
        threads.append(threading.current_thread())
        assert awake.wait(30)
        return Hardware("Linux", "x86_64", rocm=True)

    Hardware = addon.backend_setup.Hardware
    monkeypatch.setattr(addon.backend_setup, "find_hardware", sleepy_driver)
    assert addon.panel_state.read(bpy.context, None).backend_missing  # comes back although the driver sleeps
    awake.set()
    assert addon.backend_setup.plan().build == "rocm"
    assert len(threads) == 1 and threads[0] is not threading.main_thread()


@newest
def test_the_main_thread_never_waits_and_cancel_keeps_what_is_done(addon, home: Path, tmp_path: Path, monkeypatch) -> None:
    data, wheels = make_release(tmp_path, packages=PACKAGES)
    monkeypatch.setattr(addon.backend_setup, "DATA", data)
    addon.backend_setup.start("install", str(wheels))
    assert not bpy.ops.autter.repair_backend.poll() and bpy.ops.autter.cancel_setup.poll()
    ends = time.monotonic() + 60
    while addon.backend_setup.state().phase not in ("venv", "torch") and time.monotonic() < ends:
        addon.backend_setup.poll()
        time.sleep(0.05)
    assert addon.backend_setup.words()
    assert bpy.ops.autter.cancel_setup() == {"FINISHED"}
    assert not addon.backend_setup.is_running() and "not set up" in addon.backend_link.backend_missing()
    assert list(home.rglob("incomplete")), "nothing was kept for the next time"


@newest
def test_offline_blender_downloads_nothing(addon, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if bpy.app.online_access:
        pytest.skip("this Blender may go online")
    monkeypatch.setattr(addon.backend_setup, "DATA", make_release(tmp_path)[0])
    with pytest.raises(RuntimeError, match="stay offline"):
        bpy.ops.autter.setup_backend()
    assert addon.reports.reports[-1].code == "online-access" and not home.exists()


@newest
def test_a_zip_without_its_wheel_is_said(addon, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addon.backend_setup, "DATA", tmp_path)
    with pytest.raises(RuntimeError, match="missing"):
        bpy.ops.autter.setup_backend(source=str(tmp_path))
    assert addon.reports.reports[-1].code == "setup-incomplete-zip"


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("AUTTER_ZIP"), reason="needs the built zip with the backend's wheel: set AUTTER_ZIP")
def test_the_real_set_up_from_the_built_zip(addon, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every package of the lock, in a folder with spaces and letters that are not ASCII: broken off at three points and gone on with,
    used for a shot, repaired, taken away. Prints times and sizes."""
    began = time.monotonic()
    for phase, not_again in (("torch", ()), ("packages", ("venv",)), ("proof", ("venv", "torch"))):
        seen = broken_off(addon, phase)
        assert not seen & set(not_again), f"{seen}: done steps were done again"
        assert "not set up" in addon.backend_link.backend_missing() and list(home.rglob("incomplete"))
        told(capsys, home, f"broken off in {phase}", began)
    addon.backend_setup.start("install")
    addon.backend_setup.wait(3600)
    told(capsys, home, "set up, three times broken off,", began)
    assert addon.backend_link.backend_missing() == "" and not list(home.rglob("incomplete"))
    python = addon.backend_link.backend_python()
    assert home in python.parents
    report = subprocess.run([str(python), "-P", "-m", "backend", "doctor"], capture_output=True, text=True).stdout
    with capsys.disabled():
        print(report)
    assert "MISSING" not in report.replace("MISSING face landmarker", "")

    began = time.monotonic()
    a_short_shot(addon, tmp_path)
    assert addon.backend_link.current_client().device, "another backend answered"
    told(capsys, home, "one second of a shot", began)
    addon.backend_link.close()

    began = time.monotonic()
    for lost in ("mediapipe/__init__.py", "backend/pipeline.py"):
        next(home.rglob(lost)).unlink()
    addon.backend_setup.start("repair")
    addon.backend_setup.wait(3600)
    assert next(home.rglob("mediapipe/__init__.py")).is_file() and next(home.rglob("backend/pipeline.py")).is_file()
    told(capsys, home, "repaired", began)
    a_short_shot(addon, tmp_path)
    addon.backend_link.close()

    began = time.monotonic()
    addon.backend_setup.start("install", extras=("sd15",))
    addon.backend_setup.wait(3600)
    told(capsys, home, "packages of Stable Diffusion added", began)
    assert addon.backend_link.backend_python() == python
    assert subprocess.run([str(python), "-P", "-s", "-c", "import diffusers, transformers"], capture_output=True).returncode == 0

    began = time.monotonic()
    addon.backend_setup.start("uninstall")
    addon.backend_setup.wait(600)
    assert not home.exists() or list(home.iterdir()) == []
    told(capsys, home, "taken away", began)


def broken_off(addon, phase: str) -> set[str]:
    """Starts the set-up and cancels it in the middle of a phase; the phases that it went through."""
    addon.backend_setup.start("install")
    seen, ends = set(), time.monotonic() + 3600
    while addon.backend_setup.state() is not None and addon.backend_setup.state().phase != phase:
        assert time.monotonic() < ends, addon.backend_setup.state()
        addon.backend_setup.poll()
        seen.add(addon.backend_setup.state().phase if addon.backend_setup.state() else "ended")
        time.sleep(0.02)
    assert "ended" not in seen, addon.reports.reports
    time.sleep(0.5)  # so that something of the phase is done
    addon.backend_setup.cancel()
    return seen


def a_short_shot(addon, folder: Path) -> None:
    """The sample's actor, voice and one second of movie, made by the backend that was just set up."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 24
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    assert bpy.ops.autter.new_actor(filepath=str(addon.sample_scene.sample_file(addon.sample_scene.PORTRAITS))) == {"FINISHED"}
    bpy.ops.autter.add_voice(filepath=str(addon.sample_scene.sample_file(addon.sample_scene.RECORDINGS)))
    assert bpy.ops.autter.predict(wait=True) == {"FINISHED"}
    assert bpy.ops.autter.render(wait=True) == {"FINISHED"}
    (movie,) = (strip for strip in addon.compat.strips_of(scene.sequence_editor) if strip.type == "MOVIE")
    assert Path(bpy.path.abspath(movie.filepath)).stat().st_size > 10_000


def told(capsys: pytest.CaptureFixture[str], home: Path, what: str, began: float) -> None:
    """Prints seconds and megabytes."""
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    with capsys.disabled():
        print(f"{what}: {time.monotonic() - began:.0f} s in all, {size / 1e6:.0f} MB on disk, load {os.getloadavg()[0]:.0f}")
