# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing beside and renaming."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from backend_samples import fault_of

from backend.files import check_space, written_beside

pytestmark = pytest.mark.unit


def test_the_target_is_untouched_until_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "a.txt"
    with written_beside(target) as partial:
        partial.write_text("first")
        assert not target.exists() and partial.name.startswith(".")
    assert target.read_text() == "first"
    with pytest.raises(RuntimeError), written_beside(target) as partial:
        partial.write_text("second")
        raise RuntimeError
    assert target.read_text() == "first" and [path.name for path in target.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk-full"), (errno.EACCES, "folder-read-only"), (errno.EROFS, "folder-read-only")]
)
def test_errors_of_the_system_become_faults(tmp_path: Path, number: int, code: str) -> None:
    def write() -> None:
        with written_beside(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise OSError(number, os.strerror(number))

    assert fault_of(write).code == code and not list(tmp_path.iterdir())


def test_leftovers_of_a_killed_process_go_with_the_next_write(tmp_path: Path) -> None:
    names = (".a[1].txt.11.partial", ".a[1].txt.12.partial", ".take_01.mp4.13.partial", ".take_01.mp4.13.signed.partial", ".mine.partial")
    old, new, other, signed, foreign = (tmp_path / name for name in names)
    for path in (old, new, other, signed, foreign):
        path.touch()
        if path != new:
            os.utime(path, (time.time() - 9000,) * 2)
    with written_beside(tmp_path / "a[1].txt") as partial:
        partial.write_text("whole")
    assert not old.exists() and new.exists(), "somebody may still be writing to the other"
    assert not other.exists() and not signed.exists() and foreign.exists(), "only what bears a process's number is ours"


def test_space_is_looked_at(tmp_path: Path) -> None:
    check_space(tmp_path / "a", 1000)
    assert fault_of(lambda: check_space(tmp_path / "a", 10**18)).code == "disk-full"
