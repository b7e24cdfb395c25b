# SPDX-License-Identifier: GPL-3.0-or-later
"""The marker of an environment that is being made: which steps are done, and which process works there."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import paths
from ..faults import Fault
from ..half_written import put_in_place, runs
from .tools import SHARES

MARKER = "incomplete"


def is_complete(folder: Path) -> bool:
    """Whether an environment was made to its end."""
    return paths.environment_python(folder).exists() and not (folder / MARKER).exists()


def notes_of(folder: Path) -> dict[str, Any]:
    """What the marker says; nothing where there is none."""
    with suppress(OSError, ValueError):
        return dict(json.loads((folder / MARKER).read_text(encoding="utf-8")))
    return {}


def note(folder: Path, done: list[str]) -> None:
    """Writes the marker: the steps that are done, and this process."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{MARKER}.partial"
    partial.write_text(json.dumps({"done": done, "pid": os.getpid()}), encoding="utf-8")
    put_in_place(partial, folder / MARKER)


def clear(folder: Path) -> None:
    """Empties a folder but for its marker."""
    for entry in folder.iterdir():
        if entry.name != MARKER:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def claim(folder: Path) -> None:
    """Puts the marker there, and keeps a second set-up out of the folder. Raises Fault ``setup-busy``."""
    notes = notes_of(folder)
    other = int(notes.get("pid", 0))
    if other and other != os.getpid() and _is_setting_up(other):
        raise Fault("setup-busy", "The backend is being set up already, by another Blender.", "Wait for it, or cancel it there.")
    done = list(notes.get("done", []))
    if is_complete(folder):  # about to be repaired: all but the proof stands
        done = [step for step in SHARES if step != "proof"]
    note(folder, done)


def _is_setting_up(pid: int) -> bool:
    if not runs(pid):
        return False
    with suppress(OSError):  # the number may belong to another program by now
        return b"bridge.setup" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return True
