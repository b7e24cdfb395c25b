# SPDX-License-Identifier: GPL-3.0-or-later
"""``doctor --fix``: mends the environment that runs it. Packages with missing or damaged files, or not there, are installed again."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.faults import Fault
from bridge.setup import extras
from bridge.setup.hardware import find_hardware, needs_more, torch_build, torch_sources
from bridge.setup.install import broken_in
from bridge.setup.plan import LOCK
from bridge.setup.tools import PIP_OPTIONS, download_options, run_tool

OWN_NAME = "autter"
Tell = Callable[[str], None]


def fix(tell: Tell, tier: str = "") -> list[str]:
    """Mends what can be mended; the names of what was. ``tell`` hears what is being done. ``tier``: also what "sd15" needs.

    Raises Fault ``setup-network``, ``disk-full``, ``setup-failed``, or those of fetching the face landmarker's model.
    """
    from .portrait.landmarker import find_landmarker_model, landmarker_model

    mended = []
    for package in [*broken_in(Path(sys.executable), contents=True), *map(locked, missing_packages()), *missing_extras(tier)]:
        if _name(package).lower() == OWN_NAME:
            hint = "Install the extension's zip again and press Repair Backend, or set the checkout up again."
            raise Fault("setup-failed", "Files of AUtter's own backend are missing.", hint)
        tell(f"installing {package} again")
        _install(package)
        mended.append(package)
    if find_landmarker_model() is None:
        tell("fetching the face landmarker's model")
        mended.append(str(landmarker_model()))
    return mended


def missing_extras(tier: str) -> list[str]:
    """``name==version`` of packages that are missing of the tier asked for, or of what this environment was once given."""
    wanted = {*extras.noted(Path(sys.prefix)), *([tier] if tier in extras.NAMES else [])}
    locks = [lock for name in sorted(wanted) if (lock := _lock(f"{name}.txt")) is not None]
    return [package for lock in locks for package in extras.missing(lock)]


def _lock(name: str) -> Path | None:
    """A lock beside this environment, or in the checkout."""
    places = (Path(sys.prefix) / name, Path(__file__).resolve().parents[1] / "requirements" / name)
    return next((place for place in places if place.is_file()), None)


def missing_packages() -> list[str]:
    """Requirements of the backend that are not installed at all, e.g. "numpy>=1.26"."""
    try:
        wanted = importlib.metadata.requires(OWN_NAME) or []
    except importlib.metadata.PackageNotFoundError:  # a checkout: its project file tells
        wanted = _declared(Path(__file__).resolve().parents[1] / "pyproject.toml")
    return [text for text in (item.split(";")[0].strip() for item in wanted if "extra ==" not in item) if not _installed(text)]


def _declared(project: Path) -> list[str]:
    import tomllib

    if not project.is_file():
        return []
    return list(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])


def _installed(requirement: str) -> bool:
    try:
        importlib.metadata.version(_name(requirement))
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def locked(requirement: str) -> str:
    """The version of a package that the lock of this environment names, e.g. "torch==2.13.0"; the requirement itself without a lock."""
    name = _name(requirement)
    lock = _lock(LOCK)
    pinned = re.search(rf"(?mi)^{re.escape(name)}==[^\s;]+", lock.read_text(encoding="utf-8")) if lock is not None else None
    return pinned[0] if pinned else requirement


def _name(requirement: str) -> str:
    return re.split(r"[=<>~!\[ ]", requirement, maxsplit=1)[0]


def _install(package: str) -> None:
    python, build = Path(sys.executable), torch_build(find_hardware())[0]
    pip = [python, "-m", "pip", "install", *PIP_OPTIONS, *download_options(python)]
    attempts = [[package]]
    if package.startswith("torch=="):
        attempts = torch_sources(build, package.removeprefix("torch==").partition("+")[0])
    for number, words in enumerate(attempts, 1):
        try:
            run_tool([*pip, "--force-reinstall", "--no-deps", *words], lambda _line: None)
            if package.startswith("torch==") and needs_more(build, words):
                run_tool([*pip, *words], lambda _line: None)
            return
        except Fault:
            if number == len(attempts):
                raise
