# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a Python of an exact minor version on this machine, or fetch one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, Optional

from tools.say import ROOT, BuildFault, say

PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
FETCHER = ROOT / ".venvs" / "uv"  # where uv is put if it is needed and not there


def find_python(version: str) -> Path:
    """A Python of exactly ``version`` ("3.11") that can make virtual environments; fetched if there is none."""
    found = installed_python(version)
    if found is None:
        say("    no Python {} here: fetching one with uv".format(version))
        found = fetched_python(version)
    if found is None:
        raise BuildFault(
            "Python {} was not found and could not be fetched.".format(version),
            "Install it (python.org, pyenv, or your package manager, with its venv module) and run this again.",
        )
    return found


def installed_python(version: str) -> Optional[Path]:
    """The first fitting Python on this machine, or None."""
    for candidate in candidates(version):
        path = fitting(candidate, version)
        if path is not None:
            return path
    return None


def candidates(version: str) -> Iterator[List[str]]:
    """Commands that may start a Python of ``version``, likeliest first."""
    if "%d.%d" % sys.version_info[:2] == version:
        yield [str(Path(getattr(sys, "_base_executable", sys.executable)))]
    on_path = shutil.which("python" + version)
    if on_path:
        yield [on_path]
    for folder in sorted(pyenv_versions().glob(version + "*"), reverse=True):
        yield [str(folder / "python.exe" if os.name == "nt" else folder / "bin" / "python")]
    if os.name == "nt" and shutil.which("py"):
        yield ["py", "-" + version]
    for folder in ("/usr/local/bin", "/opt/homebrew/bin", "/usr/bin"):
        yield [folder + "/python" + version]
    for uv in uv_commands():
        path = uv_find(uv, version)
        if path:
            yield [path]


def pyenv_versions() -> Path:
    """The folder where pyenv keeps its Pythons."""
    if os.name == "nt":
        return Path(os.environ.get("PYENV", str(Path.home() / ".pyenv" / "pyenv-win"))) / "versions"
    return Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"


def fitting(command: List[str], version: str) -> Optional[Path]:
    """The interpreter's path if ``command`` starts one of ``version`` that can make virtual environments."""
    try:
        done = subprocess.run(command + ["-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != 2 or lines[0] != version:
        return None
    return Path(lines[1])


def uv_commands() -> Iterator[List[str]]:
    """The ways to start uv that exist here."""
    if shutil.which("uv"):
        yield ["uv"]
    helper = FETCHER / ("Scripts/uv.exe" if os.name == "nt" else "bin/uv")
    if helper.exists():
        yield [str(helper)]


def uv_find(uv: List[str], version: str) -> Optional[str]:
    """A Python that uv manages, or None."""
    done = subprocess.run(uv + ["python", "find", "--no-project", version], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def fetched_python(version: str) -> Optional[Path]:
    """Let uv install a Python of ``version``; put uv itself into a helper environment if need be."""
    uv = next(uv_commands(), None) or installed_uv()
    if uv is None or subprocess.run(uv + ["python", "install", version]).returncode != 0:
        return None
    path = uv_find(uv, version)
    return fitting([path], version) if path else None


def installed_uv() -> Optional[List[str]]:
    """uv in an environment of its own, or None where that fails."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    python = FETCHER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(FETCHER)], check=True, **quiet)
        subprocess.run([str(python), "-m", "pip", "install", "uv"], check=True, **quiet)
    except (OSError, subprocess.CalledProcessError):
        return None
    return next(uv_commands(), None)
