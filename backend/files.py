# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing files so that nothing half-written is ever left: beside the target, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.faults import Fault
from bridge.half_written import LONGEST_NAME, partial_path, put_in_place, remove_abandoned

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SPARE_BYTES = 32 * 2**20  # left free for everybody else on the disk


@contextmanager
def written_beside(target: str | Path) -> Iterator[Path]:
    """Yields a hidden path beside ``target``; on a clean exit it takes the target's place, else it is removed.

    Makes missing folders. Raises Fault ``folder-read-only``, ``disk-full``, ``path-invalid`` or ``file-in-use``, also for errors
    of the operating system that the body raises.
    """
    target = Path(target)
    partial = partial_path(target)
    try:
        check_writable(target)
        remove_abandoned(target.parent)  # of this file or, since takes are numbered on, of another beside it
        yield partial
        put_in_place(partial, target)
    except OSError as error:
        raise fault_of(error, target) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def check_writable(target: str | Path) -> None:
    """Makes the target's folder and tries to write there. Raises Fault ``folder-read-only``, ``disk-full`` or ``path-invalid``."""
    target = Path(target)
    probe = partial_path(target).with_suffix(".probe")
    try:
        if target.is_dir():
            raise Fault("path-invalid", f"{target} is a folder.", "Add a file name to it.")
        if len(os.fsencode(target.name)) > LONGEST_NAME:  # the probe's own name is cut
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        target.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise fault_of(error, target) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def check_space(target: str | Path, needed: int) -> None:
    """Raises Fault ``disk-full`` where ``needed`` bytes would not fit beside the target."""
    free = shutil.disk_usage(Path(target).parent).free
    if free < needed + _SPARE_BYTES:
        sentence = (
            f"The disk of {Path(target).parent} has {free / 2**20:.0f} MB left; this needs about {(needed + _SPARE_BYTES) / 2**20:.0f}."
        )
        raise Fault("disk-full", sentence, "Make room, or choose a folder on another disk.")


def fault_of(error: OSError, target: Path) -> Fault:
    """What an error of the operating system means for a file that was to be written."""
    folder = target.parent
    if error.errno in _FULL:
        return Fault(
            "disk-full", f"The disk of {folder} is full; nothing was left behind.", "Make room, or choose a folder on another disk."
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL):
        return Fault("path-invalid", f"{target} cannot be a file's path ({error.strerror}).", "Choose another folder or name.")
    if target.exists() and error.errno == errno.EACCES and os.access(folder, os.W_OK):
        return Fault("file-in-use", f"{target.name} is open in another program.", "Close it there, or choose another name.")
    return Fault(
        "folder-read-only",
        f"The folder {folder} cannot be written to ({error.strerror or error}).",
        "Choose another folder, or change its permissions.",
    )
