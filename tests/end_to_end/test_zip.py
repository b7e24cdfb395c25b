# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the built extension, and what is not."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.blender

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def extension() -> Iterator[zipfile.ZipFile]:
    """The zip that build.py made."""
    if "AUTTER_ZIP" not in os.environ:
        pytest.skip("needs the built zip: run build.py test")
    with zipfile.ZipFile(os.environ["AUTTER_ZIP"]) as opened:
        yield opened


def test_the_addon_lies_at_the_root_with_the_bridge_inside(extension: zipfile.ZipFile) -> None:
    names = set(extension.namelist())
    assert {"blender_manifest.toml", "__init__.py", "bridge/__init__.py", "LICENSE", "NOTICE", "data/backend.txt"} <= names
    addon = {path.name for path in (ROOT / "blender_addon").glob("*.py")}
    assert addon <= names


def test_the_wheel_brings_backend_weights_and_sample(extension: zipfile.ZipFile) -> None:
    (wheel,) = [name for name in extension.namelist() if name.endswith(".whl")]
    with zipfile.ZipFile(io.BytesIO(extension.read(wheel))) as inner:
        names = set(inner.namelist())
    weights = {path.relative_to(ROOT).as_posix() for path in (ROOT / "backend" / "weights").rglob("*") if path.is_file()}
    sample = {f"backend/sample/{path.name}" for path in (ROOT / "backend" / "sample").iterdir() if path.is_file()}
    assert {"backend/weights/motion.safetensors", "backend/weights/small.safetensors"} <= weights
    assert weights | sample <= names
    assert {"bridge/shot.py", "backend/__main__.py"} <= names
    assert not [name for name in names if name.startswith(("blender_addon/", "tests/", "tools/"))]


def test_nothing_is_installed_into_blenders_python(extension: zipfile.ZipFile) -> None:
    manifest = extension.read("blender_manifest.toml").decode("utf-8")
    assert "wheels" not in manifest
    assert not [name for name in extension.namelist() if name.endswith(".pyc") or "/." in name or name.startswith(".")]


def test_the_sample_is_there_for_one_click(extension: zipfile.ZipFile) -> None:
    names = [name for name in extension.namelist() if name.startswith("data/sample/")]
    assert [name for name in names if name.endswith((".jpg", ".png", ".webp"))] and [name for name in names if "line." in name]
