# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-up of the backend's environment that is under way: one at a time, in a process of its own, asked by ticks."""

from __future__ import annotations

import time
from pathlib import Path

from . import backend_link, reports
from .bridge.faults import Fault
from .bridge.setup.child import SetupProcess, SetupState
from .bridge.setup.plan import Plan, make_plan

DATA = Path(__file__).resolve().parent / "data"
PHASES = {
    "plan": "Looking at this computer",
    "starting": "Looking at this computer",
    "venv": "Making a Python environment",
    "torch": "Getting torch",
    "packages": "Getting packages",
    "backend": "Installing the backend",
    "proof": "Trying it",
    "done": "Done",
}
PUMP_SECONDS = 0.05
_process: SetupProcess | None = None


def plan(source: str = "", extras: tuple[str, ...] = ()) -> Plan:
    """What would be installed. Raises Fault."""
    return make_plan(DATA, Path(source) if source else None, extras=extras)


def start(task: str, source: str = "", extras: tuple[str, ...] = ()) -> None:
    """Starts "install", "repair" or "uninstall". Raises Fault ``setup-busy`` while another is under way."""
    global _process
    if is_running():
        raise Fault("setup-busy", "The backend is being set up already.", "Wait for it, or cancel it.")
    if task != "install":
        backend_link.close()
    options = ["--source", source] if source else []
    _process = SetupProcess(task, DATA, [*options, *(word for name in extras for word in ("--extra", name))])
    backend_link.touch()


def is_running() -> bool:
    """Whether a set-up is under way."""
    return _process is not None and not _process.state.ended


def state() -> SetupState | None:
    """Progress of the one under way."""
    return _process.state if _process is not None else None


def words() -> str:
    """The progress in a line of the panel."""
    now = state()
    return f"{PHASES.get(now.phase, now.phase)}  {now.share:.0%}" if now is not None else ""


def poll() -> SetupState | None:
    """Takes in progress; one that has ended is reported once and returned."""
    global _process
    if _process is None:
        return None
    before = (_process.state.phase, _process.state.share)
    now = _process.poll()
    if before != (now.phase, now.share):
        backend_link.touch()
    if not now.ended:
        return None
    _process = None
    if now.fault is not None:
        reports.note_fault(now.fault)
    backend_link.touch()
    return now


def wait(longest: float) -> SetupState:
    """Pumps ``poll`` to the end, for scripts and background mode. Raises the set-up's fault."""
    ends = time.monotonic() + longest
    while (ended := poll()) is None:
        if time.monotonic() > ends:
            cancel()
            raise Fault("setup-slow", f"The set-up took longer than {longest:.0f} seconds.", "Start it again: it goes on where it stopped.")
        time.sleep(PUMP_SECONDS)
    if ended.fault is not None:
        raise ended.fault
    return ended


def cancel() -> None:
    """Stops it; what is done stays for the next time."""
    global _process
    if _process is not None:
        _process.cancel()
        _process = None
        backend_link.touch()
