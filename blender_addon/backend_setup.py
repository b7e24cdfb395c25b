# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-up of the backend's environment that is under way: one at a time, in a process of its own, asked by ticks."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from . import backend_link, reports
from .bridge.faults import Fault
from .bridge.setup.child import SetupProcess, SetupState
from .bridge.setup.hardware import Hardware, find_hardware
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
LINES_MEGABITS = (50, 300)  # a second: a usual connection and a good one
UNPACKED_MEGABYTES = 20  # a second, by pip onto a usual disk
_process: SetupProcess | None = None
_looking: threading.Thread | None = None
_hardware: Hardware | None = None


def look_ahead() -> None:
    """Looks at this computer beside the main thread, once: the driver of a graphics card may take long to wake, and the click that
    shows the plan comes later."""
    global _looking
    if _looking is None:
        _looking = threading.Thread(target=_look, name="autter-hardware", daemon=True)
        _looking.start()


def _look() -> None:
    global _hardware
    _hardware = find_hardware()


def plan(source: str = "", extras: tuple[str, ...] = ()) -> Plan:
    """What would be installed. Waits for ``look_ahead``, where nothing called it before. Raises Fault."""
    look_ahead()
    if _looking is not None:
        _looking.join()
    return make_plan(DATA, Path(source) if source else None, extras=extras, hardware=_hardware)


def time_words(plan: Plan) -> str:
    """How long it will take, for the dialog: nobody knows the connection, so for two of them; from a folder it is unpacking alone."""
    unpacking = plan.disk / UNPACKED_MEGABYTES
    if plan.source is not None:
        return f"Time: about {max(1, round(unpacking / 60))} min"
    minutes = [max(1, round((plan.download * 8 / megabits + unpacking) / 60)) for megabits in LINES_MEGABITS]
    return "Time: " + ", ".join(f"about {count} min at {megabits} Mbit/s" for count, megabits in zip(minutes, LINES_MEGABITS))


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
