# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend's set-up through the add-on's own buttons, from a folder of small wheels; the real one is marked slow."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest

from tests.bridge.wheels import make_release

PACKAGES = ("mediapipe", "av", "onnxruntime")
# Making environments takes long and depends on Blender's Python alone: the newest Blender of each Python is enough.
pytestmark = [pytest.mark.blender, pytest.mark.skipif(bpy.app.version[:2] not in ((5, 0), (5, 2)), reason="tried in 5.0 and 5.2")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "Ünï cödé 人 home"
    monkeypatch.setenv("AUTTER_HOME", str(folder))
    monkeypatch.delenv("AUTTER_BACKEND_PYTHON", raising=False)
    monkeypatch.delenv("AUTTER_SOURCE", raising=False)
    return folder


def test_set_up_repaired_and_taken_away(addon, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, wheels = make_release(tmp_path, packages=PACKAGES)
    monkeypatch.setattr(addon.backend_setup, "DATA", data)
    assert "not set up" in addon.backend_link.backend_missing()
    shown = addon.backend_setup.plan(str(wheels))
    assert str(home) in str(shown.folder) and shown.disk > 0 and shown.reason

    assert bpy.ops.autter.setup_backend(source=str(wheels)) == {"FINISHED"}
    assert addon.backend_link.backend_missing() == "" and addon.backend_setup.words() == ""
    python = addon.backend_link.backend_python()
    assert subprocess.run([str(python), "-c", "import backend, torch"], capture_output=True).returncode == 0

    lost = next(home.rglob("torch/large.py"))
    lost.unlink()
    assert bpy.ops.autter.repair_backend(source=str(wheels)) == {"FINISHED"}
    assert lost.is_file()

    assert bpy.ops.autter.uninstall_backend() == {"FINISHED"}
    assert "not set up" in addon.backend_link.backend_missing()
    assert not home.exists() or list(home.iterdir()) == []


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


def test_offline_blender_downloads_nothing(addon, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if bpy.app.online_access:
        pytest.skip("this Blender may go online")
    monkeypatch.setattr(addon.backend_setup, "DATA", make_release(tmp_path)[0])
    with pytest.raises(RuntimeError, match="stay offline"):
        bpy.ops.autter.setup_backend()
    assert addon.reports.reports[-1].code == "online-access" and not home.exists()


def test_a_zip_without_its_wheel_is_said(addon, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addon.backend_setup, "DATA", tmp_path)
    with pytest.raises(RuntimeError, match="missing"):
        bpy.ops.autter.setup_backend(source=str(tmp_path))
    assert addon.reports.reports[-1].code == "setup-incomplete-zip"


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("AUTTER_ZIP"), reason="needs the built zip with the backend's wheel: set AUTTER_ZIP")
def test_the_real_set_up_from_the_built_zip(addon, home: Path) -> None:
    """Every package of the lock, in a folder with spaces and letters that are not ASCII; prints its time and size."""
    began = time.monotonic()
    addon.backend_setup.start("install")
    addon.backend_setup.wait(3600)
    seconds = time.monotonic() - began
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"set up in {seconds:.0f} s, {size / 2**20:.0f} MB", file=sys.stderr)
    done = subprocess.run([str(addon.backend_link.backend_python()), "-P", "-m", "backend", "doctor"], capture_output=True, text=True)
    print(done.stdout, file=sys.stderr)
    assert "MISSING" not in done.stdout.replace("MISSING face landmarker", "")
    addon.backend_setup.start("uninstall")
    addon.backend_setup.wait(600)
    assert not home.exists() or list(home.iterdir()) == []
