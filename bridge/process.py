# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting the backend as a child process, reading its ready line, and making sure that it never outlives us.

The token is made here and goes to the child as the first line of its standard input; it appears in no argument list,
no environment and no file. That pipe then stays open: the child exits when it reaches its end, which happens however
this process dies. The child answers with one line of JSON on standard output (see ``Ready``).
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import channel, windows_job
from .faults import Fault
from .log import BackendLog

START_SECONDS = 60.0
STOP_SECONDS = 2.0
LONGEST_READY_LINE = 8192
INSTALL_HINT = "Install the backend from the add-on's preferences, or choose its Python there."
REPORT_HINT = "Look at the last lines of the backend's log with Copy report."


@dataclass(frozen=True)
class Ready:
    """The ready line: ``{"autter": "ready", "address": str, "protocol": int, "version": str, "pid": int}``.

    ``token`` stands in it only when nobody handed one in, that is when a person runs ``serve`` in a terminal.
    """

    address: str
    protocol: int
    version: str
    pid: int


def command_line(python: str | Path, arguments: Sequence[str] = ()) -> list[str]:
    """``python -P -s -u -m backend serve``: -P keeps the current folder, which may hold anything, off the import path."""
    return [str(python), "-P", "-s", "-u", "-m", "backend", "serve", *map(str, arguments)]


class BackendProcess:
    """One child. The thread that constructs it must live as long as the child (Linux ties the child to that thread)."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: BackendLog) -> None:
        self.token = secrets.token_hex(32)
        self.log = log
        self.address = ""
        self._started = time.monotonic()
        self._process = _spawn(command, environment)
        self._job = windows_job.tie_to_this_process(int(getattr(self._process, "_handle", 0)))
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._readers = [
            log.follow(self._process.stderr),
            threading.Thread(target=self._read_output, name="autter-backend-out", daemon=True),
        ]
        self._readers[1].start()
        first = {"token": self.token, "parent": os.getpid()}
        with suppress(OSError):  # already gone: `ready` will say so
            self._process.stdin.write(json.dumps(first).encode() + b"\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def ready(self, timeout: float = START_SECONDS) -> Ready:
        """Waits for the ready line. Raises Fault ``backend-start-timeout``, ``backend-start-failed`` or ``ready-line-garbled``."""
        ends = self._started + timeout
        noise = 0
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, ends - time.monotonic()))
            except queue.Empty:
                raise self._fault(
                    "backend-start-timeout",
                    f"The backend did not get ready within {timeout:.0f} seconds.",
                    "Try again; a first start reads much from disk and is slow.",
                ) from None
            if line is None:
                raise self._start_failure(noise)
            if (ready := _parse_ready(line)) is not None:
                self.address = ready.address
                return ready
            noise += 1
            self.log.add(line)

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status once the child has ended, None if it has not within ``timeout`` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def hang_up(self) -> None:
        """Closes the child's standard input, which asks it to finish."""
        assert self._process.stdin
        with suppress(OSError, ValueError):
            self._process.stdin.close()

    def kill(self) -> None:
        """Ends the child and whatever it started, now."""
        if self._process.poll() is not None:
            return
        with suppress(OSError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)  # its own session and group: see _spawn

    def finish(self) -> int | None:
        """Waits for the child's end, collects its last words and removes what it left behind. Its exit status."""
        status = self._process.wait()
        for reader in self._readers:
            reader.join(1.0)  # a grandchild may still hold the pipe
        self.hang_up()
        job, self._job = self._job, None
        windows_job.close(job)
        channel.remove_socket(self.address)
        return status

    def _read_output(self) -> None:
        stream = self._process.stdout
        assert stream
        with suppress(OSError, ValueError):
            while line := stream.readline(LONGEST_READY_LINE):
                self._lines.put(line.decode("utf-8", "replace"))
        self._lines.put(None)

    def _start_failure(self, noise: int) -> Fault:
        status = self.wait(2.0)
        if status is None:
            return self._fault("ready-line-garbled", "The backend closed its output without saying where it listens.", REPORT_HINT)
        self._readers[0].join(1.0)
        if noise:
            return self._fault(
                "ready-line-garbled",
                f"The backend wrote something else than its ready line and ended ({_status_words(status)}).",
                REPORT_HINT,
            )
        return self._fault(
            "backend-start-failed", f"The backend ended while starting ({_status_words(status)}).", _start_hint(self.log.tail())
        )

    def _fault(self, code: str, sentence: str, hint: str) -> Fault:
        return Fault(code, sentence, hint, self.log.tail())


