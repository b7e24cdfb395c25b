# SPDX-License-Identifier: GPL-3.0-or-later
"""Making the environment: steps that can each be broken off and begun again, and nothing counts until all are done.

While it is being made, the folder holds the marker ``incomplete``. The former environment stays in use until the new
one has proved that it works; then one small file names the new one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .. import paths
from ..environment import child_environment
from ..faults import Fault
from ..half_written import put_in_place
from . import extras
from .claim import MARKER, claim, clear, is_complete, note, notes_of
from .hardware import DISK_MEGABYTES, PYPI_BUILD, needs_more, torch_sources
from .plan import LOCK, Plan, check_place
from .tools import PIP, PIP_OPTIONS, SHARES, Report, download_options, run_tool, teller

# Run in the environment itself. RECORD is read, not `Distribution.files`, which leaves out what is missing since Python 3.12.
# Every file must be there in its length; with the word "contents" it is read, too, and must have the sha256 that it was installed with.
_CHECK = """
import base64, csv, hashlib, importlib.metadata, json, os, sys
def is_whole(path, digest, size):
    try:
        if size and os.stat(path).st_size != int(size):
            return False
        if sys.argv[1:] != ["contents"] or not digest.startswith("sha256="):
            return os.path.exists(path)
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
        return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == digest.removeprefix("sha256=")
    except OSError:
        return False
broken = set()
for found in importlib.metadata.distributions():
    for name, digest, size in csv.reader((found.read_text("RECORD") or "").splitlines()):
        if not name.endswith(".pyc") and not is_whole(found.locate_file(name), digest, size):
            broken.add(found.metadata["Name"] + "==" + found.version)
print(json.dumps(sorted(broken)))
"""


LONGEST_CHECK = 600.0  # seconds: a slow disk is read once


def install(plan: Plan, report: Report) -> Path:
    """Makes the plan's environment, or goes on where a former attempt stopped; its folder.

    Raises Fault ``setup-failed``, ``setup-network``, ``setup-read-only``, ``disk-full`` or ``setup-busy``; the former environment then
    stays the one in use.
    """
    if is_complete(plan.folder) and not broken(plan.folder):
        with _temporary(plan):
            _add_extras(plan, report)
        make_current(plan.folder)
        report("done", 1.0, "It was there already.")
        return plan.folder
    check_place(plan)
    try:
        claim(plan.folder)
        with _temporary(plan):
            _make(plan, report)
            shutil.copyfile(plan.lock, plan.folder / LOCK)  # for `doctor --fix`
            _add_extras(plan, report)
        (plan.folder / MARKER).unlink()
    except OSError as error:
        raise Fault("setup-failed", f"{plan.folder} could not be written ({error.strerror or error}).", "Look at its disk.") from error
    make_current(plan.folder)
    remove_others(plan.folder)
    report("done", 1.0, "The backend is set up.")
    return plan.folder


def _make(plan: Plan, report: Report) -> None:
    interpreter = paths.environment_python(plan.folder)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("venv", lambda: _make_environment(plan, interpreter, report)),
        ("torch", lambda: _install_torch(plan, interpreter, report)),
        ("packages", lambda: _pip(interpreter, plan, ["-r", str(plan.lock)], report, "packages")),
        ("backend", lambda: _pip(interpreter, plan, ["--force-reinstall", str(plan.wheel)], report, "backend")),
        ("proof", lambda: _prove(plan, report)),
    ]
    done = set(notes_of(plan.folder).get("done", []))
    if "venv" in done and not interpreter.exists():
        done = set()  # the Python it was made with is gone
    if not done and plan.folder.exists():
        clear(plan.folder)
        plan.temporary.mkdir()
    for name, work in steps:
        if name in done:
            continue
        report(name, SHARES[name][0], "")
        work()
        done.add(name)
        note(plan.folder, sorted(done))


def _make_environment(plan: Plan, interpreter: Path, report: Report) -> None:
    """An empty environment, with a newer pip than Blender's Python brings, if it is to be had: the old one does as well, but says less."""
    run_tool([plan.python, "-m", "venv", plan.folder], teller(report, "venv"), plan.temporary)
    if plan.source is not None and not any(plan.source.glob("pip-*.whl")):
        return
    with suppress(Fault):
        _pip(interpreter, plan, ["--retries", "1", "--timeout", "15", PIP], report, "venv")
    download_options.cache_clear()


