# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: one listener, a thread for each client, one worker. ``serve`` is the command line's ``serve``."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import platform
import secrets
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from bridge import PROTOCOL, VERSION, half_written, reservations
from bridge.channel import Listener, welcome
from bridge.faults import Fault
from bridge.messages import Message

from . import lifeline
from .connection import Actions, ClientConnection
from .jobs import JobQueue
from .memory import resident_megabytes
from .remote_files import remove_abandoned
from .runner import Runner
from .tier_news import TierNews
from .work import LogTail, run_jobs

MOST_CLIENTS = 16
JOB_STOP_SECONDS = 3.0  # what a running job gets to notice its cancellation and remove its half-written file
EXIT_SECONDS = 8.0
PARENT_END_SECONDS = 0.5  # a program that is killed closes its pipes a moment before it is gone
WARM_UP_SECONDS = 1.0
IDLE_VARIABLE, IDLE_SECONDS = "AUTTER_IDLE_SECONDS", 600.0  # without a job for so long, the models' memory is given back
LOG_LEVEL_VARIABLE = "AUTTER_LOG_LEVEL"
log = logging.getLogger("autter.serve")


class Server:
    """Serves until ``stop``. ``runner`` does the work; see ``runner.Runner``."""

    def __init__(self, runner: Runner, token: str, *, tcp: bool = False, files_travel: bool = False, port: int = 0) -> None:
        self._runner, self._token, self._files_travel = runner, token, files_travel
        self._listener = Listener(tcp=tcp, port=port)
        self.address = self._listener.address
        self._jobs = JobQueue(self._let_go, _idle_seconds())
        self._tail = LogTail()
        self._device = ""
        self._tiers = TierNews(runner)
        self._clients: set[ClientConnection] = set()
        self._seats = threading.Semaphore(MOST_CLIENTS)
        self._lock = threading.Lock()  # guards _clients
        self._stopped = threading.Event()
        self._free_wanted = threading.Event()
        self._actions = Actions(self.status, self._free_memory, self.stop)

    def start(self) -> None:
        """Starts listening and working, in threads."""
        logging.getLogger("autter").addHandler(self._tail)
        for work in (self._accept, self._work):
            threading.Thread(target=work, name=f"autter-{work.__name__[1:]}", daemon=True).start()

    def wait(self) -> None:
        """Waits until ``stop`` was called, then ends the running job, tells the clients and closes."""
        # A plain wait would keep a signal's handler from running on Windows.
        while not self._stopped.wait(1.0 if sys.platform == "win32" else None):
            pass
        self._listener.close()
        self._jobs.close()
        self._jobs.idle(JOB_STOP_SECONDS)
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.close(0.5)
        logging.getLogger("autter").removeHandler(self._tail)

    def stop(self, reason: str) -> None:
        """Asks the server to end; may be called from any thread and from a signal's handler."""
        if not self._stopped.is_set():
            log.info("stopping: %s", reason)
            self._stopped.set()

    def status(self) -> dict[str, Any]:
        """Fields of a ``status`` event."""
        return {
            **self._jobs.summary(),
            "device": self._device,
            "memory_mb": round(resident_megabytes(), 1),
            "version": VERSION,
            "python": platform.python_version(),
            "pid": os.getpid(),
            "tiers": self._tiers.current(),
        }

    def _accept(self) -> None:
        while (accepted := self._listener.accept()) is not None:
            if not self._seats.acquire(blocking=False):
                accepted.close()  # strangers who connect and say nothing must not use up our threads
                continue
            threading.Thread(target=self._serve_client, args=(accepted,), name="autter-client", daemon=True).start()

    def _serve_client(self, accepted: socket.socket) -> None:
        try:
            channel = welcome(accepted, self._token)
            if channel is None:
                log.warning("a connection without the token was refused")
                return
            client = ClientConnection(channel, self._jobs, self._actions, self._files_travel)
            with self._lock:
                self._clients.add(client)
            try:
                client.serve()
            finally:
                with self._lock:
                    self._clients.discard(client)
                channel.release()
        finally:
            self._seats.release()

    def _work(self) -> None:
        # A job that comes along with the first client is served before the large imports.
        later = threading.Timer(WARM_UP_SECONDS, self._jobs.add_chore, (self._warm_up,))
        later.daemon = True
        later.start()
        run_jobs(self._jobs, self._runner, self._tail)

    def _warm_up(self) -> None:
        try:
            self._device = self._runner.warm_up()
            self._tiers.start()
        except Fault as fault:  # the first job will say it again, to somebody who asked
            log.warning("warm-up: %s", fault)
        self._tell_all()

    def _free_memory(self) -> None:
        self._jobs.add_chore(self._let_go)

    def _let_go(self) -> None:
        self._runner.free_memory()
        self._tell_all()

    def _tell_all(self) -> None:
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.tell(Message("status", None, self.status()))


