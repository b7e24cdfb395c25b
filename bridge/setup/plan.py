# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be installed, where, and how large it is: shown before anything happens."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .. import paths
from ..faults import Fault
from .extras import EXTRA_MEGABYTES, lock_of, noted
from .hardware import DISK_MEGABYTES, DOWNLOAD_MEGABYTES, Hardware, find_hardware, torch_build

LOCK = "backend.txt"
PROOF = "backend, bridge, torch, mediapipe, av, onnxruntime"  # must be importable at the end
PYTHONS = ((3, 11), (3, 12), (3, 13))
_WHEEL_END = 2**17  # bytes
_LONGEST_ROOT = 120  # characters; packages need about 130 more, and Windows ends at 260


@dataclass(frozen=True)
class Plan:
    """``data``: folder with the backend's wheel and locks. ``folder``: the environment to make. ``source``: folder of wheels to
    install from without a network, or None. ``proof``: modules that must import at the end. ``extras``: see ``extras.py``. Sizes are
    megabytes.
    """

    data: Path
    folder: Path
    python: Path
    build: str
    reason: str
    disk: int
    download: int
    source: Path | None = None
    proof: str = PROOF
    extras: tuple[str, ...] = ()

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.data / LOCK

    @property
    def temporary(self) -> Path:
        """Where the tools put their temporary files: on the environment's own disk."""
        return self.folder / "temporary"

    @property
    def wheel(self) -> Path:
        """The backend's wheel. Raises Fault ``setup-incomplete-zip``."""
        found = sorted(self.data.glob("autter-*.whl"))
        if not found or not self.lock.is_file():
            raise Fault("setup-incomplete-zip", f"The backend's files are missing from {self.data}.", "Install the extension's zip again.")
        return found[-1]

    def to_dict(self) -> dict[str, str | int]:
        """What a panel shows."""
        return {
            "folder": str(self.folder),
            "build": self.build,
            "reason": self.reason,
            "disk": self.disk,
            "download": 0 if self.source else self.download,
        }


def make_plan(
    data: Path,
    source: Path | None = None,
    python: Path | None = None,
    build: str | None = None,
    proof: str = PROOF,
    extras: Sequence[str] = (),
    hardware: Hardware | None = None,
) -> Plan:
    """The plan for this computer. ``build``: a build of torch instead of the one found. Extras of the environment in use are kept.
    ``hardware``: what ``find_hardware`` found before, None to look now.

    Raises Fault ``setup-incomplete-zip``, ``setup-python``, ``setup-source``, ``setup-hardware`` or ``setup-path``.
    """
    if source is not None and not source.is_dir():
        raise Fault("setup-source", f"{source} is no folder of wheels.", "Choose the folder that holds the downloaded .whl files.")
    python = python or own_python()
    hardware = hardware or find_hardware()
    if hardware.system == "Darwin" and hardware.machine not in ("arm64", "aarch64"):
        hint = "Use a Mac with Apple's own processor, or render on another computer with Export Job."
        raise Fault("setup-hardware", "torch is no longer made for Macs with an Intel processor.", hint)
    found, reason = torch_build(hardware)
    if build is not None:
        found, reason = build, "Chosen by hand."
    names = tuple(sorted({*extras, *noted(paths.default_environment())}))
    more = sum(EXTRA_MEGABYTES[lock_of(data, name).stem] for name in names)
    disk, download = DISK_MEGABYTES.get(found, 3000) + more, DOWNLOAD_MEGABYTES.get(found, 1000) + more // 2
    plan = Plan(data, Path(), python, found, reason, disk, download, source, proof, names)
    folder = paths.environments_dir() / name_of(plan)
    if sys.platform == "win32" and len(str(folder)) > _LONGEST_ROOT:
        hint = f"Choose a shorter folder with the variable {paths.HOME_VARIABLE}, e.g. C:\\autter."
        raise Fault("setup-path", f"{folder} is too long for Windows.", hint)
    return replace(plan, folder=folder)


def name_of(plan: Plan) -> str:
    """A name that says what is in the environment: two versions stand side by side, the same one is found again."""
    digest = hashlib.sha256(plan.lock.read_bytes() if plan.lock.is_file() else b"")
    with plan.wheel.open("rb") as file:  # its end lists every file with its checksum: enough, and quick
        file.seek(-min(_WHEEL_END, plan.wheel.stat().st_size), os.SEEK_END)
        digest.update(file.read())
    return f"{plan.wheel.name.split('-')[1]}-{plan.build}-{digest.hexdigest()[:8]}"


def own_python() -> Path:
    """The Python that environments are made with: Blender's own, or the one that runs this. Raises Fault ``setup-python``."""
    if sys.version_info[:2] not in PYTHONS:
        hint = "Use Blender as blender.org offers it, 4.2 to 5.2, or choose a Python 3.11, 3.12 or 3.13 in the preferences."
        raise Fault("setup-python", f"Python {sys.version_info[0]}.{sys.version_info[1]} cannot run the backend.", hint)
    base = Path(getattr(sys, "_base_executable", "") or sys.executable)
    for candidate in (base, Path(sys.executable)):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise Fault("setup-python", "Blender's own Python was not found.", "Choose a Python 3.11, 3.12 or 3.13 in the preferences.")


def check_place(plan: Plan) -> None:
    """Raises Fault ``setup-read-only`` or ``disk-full`` before anything is begun."""
    there = plan.folder.parent
    try:
        there.mkdir(parents=True, exist_ok=True)
        probe = there / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        hint = f"Choose another folder with the variable {paths.HOME_VARIABLE}."
        raise Fault("setup-read-only", f"{there} cannot be written to ({error.strerror or error}).", hint) from error
    free = shutil.disk_usage(there).free // 2**20
    needed = plan.disk if free >= plan.disk else plan.disk - _megabytes(plan.folder)  # a former attempt's share is there already
    if free < needed:
        sentence = f"The backend needs about {needed} MB; the disk of {there} has {free} MB left."
        raise Fault("disk-full", sentence, f"Make room, or choose another folder with the variable {paths.HOME_VARIABLE}.")


def _megabytes(folder: Path) -> int:
    """What lies in a folder."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size
    return size // 2**20