def _prove(plan: Plan, report: Report) -> None:
    """What was installed can be imported."""
    command = [paths.environment_python(plan.folder), "-P", "-s", "-c", f"import {plan.proof}"]
    run_tool(command, teller(report, "proof"), plan.temporary)


@contextmanager
def _temporary(plan: Plan) -> Iterator[None]:
    """A folder for the tools' temporary files inside the environment: what a killed pip leaves there goes with the next attempt."""
    shutil.rmtree(plan.temporary, ignore_errors=True)
    plan.temporary.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(plan.temporary, ignore_errors=True)


def _add_extras(plan: Plan, report: Report) -> None:
    """Adds what is wanted beside the backend itself; an environment in use may be added to, for nothing in it is changed."""
    wanted = [name for name in plan.extras if name not in extras.noted(plan.folder)]
    for name in wanted:
        report("packages", SHARES["packages"][0], f"Adding the packages of {name}")
        lock = extras.lock_of(plan.data, name)
        _pip(paths.environment_python(plan.folder), plan, ["-r", str(lock), "--constraint", str(plan.lock)], report, "packages")
    if wanted:
        extras.note(plan.folder, plan.data, plan.extras)


def broken(folder: Path, contents: bool = False) -> list[str]:
    """``name==version`` of packages of an environment that miss files or hold cut ones; empty where all is well, "python" where that does
    not start. ``contents``: every file is read and compared with its checksum, which takes some seconds for each GB.
    """
    return broken_in(paths.environment_python(folder), contents)


