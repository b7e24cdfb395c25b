# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are being written: their names, their removal when nobody writes them any more, and their last step."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge import half_written
from bridge.half_written import partial_path, put_in_place, remove_abandoned

pytestmark = pytest.mark.unit


def ended_pid() -> int:
    """The number of a process that runs no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def of_another(path: Path, pid: int, where: str = "") -> Path:
    """The path under which another process would write ``path``."""
    name = partial_path(path).name.replace(f".{os.getpid()}.", f".{pid}.")
    return path.with_name(name.replace(half_written.place_of_this_process(), where) if where else name)


def test_what_a_killed_process_left_goes_at_once_and_what_is_being_written_stays(tmp_path: Path) -> None:
    movie, pid = tmp_path / "take ü 1.mp4", ended_pid()
    left, signed = of_another(movie, pid), of_another(movie, pid).with_suffix(".signed.partial")
    mine, parents, elsewhere = partial_path(movie), of_another(movie, os.getppid()), of_another(movie, pid, "0123abcd")
    foreign, whole = tmp_path / ".notes.partial", tmp_path / "take.12.partial.mp4"
    for path in (left, signed, mine, parents, elsewhere, foreign, whole):
        path.touch()
    assert set(remove_abandoned(tmp_path)) == {left, signed}
    os.utime(elsewhere, (time.time() - 2 * half_written.ABANDONED_SECONDS,) * 2)
    os.utime(foreign, (0, 0))
    assert remove_abandoned(tmp_path) == [elsewhere], "another computer's, long after"
    assert mine.exists() and parents.exists() and foreign.exists() and whole.exists()
    assert remove_abandoned(tmp_path / "no such folder") == []


@pytest.mark.parametrize("name", ["a.mp4", "x" * 251 + ".mp4", "ü" * 125 + ".mp4", "人" * 83 + ".mov"])
def test_a_name_that_just_fits_the_disk_can_be_written(name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    partial = partial_path(target)
    signed = partial.with_name(partial.name.replace(".partial", ".signed.partial"))
    for path in (partial, signed):
        path.write_text("whole")
    put_in_place(signed, target)
    assert target.read_text() == "whole" and partial.name.startswith(".") and partial.name.endswith(".partial")


def test_a_file_that_is_held_for_a_moment_is_tried_again_under_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a virus scanner, which looks at each new file."""
    true, refusals = os.replace, [PermissionError(13, "held"), PermissionError(13, "held")]

    def held(source: Path, target: Path) -> None:
        if refusals:
            raise refusals.pop()
        true(source, target)

    partial, target = tmp_path / ".a.1.partial", tmp_path / "a"
    partial.touch()
    monkeypatch.setattr(half_written.os, "replace", held)
    with pytest.raises(PermissionError):
        put_in_place(partial, target)  # elsewhere a refusal is final
    monkeypatch.setattr(half_written.sys, "platform", "win32")
    put_in_place(partial, target)
    assert target.exists() and not partial.exists()
    refusals += [PermissionError(13, "held")] * 1000
    monkeypatch.setattr(half_written, "RENAME_SECONDS", 0.1)
    with pytest.raises(PermissionError):
        put_in_place(target, partial)
