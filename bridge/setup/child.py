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
    """One run of ``main`` in a process of its own. ``poll`` and ``cancel`` never wait."""

    def __init__(self, task: str, data: Path, options: Sequence[str] = (), python: Path | None = None) -> None:
        self.state = SetupState()
        command = [str(python or own_python()), "-P", "-s", "-u", "-c", _START, str(_PACKAGE_ROOT), task, "--data", str(data)]
        command += ["--parent", str(os.getpid())]
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = subprocess.Popen([*command, *options], env=child_environment(), **pipes, **group)
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._last: list[str] = []
        threading.Thread(target=self._read, name="autter-setup", daemon=True).start()

    def poll(self) -> SetupState:
        """Takes in what was said since the last call."""
        with suppress(queue.Empty):
            while not self.state.ended:
                self._take(self._lines.get_nowait())
        return self.state

    def cancel(self) -> None:
        """Ends the program and the tools that it runs; what is done stays for the next time."""
        with suppress(OSError):
            if sys.platform == "win32":
                subprocess.Popen(["taskkill", "/F", "/T", "/PID", str(self._process.pid)], creationflags=subprocess.CREATE_NO_WINDOW)
            else:
                os.killpg(self._process.pid, signal.SIGKILL)
        if not self.state.ended:
            self.state.ended = True
            self.state.fault = Fault("cancelled", "The set-up was cancelled.", _GOES_ON)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._process.wait()
        self._lines.put(None)

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
