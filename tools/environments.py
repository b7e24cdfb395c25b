# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual environments: one for the backend, one for each Blender. Set up once; a stamp with the lock's hash says so."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

from tools.pythons import find_python, fitting, installed_python
from tools.say import ROOT, BuildFault, StatusLine, clean_environment, run_quietly, say, step, tail
from tools.system_libraries import ensure_system_libraries
from tools.torch_build import torch_attempts, torch_kind

STAMP = "autter-setup.txt"


@dataclass(frozen=True)
class Environment:
    """A virtual environment. ``python``: exact minor version; ``locks``: files in requirements/; ``proof``: must import."""

    name: str
    folder: Path
    python: str
    locks: Tuple[str, ...]
    proof: str

    @property
    def interpreter(self) -> Path:
        """Its python."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def lock_files(self) -> List[Path]:
        """Its locks as paths."""
        return [ROOT / "requirements" / name for name in self.locks]


BACKEND = Environment("backend", ROOT / ".venv", "3.11", ("backend.txt", "sd15.txt", "test.txt"), "torch, mediapipe, av, diffusers, pytest")


def blender(version: str, python: str) -> Environment:
    """The environment of one Blender."""
    return Environment(
        "bpy-" + version, ROOT / ".venvs" / ("bpy-" + version), python, ("bpy-{}.txt".format(version),), "bpy, numpy, pytest"
    )


BLENDERS = {version: blender(version, python) for version, python in (("4.2", "3.11"), ("4.5", "3.11"), ("5.0", "3.11"), ("5.2", "3.13"))}


def preferred_blender() -> Environment:
    """The one Blender for demo and zip: one that is set up, else the newest whose Python is here."""
    newest_first = list(reversed(list(BLENDERS.values())))
    for environment in newest_first:
        if is_ready(environment):
            return environment
    for environment in newest_first:
        if installed_python(environment.python):
            return environment
    return BLENDERS["5.0"]


def fingerprint(environment: Environment) -> str:
    """sha256 over everything that decides what the environment holds."""
    digest = hashlib.sha256(environment.python.encode())
    for path in environment.lock_files:
        digest.update(path.read_bytes())
    if environment is BACKEND:
        digest.update(torch_kind().encode())
    return digest.hexdigest()


def is_ready(environment: Environment) -> bool:
    """Whether the environment was set up from the locks as they are now."""
    stamp = environment.folder / STAMP
    return environment.interpreter.exists() and stamp.exists() and stamp.read_text().strip() == fingerprint(environment)


def set_up(environments: Sequence[Environment]) -> None:
    """Make every environment that is not ready; let the backend's find this checkout."""
    make_missing(environments)
    if BACKEND in environments:
        for folder in [*BACKEND.folder.glob("lib/python*/site-packages"), *BACKEND.folder.glob("Lib/site-packages")]:
            (folder / "autter-source.pth").write_text(str(ROOT) + "\n")


def make_missing(environments: Sequence[Environment]) -> None:
    """Make every environment that is not ready."""
    waiting = [environment for environment in environments if not is_ready(environment)]
    if not waiting:
        return
    ensure_system_libraries()
    for number, environment in enumerate(waiting, 1):
        with step("Setting up {} ({} of {}) in {}".format(environment.name, number, len(waiting), environment.folder.relative_to(ROOT))):
            make(environment)


def make(environment: Environment) -> None:
    """Create the virtual environment if need be, install its locks, prove it and stamp it."""
    stamp = environment.folder / STAMP
    if stamp.exists():
        stamp.unlink()
    if fitting([str(environment.interpreter)], environment.python) is None:
        if environment.folder.exists():
            shutil.rmtree(environment.folder)
        python = find_python(environment.python)
        run_quietly([python, "-m", "venv", environment.folder], "Making a virtual environment with {}".format(python))
    if environment is BACKEND:
        install_torch(environment)
    locks: List[str] = []
    for path in environment.lock_files:
        locks += ["-r", str(path)]
    # The locks name every package, so pip need not (and must not) look for more.
    code, log = pip_install(environment, locks)
    if code != 0:
        raise BuildFault(
            "pip could not install {}.".format(" and ".join(environment.locks)), "Check the network. Last lines:\n" + tail(log)
        )
    proof = "Importing {} in {}".format(environment.proof, environment.name)
    run_quietly([environment.interpreter, "-c", "import " + environment.proof], proof)
    stamp.write_text(fingerprint(environment) + "\n")


def install_torch(environment: Environment) -> None:
    """Install the locked torch in the build for this machine, trying one source after another."""
    kind = torch_kind()
    pinned = locked_version(environment, "torch")
    say("    torch {} for {}".format(pinned, {"cpu": "the CPU", "cuda": "the NVIDIA card", "plain": "this Mac"}[kind]))
    log = ""
    for arguments in torch_attempts(pinned, kind):
        code, log = pip_install(environment, arguments)
        if code == 0:
            return
    raise BuildFault("torch {} could not be installed.".format(pinned), "Check the network and the disk space. Last lines:\n" + tail(log))


def locked_version(environment: Environment, package: str) -> str:
    """The version of ``package`` in the environment's locks."""
    for path in environment.lock_files:
        for line in path.read_text().splitlines():
            name, _, version = line.partition("==")
            if name.strip().lower() == package:
                return version.split(";")[0].strip()
    raise BuildFault("{} is not in {}.".format(package, ", ".join(environment.locks)))


def pip_install(environment: Environment, arguments: Sequence[str]) -> Tuple[int, str]:
    """Run pip with progress on one line; its exit code and its log."""
    # Modules are compiled when they are first imported: most of torch's and Blender's never are.
    options = ["--no-deps", "--no-input", "--prefer-binary", "--no-compile"]
    command = [str(environment.interpreter), "-m", "pip", "install", *options, *arguments]
    log: List[str] = []
    status, packages, began = StatusLine(), 0, time.monotonic()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environment({"PIP_DISABLE_PIP_VERSION_CHECK": "1"}), **pipes)
    assert process.stdout is not None
    for line in process.stdout:
        log.append(line.rstrip())
        packages += line.startswith(("Collecting ", "Processing "))
        if line.startswith(("Collecting ", "Processing ", "Installing ", "Building ")) or "Downloading " in line:
            status.show("{} packages  {}".format(packages, line.strip()[:90]))
    status.end()
    code = process.wait()
    if code == 0 and packages:
        say("    {} packages in {:.0f} s".format(packages, time.monotonic() - began))
    return code, "\n".join(log)
