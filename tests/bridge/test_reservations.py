# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are spoken for: by one program at a time, and by none that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge import reservations
from bridge.half_written import place_of_this_process
from bridge.reservations import is_held_by, release, release_all, reserve

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[2]
NUMBERS = """
import sys, time
from pathlib import Path
from bridge.reservations import reserve
folder = Path(sys.argv[1])
while not (folder / "go").exists():
    time.sleep(0.001)
mine = []
for number in range(60):
    path = folder / f"take{number:03d}.mp4"
    if reserve(path):
        mine.append(number)
print(*mine, flush=True)
sys.stdin.readline()
"""


def another(folder: Path) -> subprocess.Popen[str]:
    """Another program that speaks for every name it can have, and then waits."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", NUMBERS, str(folder)], env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes)


def test_two_programs_never_have_the_same_name(tmp_path: Path) -> None:
    programs = [another(tmp_path) for _ in range(3)]
    (tmp_path / "go").touch()
    theirs = [set(map(int, program.stdout.readline().split())) for program in programs]
    assert all(is_held_by(tmp_path, program.pid) == bool(names) for program, names in zip(programs, theirs, strict=True))
    assert sorted(number for numbers in theirs for number in numbers) == list(range(60))
    assert not reserve(tmp_path / "take007.mp4")
    for program in programs:
        program.kill()
        program.communicate()
        assert not is_held_by(tmp_path, os.getpid())
    assert reserve(tmp_path / "take007.mp4"), "a killed program keeps its names"
    assert is_held_by(tmp_path, os.getpid()) and not is_held_by(tmp_path / "no folder", os.getpid())
    release_all()
    assert not (tmp_path / ".take007.mp4.reserved").exists() and (tmp_path / ".take008.mp4.reserved").exists()


def test_spoken_for_once_more_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "Ünï.mp4"
    assert reserve(path) and reserve(path)
    release(path)
    release(path)
    assert list(tmp_path.iterdir()) == []
    marker = tmp_path / ".Ünï.mp4.reserved"
    for content in (f"{place_of_this_process()} {os.getpid()}", f"{place_of_this_process()} 0{2**30}"):
        marker.write_text(content)  # of a program that had our number before us; of none
        assert reserve(path)
        release(path)
    for content in ("0123abcd 7", "", "what is this", f"{place_of_this_process()} {os.getppid()}"):
        marker.write_text(content)
        assert not reserve(path), content
    os.utime(marker, (time.time() - 2 * reservations._FORGOTTEN_SECONDS,) * 2)
    assert not reserve(path), "its program still runs"
    marker.write_text("0123abcd 7")
    os.utime(marker, (time.time() - 2 * reservations._FORGOTTEN_SECONDS,) * 2)
    assert reserve(path)
    release(path)
    with pytest.raises(OSError):
        reserve(tmp_path / "no folder" / "a.mp4")
