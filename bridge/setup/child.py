# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the set-up beside Blender: started, asked for its progress without waiting, cancelled, never left behind."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import windows_job
from ..environment import child_environment
from ..faults import Fault
from .plan import own_python

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the bridge
_GOES_ON = "Press the button again: it goes on where it stopped."
_START = "import sys; sys.path.append(sys.argv.pop(1)); from bridge.setup.main import main; sys.exit(main())"


@dataclass
class SetupState:
    """What the panel shows. ``fault``: why it stopped; ``ended``: it runs no more; ``result``: what the program said at its end."""

    phase: str = "starting"
    share: float = 0.0
    detail: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    fault: Fault | None = None
    result: dict[str, Any] = field(default_factory=dict)


class SetupProcess:
    """One run of ``main`` in a process of its own. Nothing here waits, not even for the process to be started."""

    def __init__(self, task: str, data: Path, options: Sequence[str] = (), python: Path | None = None) -> None:
        self.state = SetupState()
        self._python, self._words = python, [task, "--data", str(data), "--parent", str(os.getpid()), *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # guards _process and _cancelled between the thread that starts it and ``cancel``
        self._cancelled, self._over = False, threading.Event()
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._last: list[str] = []
        threading.Thread(target=self._live, name="autter-setup", daemon=True).start()

    def poll(self) -> SetupState:
        """Takes in what was said since the last call."""
        while not self.state.ended and not self._lines.empty():
            self._take(self._lines.get_nowait())
        return self.state

    def cancel(self) -> None:
        """Ends the program and the tools that it runs; what is done stays for the next time."""
        threading.Thread(target=self._end, name="autter-setup-end", daemon=True).start()
        if not self.state.ended:
            self.state.ended = True
            self.state.fault = Fault("cancelled", "The set-up was cancelled.", _GOES_ON)

    def wait(self, seconds: float) -> bool:
        """Waits until the program has ended; False if it has not after ``seconds``. For tests and the way out only."""
        return self._over.wait(seconds)

    def _live(self) -> None:
        """Starts the program and reads what it says, in a thread: a start takes milliseconds in which Blender would stand still."""
        try:
            with self._lock:
                self._process = process = None if self._cancelled else _started(self._python or own_python(), self._words)
        except Fault as fault:
            self._lines.put(json.dumps({"ended": True, "fault": fault.to_dict()}).encode())
            process = None
        if process is not None:
            job = windows_job.tie_to_this_process(int(getattr(process, "_handle", 0)))
            assert process.stdout
            for line in process.stdout:
                self._lines.put(line)
            process.stdout.close()
            process.wait()
            windows_job.close(job)
            self._lines.put(None)
        self._over.set()

    def _end(self) -> None:
        with self._lock:
            self._cancelled, process = True, self._process
        if process is None or process.poll() is not None:
            return
        with suppress(OSError):
            if sys.platform == "win32":
                subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], creationflags=subprocess.CREATE_NO_WINDOW)
            else:
                os.killpg(process.pid, signal.SIGKILL)

    def _take(self, line: bytes | None) -> None:
        state = self.state
        if line is None:
            state.ended = True
            state.fault = Fault(
                "setup-died",
                "The set-up ended unexpectedly.",
                "Press the button again: it goes on where it stopped.",
                "\n".join(self._last),
            )
            return
        try:
            said = json.loads(line)
            if said.get("ended"):
                state.ended, state.result = True, said
                state.fault = Fault.from_dict(said["fault"]) if "fault" in said else None
            else:
                state.phase, state.share, state.detail = str(said["phase"]), float(said["share"]), str(said["detail"])
                state.plan = said if said["phase"] == "plan" else state.plan
        except (ValueError, KeyError, TypeError, AttributeError):
            self._last = [*self._last[-30:], line.decode("utf-8", "replace").rstrip()]


def _started(python: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """The program, in a group of its own. Raises Fault ``setup-python``."""
    command = [str(python), "-P", "-s", "-u", "-c", _START, str(_PACKAGE_ROOT), *words]
    group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        return subprocess.Popen(command, env=child_environment(), **pipes, **group)
    except OSError as error:
        hint = "Install Blender again, or look at its permissions."
        raise Fault("setup-python", f"Blender's own Python cannot be started ({error.strerror or error}).", hint) from None
