# SPDX-License-Identifier: GPL-3.0-or-later
"""What build.py prints: lines, timed steps, one rewritten status line on a terminal, and failures as a sentence."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, List, Mapping, Optional, Sequence

ROOT = Path(__file__).resolve().parent.parent
QUIET_INTERVAL = 20.0  # seconds between status lines where the output is no terminal


class BuildFault(Exception):
    """Something the person at the keyboard can mend: one sentence and, if possible, what to do."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__("{} {}".format(sentence, hint).strip())


def say(text: str = "") -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Print a title now and the seconds it took at its end."""
    say("==> " + title)
    began = time.monotonic()
    yield
    say("    {:.0f} s".format(time.monotonic() - began))


class StatusLine:
    """One line that says how far a long step is: rewritten on a terminal, repeated now and then elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._began = self._last = time.monotonic()

    def show(self, text: str) -> None:
        """Say how far it is."""
        now = time.monotonic()
        line = "    {:4.0f} s  {}".format(now - self._began, text)
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write("\r" + line[:width].ljust(width))
            sys.stdout.flush()
        elif now - self._last >= QUIET_INTERVAL:
            self._last = now
            say(line)

    def end(self) -> None:
        """Clear the line."""
        if self._terminal:
            sys.stdout.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            sys.stdout.flush()


def clean_environment(extra: Optional[Mapping[str, str]] = None) -> "dict[str, str]":
    """This process's environment without what would lead another Python astray, plus ``extra``."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    environment.update(extra or {})
    return environment


def tail(text: str, lines: int = 15) -> str:
    """The last lines of a log, indented."""
    return "\n".join("    | " + line for line in text.strip().splitlines()[-lines:])


def run_quietly(arguments: Sequence[object], what: str, extra: Optional[Mapping[str, str]] = None) -> str:
    """Run a command; its output, or a BuildFault that says ``what`` failed and shows its last lines."""
    command: List[str] = [str(item) for item in arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=clean_environment(extra), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode != 0:
        raise BuildFault("{} failed (exit code {}).".format(what, done.returncode), "Its last lines:\n" + tail(done.stdout))
    return done.stdout
