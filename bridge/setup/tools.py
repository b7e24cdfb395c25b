# SPDX-License-Identifier: GPL-3.0-or-later
"""Running venv and pip: their lines become progress, their failures a sentence."""

from __future__ import annotations

import re
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..environment import child_environment
from ..faults import Fault

Report = Callable[[str, float, str], None]  # phase, share of the whole 0..1, what is done right now
SHARES = {"venv": (0.0, 0.04), "torch": (0.04, 0.45), "packages": (0.45, 0.88), "backend": (0.88, 0.92), "proof": (0.92, 1.0)}
PIP_OPTIONS = ("--no-input", "--prefer-binary", "--no-compile", "--disable-pip-version-check")
PIP = "pip==25.3"  # goes on with downloads that are cut off, and tells how far they are; what Blender's Python brings does neither
_RAW_PROGRESS, _RESUME = (24, 1), (25, 1)  # the first pips that tell bytes as lines of text, and that go on with a file
_NETWORK = re.compile(r"NewConnectionError|ConnectionError|Temporary failure|timed? ?out|ProxyError|SSLError|getaddrinfo", re.IGNORECASE)


@lru_cache(maxsize=8)
def download_options(interpreter: Path) -> tuple[str, ...]:
    """How that environment's pip is asked for progress that a program can read, and to go on with what is cut off."""
    try:
        asked = subprocess.run([str(interpreter), "-m", "pip", "--version"], capture_output=True, text=True, env=child_environment())
        version = tuple(int(number) for number in asked.stdout.split()[1].split(".")[:2])
    except (OSError, ValueError, IndexError):
        version = (0, 0)
    return options_of_pip(version)


def options_of_pip(version: tuple[int, ...]) -> tuple[str, ...]:
    """Of ``download_options``, what a pip of this version understands."""
    progress = "--progress-bar=raw" if version >= _RAW_PROGRESS else "--progress-bar=off"
    return (progress, "--resume-retries=20") if version >= _RESUME else (progress,)


def teller(report: Report, phase: str) -> Callable[[str], None]:
    """Turns a tool's lines into progress within the phase's share of the whole."""
    low, high = SHARES[phase]
    seen: set[str] = set()
    state = {"detail": ""}

    def tell(line: str) -> None:
        if line.startswith("Progress "):  # pip's raw progress: "Progress 1024 of 4096"
            numbers = [int(word) for word in line.split() if word.isdigit()]
            part = numbers[0] / numbers[1] if len(numbers) == 2 and numbers[1] else 0.0
        elif line.startswith(("Collecting ", "Processing ", "Downloading ", "Using cached ", "Installing ")) or "Downloading " in line:
            state["detail"], part = line.strip()[:100], 0.0
            if line.startswith(("Collecting ", "Processing ")):
                seen.add(line)
        else:
            return
        share = 1 - 0.94 ** (len(seen) + part)  # how many there will be is not known here
        report(phase, low + (high - low) * min(share, 0.99), state["detail"])

    return tell


def run_tool(command: Sequence[Any], tell: Callable[[str], None], temporary: Path | None = None) -> None:
    """Runs a tool to its end. Raises Fault ``setup-network``, ``disk-full`` or ``setup-failed`` with its last lines.

    ``temporary``: the folder for its temporary files, which a tool that is killed cannot remove itself.
    """
    words = [str(word) for word in command]
    place = {} if temporary is None else {name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")}
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    process = subprocess.Popen(words, env=child_environment(place), text=True, encoding="utf-8", errors="replace", **options)
    last: deque[str] = deque(maxlen=40)
    assert process.stdout
    try:
        for line in process.stdout:
            if not line.startswith("Progress "):
                last.append(line.rstrip())
            tell(line)
        status = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if status:
        raise _fault("\n".join(last))


def _fault(log: str) -> Fault:
    if "No space left" in log or "ENOSPC" in log:
        return Fault("disk-full", "The disk became full while the backend was set up.", "Make room and press the button again.", log)
    if _NETWORK.search(log):
        hint = "Look at the network, or at HTTPS_PROXY and pip's configuration, and press the button again: it goes on where it stopped."
        return Fault("setup-network", "A package could not be downloaded.", hint, log)
    if "No matching distribution" in log or "ResolutionImpossible" in log:  # the latter where pip's configuration names constraints
        hint = "Look at the network, at HTTPS_PROXY, pip's mirror and constraints, or the offline folder: it needs all of data/backend.txt."
        return Fault("setup-network", "A package was not found where pip looks.", hint, log)
    return Fault("setup-failed", "The backend could not be set up.", "Look at the last lines with Copy report, then try Repair.", log)
