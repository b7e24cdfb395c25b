# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that not everybody wants, such as those of the Stable Diffusion tier: added to an environment, and kept when it is renewed."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..faults import Fault
from ..half_written import put_in_place

NAMES = ("sd15",)
NOTE = "extras.txt"  # in an environment's folder: one name a line
EXTRA_MEGABYTES = {"sd15": 150}  # on disk, measured: 132


def lock_of(data: Path, name: str) -> Path:
    """The lock of an extra in a zip's data folder. Raises Fault ``setup-incomplete-zip``."""
    lock = data / f"{name}.txt"
    if name not in NAMES or not lock.is_file():
        raise Fault("setup-incomplete-zip", f"The list of packages {lock.name} is missing.", "Install the extension's zip again.")
    return lock


def noted(environment: Path) -> tuple[str, ...]:
    """The extras that an environment was given."""
    with suppress(OSError, ValueError):
        names = (environment / NOTE).read_text(encoding="utf-8").split()
        return tuple(name for name in names if name in NAMES)
    return ()


def note(environment: Path, data: Path, names: Iterable[str]) -> None:
    """Notes that they are there, and keeps their locks for ``doctor --fix``."""
    for name in names:
        shutil.copyfile(lock_of(data, name), environment / f"{name}.txt")
    partial = environment / f"{NOTE}.partial"
    partial.write_text("\n".join(names) + "\n", encoding="utf-8")
    put_in_place(partial, environment / NOTE)


def missing(lock: Path) -> list[str]:
    """``name==version`` of a lock that this very environment does not hold in any version."""
    pinned = re.findall(r"(?m)^([\w.-]+)==(\S+?)(?:\s*;.*)?$", lock.read_text(encoding="utf-8"))
    lost = []
    for name, version in pinned:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            lost.append(f"{name}=={version}")
    return lost