class RestartLimiter:
    """Allows so many starts in so many seconds, so that a backend that dies at once is not started for ever."""

    def __init__(self, most: int = 5, seconds: float = 60.0) -> None:
        self.most, self.seconds = most, seconds
        self._starts: deque[float] = deque()

    def check(self, now: float | None = None) -> None:
        """Notes a start. Raises Fault ``backend-restarts`` when there were too many."""
        now = time.monotonic() if now is None else now
        while self._starts and now - self._starts[0] >= self.seconds:
            self._starts.popleft()
        if len(self._starts) >= self.most:
            wait = self.seconds - (now - self._starts[0])
            raise Fault(
                "backend-restarts",
                f"The backend was started {self.most} times within {self.seconds:.0f} seconds and is given a rest of {wait:.0f} seconds.",
                REPORT_HINT,
            )
        self._starts.append(now)


class Backoff:
    """How long to wait before the next start: not at all after a long life, longer and longer after deaths that follow at once."""

    def __init__(self, quick: float = 10.0, first: float = 0.5, longest: float = 30.0) -> None:
        self._quick, self._first, self._longest = quick, first, longest
        self._deaths = 0

    def died(self, lived: float) -> None:
        """Notes that a backend ended unasked after so many seconds."""
        self._deaths = self._deaths + 1 if lived < self._quick else 0

    @property
    def seconds(self) -> float:
        """0 after the first quick death, which may have been the job's fault; then doubling."""
        return min(self._longest, self._first * 2.0 ** (self._deaths - 2)) if self._deaths > 1 else 0.0


def died(status: int | None, log_tail: str) -> Fault:
    """The fault for a backend that ended while it was needed."""
    hint = "Run it again: a new backend is started for it."
    if status in (-9, 137):
        hint = "It may have run out of memory: close other programs or render fewer frames. " + hint
    return Fault("backend-died", f"The backend ended unexpectedly ({_status_words(status)}).", hint, log_tail)


def _spawn(command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        options["start_new_session"] = True  # Ctrl-C in Blender's terminal is not meant for the backend
    try:
        # The home folder as current folder: never one that is deleted, locked or full of strange modules.
        return subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_quiet_folder(),
            env=environment,
            **options,
        )
    except FileNotFoundError:
        raise Fault("backend-python-missing", f"There is no Python for the backend at {command[0]}.", INSTALL_HINT) from None
    except (OSError, ValueError) as error:
        raise Fault(
            "backend-start-failed",
            f"The backend's Python at {command[0]} cannot be started: {getattr(error, 'strerror', None) or error}.",
            INSTALL_HINT,
        ) from None


def _quiet_folder() -> str | None:
    home = os.path.expanduser("~")
    return home if os.path.isdir(home) and os.access(home, os.X_OK) else None


def _parse_ready(line: str) -> Ready | None:
    try:
        data = json.loads(line)
        if data["autter"] != "ready":
            return None
        return Ready(str(data["address"]), int(data["protocol"]), str(data["version"]), int(data["pid"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _start_hint(log_tail: str) -> str:
    if "No module named backend" in log_tail or "No module named 'backend'" in log_tail:
        return "That Python does not hold AUtter's backend. " + INSTALL_HINT
    if "nknown option: -P" in log_tail:
        return "The backend needs Python 3.11 or later. " + INSTALL_HINT
    if "ModuleNotFoundError" in log_tail or "ImportError" in log_tail:
        return "A package is missing from the backend's environment: install the backend again from the add-on's preferences."
    return REPORT_HINT


def _status_words(status: int | None) -> str:
    if status is None:
        return "it still runs but does not answer"
    if status < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"
