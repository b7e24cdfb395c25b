# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's tests run on the built zip, installed as an extension in a real bpy, never on the source folder.

AUTTER_ZIP names the zip; without it one is staged here (without the backend's wheel, which the add-on does not import).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = Path(tempfile.mkdtemp(prefix="autter-blender-"))
os.environ.setdefault("BLENDER_USER_RESOURCES", str(SCRATCH / "resources"))
os.environ.setdefault("AUTTER_HOME", str(SCRATCH / "home"))
os.environ.setdefault("AUTTER_SOURCE", str(ROOT))
Path(os.environ["BLENDER_USER_RESOURCES"]).mkdir(parents=True, exist_ok=True)

try:
    import bpy
except ImportError:  # the backend's own environment: nothing here is for it
    bpy = None
    collect_ignore_glob = ["test_*.py"]

PACKAGE = "bl_ext.user_default.autter"


def stage(folder: Path) -> Path:
    """The extension's files as they lie in the zip."""
    out = folder / "autter"
    shutil.copytree(ROOT / "blender_addon", out, ignore=shutil.ignore_patterns("__pycache__", "bridge", ".*"))
    shutil.copytree(ROOT / "bridge", out / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    if (ROOT / "backend" / "sample").is_dir():
        shutil.copytree(ROOT / "backend" / "sample", out / "data" / "sample", ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    return out


@pytest.fixture(scope="session")
def extension_tool() -> Path:
    """Blender's own extension tool, inside the wheel."""
    return next(Path(bpy.utils.resource_path("LOCAL")).glob("scripts/addons_core/bl_pkg/cli/blender_ext.py"))


@pytest.fixture(scope="session")
def extension_zip(extension_tool: Path) -> Path:
    """The built zip."""
    if os.environ.get("AUTTER_ZIP"):
        return Path(os.environ["AUTTER_ZIP"])
    source, made = stage(SCRATCH), SCRATCH / "autter.zip"
    command = [sys.executable, str(extension_tool), "build", "--source-dir", str(source), "--output-filepath", str(made)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return made


@pytest.fixture(scope="session")
def installed(extension_zip: Path) -> str:
    """The extension, installed and enabled. Its package name."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert bpy.ops.extensions.package_install_files(
        filepath=str(extension_zip), repo="user_default", enable_on_install=True, overwrite=True
    ) == {"FINISHED"}
    assert PACKAGE in bpy.context.preferences.addons
    return PACKAGE


class Addon:
    """The installed add-on's modules by name: ``addon.rig_layout``."""

    def __init__(self, package: str) -> None:
        self.package = package

    def __getattr__(self, name: str) -> ModuleType:
        import importlib

        return importlib.import_module(f"{self.package}.{name}")


@pytest.fixture
def addon(installed: str) -> Iterator[Addon]:
    """The add-on in an empty file, without backend, reports or parked results."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    made = Addon(installed)
    yield made
    made.backend_link.close()
    made.backend_link.client_factory = made.backend_link.make_client
    made.backend_link.book.__init__()
    made.reports.reports.clear()


@pytest.fixture
def scene_with_voice(addon: Addon, tmp_path: Path) -> bpy.types.Object:
    """An actor, a four-second voice, frames 1 to 96 at 24 fps. The actor."""
    import faces

    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 96
    actor = faces.actor(addon, tmp_path)
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    return actor


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Takes the scratch folder away: the way out of bpy skips whatever would do so at exit."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