def serve(*, parent_watch: bool = True, tcp: bool = False, files_travel: bool = False, port: int = 0) -> int:
    """Runs the backend's server until its parent, a client or a signal ends it; the exit status.

    With ``parent_watch`` the first line of standard input is ``{"token": str, "parent": int}`` and the end of standard
    input ends the server. In a terminal, or without ``parent_watch``, a token is made here and shown in the ready line.
    ``tcp``: listen on 127.0.0.1 where a socket file would be the choice, at ``port`` or any that is free. ``files_travel``: clients are
    on other computers, behind a tunnel, and send their files.
    """
    from .pipeline_runner import PipelineRunner

    return serve_with(PipelineRunner(), parent_watch=parent_watch, tcp=tcp, files_travel=files_travel, port=port)


def serve_with(runner: Runner, *, parent_watch: bool = True, tcp: bool = False, files_travel: bool = False, port: int = 0) -> int:
    """``serve`` with a runner of the caller's."""
    ready_line = _own_output()
    faulthandler.enable()  # a crash of native code leaves its traceback in the log
    level = logging.getLevelName(os.environ.get(LOG_LEVEL_VARIABLE, "INFO").upper())
    logging.basicConfig(
        stream=sys.stderr, level=level if isinstance(level, int) else logging.INFO, format="%(asctime)s %(name)s %(message)s"
    )
    parent = os.getppid()
    by_hand = not parent_watch or sys.stdin is None or sys.stdin.isatty()
    token = secrets.token_hex(32) if by_hand else _given_token()
    server = Server(runner, token, tcp=tcp, files_travel=files_travel, port=port)
    if files_travel:
        remove_abandoned()
    lifeline.handle_signals(server.stop)
    if parent_watch:
        lifeline.watch(server.stop, child=not by_hand)
    server.start()
    told = {"autter": "ready", "address": server.address, "protocol": PROTOCOL, "version": VERSION, "pid": os.getpid()}
    _write_line(ready_line, {**told, "token": token} if by_hand else told)
    if files_travel:
        end = f"127.0.0.1:{server.address.rpartition(':')[2]}"
        log.info("on the computer with Blender: ssh -N -L %s:%s USER@%s", end, end, platform.node() or "THIS-COMPUTER")
    server.wait()
    lifeline.limit_ending(EXIT_SECONDS)
    _leave_nothing(parent)
    logging.shutdown()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(0)  # threads of native libraries and a job that does not stop must not keep the process alive


def _leave_nothing(parent: int) -> None:
    """A job that did not heed its cancellation in time leaves no half-written file, nor a Blender that was killed its movie's name."""
    half_written.remove_own()
    ends = time.monotonic() + PARENT_END_SECONDS
    for folder in half_written.own_folders():
        while half_written.runs(parent) and reservations.is_held_by(folder, parent) and time.monotonic() < ends:
            time.sleep(0.01)
        reservations.remove_forgotten(folder)


def _idle_seconds() -> float | None:
    """Seconds without a job after which models are let go; None for never (0 or less in the variable)."""
    try:
        seconds = float(os.environ.get(IDLE_VARIABLE, IDLE_SECONDS))
    except ValueError:
        seconds = IDLE_SECONDS
    return seconds if seconds > 0 else None


def _own_output() -> int:
    """Keeps standard output for the ready line alone: what libraries print goes to the error stream."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    return own


def _given_token() -> str:
    try:
        token = json.loads(lifeline.read_first_line())["token"]
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or len(token) < 32:
        raise Fault(
            "token-missing",
            "The backend was started without a token on its standard input.",
            "Start it from the add-on, or by hand in a terminal.",
        )
    return token


def _write_line(descriptor: int, data: dict[str, Any]) -> None:
    with suppress(OSError), os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(data) + "\n")
