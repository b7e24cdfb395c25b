# SPDX-License-Identifier: GPL-3.0-or-later
"""Being interrupted: an exception to catch, and an exit code of the program's own whatever ran when it came."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.unit, pytest.mark.skipif(sys.platform == "win32", reason="signals")]
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, signal, sys
from bridge.interrupt import raise_when_interrupted

if "ignored" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
raise_when_interrupted()
try:
    exec(f"os.kill(os.getpid(), {sys.argv[1]})\\nfor _ in range(1000): pass")
except KeyboardInterrupt:
    sys.exit(130)
sys.exit(7)
"""


def run(folder: Path, *words: str) -> int:
    (folder / "interrupted_program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(folder)))}
    return subprocess.run([sys.executable, "-m", "interrupted_program", *words], env=environment, timeout=60).returncode


def test_a_program_interrupted_within_a_string_of_code_ends_with_its_own_exit_code(tmp_path: Path) -> None:
    """As when Ctrl-C comes while modules load: dataclasses and named tuples are made by ``exec`` and ``eval``."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of nohup would inherit that it is ignored
    try:
        assert [run(tmp_path, str(int(kind))) for kind in (signal.SIGINT, signal.SIGTERM)] == [130, 130]
    finally:
        signal.signal(signal.SIGINT, previous)


def test_an_ignored_interrupt_stays_ignored(tmp_path: Path) -> None:
    assert run(tmp_path, str(int(signal.SIGINT)), "ignored") == 7
