# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension zip: add-on at the root, bridge/ as its sub-package, the backend's wheel, locks and sample in data/.

It is validated and built by Blender's own tool. Files keep one time stamp, so that the same sources give the same zip.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterable, Tuple

from tools.environments import BACKEND, Environment
from tools.say import ROOT, BuildFault, run_quietly, say, step

DIST = ROOT / "dist"
SOURCES = ROOT / "work" / "zip-sources.txt"  # what the present zip was built from
TIME_STAMP = 1_700_000_000  # of every file in the wheel and the zip, seconds since 1970
LITTER = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
LINK_AND_LITTER = shutil.ignore_patterns("bridge", "__pycache__", "*.pyc", ".*")
LOCKS = ("backend.txt", "sd15.txt")


def version() -> str:
    """The project's version, from the one place that the code reads."""
    for line in (ROOT / "bridge" / "__init__.py").read_text().splitlines():
        if line.startswith("VERSION"):
            return line.split('"')[1]
    raise BuildFault("bridge/__init__.py has no VERSION.")


def zip_path() -> Path:
    """Where the extension lies once it is built."""
    return DIST / "autter-{}.zip".format(version())


def sources() -> Iterable[Path]:
    """Every file that goes into the zip."""
    for folder in ("blender_addon", "bridge", "backend", "requirements"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    yield from (ROOT / name for name in ("pyproject.toml", "LICENSE", "NOTICE", "README.md"))


def fingerprint() -> str:
    """sha256 over names and contents of everything that goes into the zip."""
    digest = hashlib.sha256()
    for path in sorted(sources()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether the zip was built from the sources as they are."""
    return zip_path().exists() and SOURCES.exists() and SOURCES.read_text().strip() == fingerprint()


def build_zip(blender: Environment, anew: bool = True) -> Path:
    """Build ``dist/autter-VERSION.zip``; with ``anew=False`` only if a source has changed. Returns its path."""
    if not anew and is_current():
        return zip_path()
    with step("Building the extension zip"):
        (ROOT / "work").mkdir(exist_ok=True)
        built_from = fingerprint()
        with tempfile.TemporaryDirectory(prefix="zip-", dir=ROOT / "work") as workshop:
            assemble(Path(workshop), blender)
        SOURCES.write_text(built_from + "\n")
    megabytes = zip_path().stat().st_size / 1e6
    say("    {} ({:.1f} MB)".format(zip_path().relative_to(ROOT), megabytes))
    return zip_path()


def assemble(workshop: Path, blender: Environment) -> None:
    """Lay everything out in ``workshop``, then pack it."""
    stage = workshop / "autter"
    shutil.copytree(ROOT / "blender_addon", stage, ignore=LINK_AND_LITTER)
    shutil.copytree(ROOT / "bridge", stage / "bridge", ignore=LITTER)
    for name in ("LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, stage / name)
    add_data(stage / "data", build_wheel(workshop))
    for path in stage.rglob("*"):
        os.utime(path, (TIME_STAMP, TIME_STAMP))
    pack(stage, workshop / "made.zip", blender)


def add_data(data: Path, wheel: Path) -> None:
    """The backend's wheel, what it needs, and the sample material, as plain files for the add-on."""
    data.mkdir(parents=True, exist_ok=True)
    shutil.copy(wheel, data / wheel.name)
    for name in LOCKS:
        shutil.copy(ROOT / "requirements" / name, data / name)
    sample = ROOT / "backend" / "sample"
    if sample.is_dir():
        shutil.copytree(sample, data / "sample", ignore=shutil.ignore_patterns("__pycache__", "*.py", "*.pyc"))


def build_wheel(workshop: Path) -> Path:
    """A wheel of backend and bridge, made offline with what .venv holds, from a copy so that no build litter stays."""
    source, out = workshop / "source", workshop / "wheel"
    for folder in ("backend", "bridge"):
        shutil.copytree(ROOT / folder, source / folder, ignore=LITTER)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source / name)
    command = [BACKEND.interpreter, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", out, source]
    run_quietly(command, "Building the wheel", {"SOURCE_DATE_EPOCH": str(TIME_STAMP)})
    return next(out.glob("*.whl"))


def pack(stage: Path, made: Path, blender: Environment) -> None:
    """Validate and build with Blender's own extension tool."""
    tool, python = extension_tool(blender), blender.interpreter
    run_quietly([python, tool, "validate", stage], "Blender's check of the extension")
    run_quietly([python, tool, "build", "--source-dir", stage, "--output-filepath", made], "Blender's build of the extension")
    # Moved only when whole, so that a stopped build leaves the former zip as it was.
    DIST.mkdir(exist_ok=True)
    os.replace(made, zip_path())


def extension_tool(blender: Environment) -> Path:
    """``blender_ext.py`` inside the bpy wheel."""
    packages: Tuple[str, ...] = ("lib/python*/site-packages", "Lib/site-packages")
    for pattern in packages:
        for found in blender.folder.glob(pattern + "/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"):
            return found
    raise BuildFault("{} holds no blender_ext.py.".format(blender.name), "Delete {} and run this again.".format(blender.folder))


def link_bridge() -> None:
    """A git-ignored link blender_addon/bridge -> ../bridge, so that editors resolve the add-on's imports."""
    link = ROOT / "blender_addon" / "bridge"
    if not link.exists() and (ROOT / "blender_addon").is_dir():
        try:
            link.symlink_to(Path("..") / "bridge", target_is_directory=True)
        except OSError:
            pass  # Windows without the right to make links: editors do without
