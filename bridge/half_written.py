# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are being written: hidden beside their place under a name that tells who writes, put in place when they are whole.

The name ends in ``.WHERE.PID.partial``. WHERE stands for the computer's run and, under Linux, the space in which its process numbers
count, so that what a killed process left is told from what somebody writes at this moment, also in a folder that several computers share.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import time
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path

from . import windows_job

LONGEST_NAME = 255  # bytes, on nearly every file system
ABANDONED_SECONDS = 3600.0  # a file of which nothing else is known is left alone for so long after the last write
RENAME_SECONDS = 2.0  # what a virus scanner gets to let go of a file that was just written
_STEPS = ("signed", "raw")  # what is made out of a file, or before it, lies beside it under the same name
_OF_A_PROCESS = re.compile(rf"\..+?(?:\.(?P<where>[0-9a-f]{{8}}))?\.(?P<pid>\d+)(?:\.(?:{'|'.join(_STEPS)}))?\.partial")
_begun: deque[Path] = deque(maxlen=64)


def partial_path(target: Path) -> Path:
    """The hidden path beside ``target`` under which this process writes it, however long its name is."""
    ending = f".{place_of_this_process()}.{os.getpid()}.partial"
    room = LONGEST_NAME - len(ending) - len(".signed") - 1
    name = os.fsencode(target.name)[:room].decode("utf-8", "ignore") if len(os.fsencode(target.name)) > room else target.name
    partial = target.with_name(f".{name}{ending}")
    _begun.append(partial)
    return partial


def remove_own() -> None:
    """What a process that ends now must not leave: its own files that are not in their place."""
    for partial in list(_begun):
        for path in (partial, *(partial.with_suffix(f".{step}.partial") for step in _STEPS)):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def own_folders() -> set[Path]:
    """Where this process wrote of late."""
    return {partial.parent for partial in list(_begun)}


def put_in_place(partial: Path, target: Path) -> None:
    """``partial`` takes the place of ``target``. Raises OSError.

    Under Windows a virus scanner may hold a new file for a moment; there a refusal is final only when it lasts.
    """
    ends = time.monotonic() + RENAME_SECONDS
    while True:
        try:
            os.replace(partial, target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > ends:
                raise
            time.sleep(0.05)


def remove_abandoned(folder: Path) -> list[Path]:
    """Removes what processes left in a folder that were killed before they could do it; the paths."""
    removed = []
    with suppress(OSError):
        for leftover in folder.glob(".*.partial"):
            with suppress(OSError):
                if _is_abandoned(leftover):
                    leftover.unlink()
                    removed.append(leftover)
    return removed


def _is_abandoned(path: Path) -> bool:
    found = _OF_A_PROCESS.fullmatch(path.name)
    if found is None:
        return False
    if is_here(found["where"] or "") and not runs(int(found["pid"])):
        return True
    return time.time() - path.stat().st_mtime > ABANDONED_SECONDS


def is_here(where: str) -> bool:
    """Whether such a WHERE means the computer and the process numbers of this process."""
    return where == place_of_this_process()


def runs(pid: int) -> bool:
    """Whether a process of that number runs here; True where that cannot be asked."""
    if sys.platform == "win32":
        return windows_job.is_running(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    with suppress(OSError, IndexError):  # one that has ended and waits to be collected counts as ended
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    return True


@cache
def place_of_this_process() -> str:
    """WHERE: eight digits for this computer since it was started, and for the space of its process numbers."""
    told = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
        with suppress(OSError):
            told.append(Path(path).read_text(encoding="ascii", errors="replace").strip())
    with suppress(OSError):
        told.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]