def broken_in(python: Path, contents: bool = False) -> list[str]:
    """``broken`` of the environment that has this Python."""
    command = [str(python), "-P", "-s", "-c", _CHECK, *(["contents"] if contents else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=child_environment(), timeout=LONGEST_CHECK)
        return list(json.loads(done.stdout.splitlines()[-1]))
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return ["python"]


def repair(plan: Plan, report: Report) -> list[str]:
    """Installs again what misses files or holds damaged ones; the names. An environment whose Python is gone is made anew.

    Raises what ``install`` raises, and Fault ``setup-in-use`` while another Blender's backend runs from it.
    """
    _check_unused(plan.folder)
    report("proof", 0.0, "Reading every file")
    found = broken(plan.folder, contents=True) if plan.folder.exists() else ["python"]
    if found == ["python"] or not is_complete(plan.folder):
        if found == ["python"] and plan.folder.exists():
            note(plan.folder, [])
        install(plan, report)
        return found
    claim(plan.folder)
    with _temporary(plan):
        for number, name in enumerate(found):
            report("packages", number / len(found), f"Installing {name} again")
            _install_again(plan, name, report)
        _prove(plan, report)
    (plan.folder / MARKER).unlink()
    make_current(plan.folder)
    report("done", 1.0, f"{len(found)} packages were repaired." if found else "Nothing was wrong.")
    return found


def _install_again(plan: Plan, name: str, report: Report) -> None:
    interpreter = paths.environment_python(plan.folder)
    package = name.partition("==")[0].lower()
    if package == "torch":
        _install_torch(plan, interpreter, report, ("--force-reinstall",))
        return
    what = str(plan.wheel) if package == "autter" else name
    _pip(interpreter, plan, ["--force-reinstall", what], report, "packages")


def make_current(folder: Path) -> None:
    """Names the environment that is used from now on."""
    pointer = paths.current_environment_file()
    partial = pointer.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(folder.name + "\n", encoding="utf-8")
    put_in_place(partial, pointer)


def remove_others(keep: Path) -> None:
    """Removes environments that are neither in use nor being made. One that a backend still runs from stays until next time."""
    for folder in keep.parent.iterdir() if keep.parent.is_dir() else ():
        if folder != keep and folder.is_dir() and not (folder / MARKER).exists() and not _runs(folder):
            shutil.rmtree(folder, ignore_errors=True)


def uninstall() -> list[Path]:
    """Removes environments, models, logs, keys, caches and the copy of the sample; the folders that were removed.

    Takes and .blend files are not touched. Raises Fault ``setup-in-use`` while another Blender's backend runs.
    """
    _check_unused(paths.environments_dir())
    removed = []
    ours = [paths.environments_dir(), paths.models_dir(), paths.logs_dir(), paths.cache_dir()]
    for folder in (*ours, paths.user_data_dir() / "credentials", paths.user_data_dir() / "sample"):
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    for file in (paths.current_environment_file(), paths.user_data_dir() / "speeds.json"):
        file.unlink(missing_ok=True)
    with suppress(OSError):
        paths.user_data_dir().rmdir()  # only if nothing of somebody else's lies there
    return removed


def _install_torch(plan: Plan, interpreter: Path, report: Report, extra: Sequence[str] = ()) -> None:
    """The locked torch in the plan's build, one source after another."""
    pinned = re.search(r"(?mi)^torch==([^\s;+]+)", plan.lock.read_text(encoding="utf-8"))
    if pinned is None:
        return
    attempts = torch_sources(plan.build, pinned[1])
    for number, arguments in enumerate(attempts, 1):
        try:
            _pip(interpreter, plan, [*extra, *arguments], report, "torch")
            if needs_more(plan.build, arguments):
                _pip(interpreter, plan, [*arguments, "--constraint", str(plan.lock)], report, "torch", needs=True)
            return
        except Fault as fault:
            if number == len(attempts) or fault.code == "disk-full" or not _room_for(plan, attempts[number]):
                raise


def _room_for(plan: Plan, arguments: Sequence[str]) -> bool:
    """Whether the next attempt fits on the disk: PyPI's build is far larger than the one for processors."""
    large = needs_more(plan.build, list(arguments)) and plan.build == "cpu"
    return not large or shutil.disk_usage(plan.folder).free // 2**20 > DISK_MEGABYTES[PYPI_BUILD]


def _pip(interpreter: Path, plan: Plan, arguments: Sequence[str], report: Report, phase: str, needs: bool = False) -> None:
    offline = ["--no-index", "--find-links", str(plan.source)] if plan.source is not None else []
    # The locks name every package but a card's libraries, so pip need not, and must not, look for more.
    alone = [] if needs else ["--no-deps"]
    run_tool(
        [interpreter, "-m", "pip", "install", *alone, *PIP_OPTIONS, *download_options(interpreter), *offline, *arguments],
        teller(report, phase),
        plan.temporary,
    )


def _runs(folder: Path) -> bool:
    """Whether a process runs from an environment; where that cannot be seen, a fresh one is taken as in use."""
    if not Path("/proc/self/cmdline").exists():
        return time.time() - folder.stat().st_mtime < 86400
    return _started_from(folder)


def _check_unused(folder: Path) -> None:
    """Nothing is taken away under a program that runs, where running programs can be seen."""
    if _started_from(folder):
        hint = "Stop the backend in every other Blender (panel Backend), or quit them, then try again."
        raise Fault("setup-in-use", "A backend is running, perhaps another Blender's.", hint)


def _started_from(folder: Path) -> bool:
    """Whether a process was started by a Python in or below a folder."""
    start = os.fsencode(folder) + os.fsencode(os.sep)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().startswith(start):
                return True
    return False
