# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of files that are going to be written, spoken for so that two programs that number their files on never choose the same.

A hidden file ``.NAME.reserved`` beside the place tells who wants it. It goes when the file is there or given up; one whose program was
killed counts for nothing.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from .half_written import is_here, place_of_this_process, runs

_FORGOTTEN_SECONDS = 86400.0  # another computer's reservation, of which nothing more is heard
_ours: set[Path] = set()


def reserve(path: Path) -> bool:
    """Speaks for the name, perhaps once more; False where another program did before. Raises OSError where nothing can be written."""
    marker = _marker(path)
    if marker in _ours:
        return True
    for _ in range(2):
        try:
            handle = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            if not _is_forgotten(marker):
                return False
            with suppress(OSError):
                marker.unlink()
            continue
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{place_of_this_process()} {os.getpid()}\n")
        _ours.add(marker)
        return True
    return False


def release(path: Path) -> None:
    """Gives the name back, if it was this program's."""
    _remove(_marker(path))


def remove_forgotten(folder: Path) -> None:
    """Removes reservations of programs that were killed."""
    with suppress(OSError):
        for marker in folder.glob(".*.reserved"):
            if marker not in _ours and _is_forgotten(marker):
                with suppress(OSError):
                    marker.unlink()


def is_held_by(folder: Path, pid: int) -> bool:
    """Whether the program of that number on this computer speaks for a name in ``folder``."""
    with suppress(OSError, ValueError):
        return any(_owner(marker) == pid for marker in folder.glob(".*.reserved"))
    return False


def release_all() -> None:
    """Gives back every name that this program spoke for."""
    for marker in list(_ours):
        _remove(marker)


def _marker(path: Path) -> Path:
    return path.with_name(f".{path.name}.reserved")


def _remove(marker: Path) -> None:
    if marker in _ours:
        _ours.discard(marker)
        with suppress(OSError):
            marker.unlink()


def _owner(marker: Path) -> int | None:
    """The number of the program on this computer that holds a reservation; None for another computer's. Raises OSError, ValueError."""
    where, _, number = marker.read_text(encoding="ascii").strip().partition(" ")
    return int(number) if is_here(where) and number.isdigit() else None


def _is_forgotten(marker: Path) -> bool:
    try:
        owner = _owner(marker)
        if owner is not None:
            return owner == os.getpid() or not runs(owner)  # ours would be among ours: a former program's number
        return time.time() - marker.stat().st_mtime > _FORGOTTEN_SECONDS
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
