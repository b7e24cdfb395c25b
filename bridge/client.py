# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's side of the backend. No call here waits (``close`` alone may, and says how long).

A ``Client`` belongs to one thread, Blender's main thread: requests go into a queue, and ``poll`` hands out what has
arrived. Requests made before the backend is ready are held. A backend that dies fails its open jobs; the next request
starts a new one. A timer, a modal operator or a plain loop can drive it.
"""

from __future__ import annotations

import enum
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from . import paths
from .environment import child_environment
from .faults import Fault
from .messages import Message, pack_shot
from .process import START_SECONDS, STOP_SECONDS, Backoff, RestartLimiter, command_line
from .reuse import Reuse
from .session import Ended, Session
from .shot import Shot, Track

FINAL_EVENTS = frozenset(("result", "failed"))
_job_numbers = itertools.count(1)  # for all clients of this program, so that a late result is never taken for another job's


class BackendState(enum.Enum):
    """What the panel shows of the backend."""

    OFF = "off"
    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    FAILED = "failed"


@dataclass(frozen=True)
class Event:
    """Something that happened: ``kind`` is one of ``messages.EVENTS``.

    ``header`` by kind: ``progress`` done, total, eta_s, phase; ``failed`` code, sentence, hint, log_tail;
    ``status`` and ``hello`` device, memory_mb, version; ``result`` as the request says. ``arrays`` by name:
    ``preview`` has ``image``, (height, width, 3) uint8.
    """

    kind: str
    job: int | None
    header: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class TakeMemory:
    """Where a render remembers how it came about: ``folder`` of the take, ``project`` folder, ``record`` of plain data."""

    folder: Path
    project: Path | None = None
    record: dict[str, Any] = field(default_factory=dict)


class Client:
    """Starts ``python -m backend serve`` when it is first needed and talks to it.

    ``environment`` adds to or overrides the child's environment. ``log_path``: the backend's log file, by default in
    ``paths.logs_dir()``. Jobs are numbers that no two clients of this program share.
    """

    def __init__(
        self,
        python: str | Path,
        *,
        arguments: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        log_path: Path | None = None,
        command: Sequence[str] | None = None,
        start_seconds: float = START_SECONDS,
        limiter: RestartLimiter | None = None,
    ) -> None:
        self._command = list(command) if command is not None else command_line(python, arguments)
        self._environment = environment
        self._start_seconds = start_seconds
        self._limiter = limiter or RestartLimiter()
        self.log_path = log_path if log_path is not None else paths.logs_dir() / "backend.log"
        self.state = BackendState.OFF
        self.device = ""
        self.memory_mb = 0.0
        self.tiers: dict[str, dict[str, Any]] = {}  # by tier: ready, sentence, hint, need_gb by preset, free_gb
        self.backend_version = ""
        self.last_fault: Fault | None = None
        self._session: Session | None = None
        self._backoff, self._started = Backoff(), 0.0
        self._open: set[int] = set()
        self._local: list[Event] = []  # events of our own making, for the next poll

    @property
    def open_jobs(self) -> frozenset[int]:
        """Jobs that have neither a result nor a failure yet."""
        return frozenset(self._open)

    def start(self) -> None:
        """Starts the backend unless it runs. Raises Fault ``backend-restarts`` when it was started too often."""
        if self._session is not None:
            return
        try:
            self._limiter.check()
        except Fault as fault:
            self.state, self.last_fault = BackendState.FAILED, fault
            raise
        self.state, self.last_fault = BackendState.STARTING, None
        self._session, self._started = self._open_session(), time.monotonic()

    def _open_session(self) -> Session:
        environment = child_environment(self._environment)
        return Session(self._command, environment, self.log_path, self._start_seconds, self._backoff.seconds)

    def find_portrait(self, path: str | Path) -> int:
        """Result: header ``portrait_size`` [width, height]; arrays ``landmarks`` (162, 2), ``mesh`` (478, 3), float32 pixels."""
        text = str(path)
        return self._request("portrait", lambda: ({"path": text}, {}))

    def predict(self, shot: Shot, *, window: tuple[int, int] | None = None, edited: tuple[int, int] | None = None) -> int:
        """Result: ``Track.from_message(event.header, event.arrays)``. The shot's arrays must not be changed afterwards.

        ``window``: only these rows (first, end) of the shot, as in the whole prediction. ``edited``: rows whose keys changed since the
        whole was predicted; all rows that they reach come back, to be laid over the old ones (``bridge.edits``).
        """
        more = {name: None if rows is None else [int(rows[0]), int(rows[1])] for name, rows in (("window", window), ("edited", edited))}
        return self._request("predict", lambda: _extended(pack_shot(shot), more))

    def render(
        self,
        shot: Shot,
        track: Track,
        out_path: str | Path,
        frames: tuple[int, int] | None = None,
        *,
        keep_partial: bool = False,
        reuse: Reuse | None = None,
        memory: TakeMemory | None = None,
    ) -> int:
        """Result: header ``path``, ``seconds``, ``report``. ``frames``: first row and the row after the last, None for all.

        ``keep_partial``: a cancelled render ends with a result, a movie of the frames done so far (``report["cancelled"]``).
        ``reuse``: frames that are taken over from a former movie. ``memory``: where to write what made the take.
        """
        more: dict[str, Any] = {"out_path": str(out_path), "keep_partial": keep_partial}
        if reuse is not None:
            more["reuse"] = {"path": reuse.path, "runs": [list(run) for run in reuse.runs]}
        if memory is not None:
            more.update(folder=str(memory.folder), project=str(memory.project or ""), record=memory.record)
        more["frames"] = None if frames is None else [int(frames[0]), int(frames[1])]
        writes = [Path(out_path).parent, *([Path(memory.folder)] if memory is not None else [])]
        return self._request("render", lambda: _extended(pack_shot(shot, track), more), writes)

    def capture(self, path: str | Path) -> int:
        """A video of a face. Result: ``Track.from_message(event.header, event.arrays)``, with estimated AUs."""
        text = str(path)
        return self._request("capture", lambda: ({"path": text}, {}))

    def preview_frame(self, shot: Shot, track: Track, frame: int, *, small: bool = False) -> int:
        """One rendered frame (a row of the track). Result: array ``image``, (height, width, 3) uint8.

        ``small``: at most 512 pixels wide and high, for a quick look.
        """
        more = {"frame": int(frame), "small": small}
        return self._request("preview_frame", lambda: _extended(pack_shot(shot, track), more))

    def cancel(self, job: int) -> None:
        """Asks the backend to give up a job; its ``failed`` event has the code ``cancelled``."""
        if self._session is not None and job in self._open:
            self._session.send(None, lambda: Message("cancel", job))

    def free_memory(self) -> None:
        """Asks the backend to let go of its models; a ``status`` event follows. A backend that is off has none."""
        self._tell("free_memory")

    def request_status(self) -> None:
        """Asks for a ``status`` event; it updates ``device`` and ``memory_mb``."""
        self._tell("status")

    def poll(self) -> list[Event]:
        """What has happened since the last call. Never waits; a dead backend becomes ``failed`` events for its jobs."""
        events, self._local = self._local, []
        session = self._session
        while session is not None and not session.arrivals.empty():
            arrival = session.arrivals.get_nowait()
            if isinstance(arrival, Ended):
                events += self._ended(arrival.fault)
                break
            if (event := self._noted(arrival)) is not None:
                events.append(event)
        return events

    def stop(self) -> None:
        """Ends the backend without waiting for it: what is left of it after two seconds is killed. Open jobs are dropped."""
        session = self._let_go()
        if session is not None:
            threading.Thread(target=session.end, name="autter-stop", daemon=True).start()

    def close(self, timeout: float = STOP_SECONDS) -> None:
        """Ends the backend; waits up to ``timeout`` seconds for it, then kills it. Open jobs are dropped."""
        session = self._let_go()
        if session is not None:
            session.end(timeout)

    def _let_go(self) -> Session | None:
        session, self._session = self._session, None
        self._open.clear()
        self._local.clear()
        self.state, self.memory_mb = BackendState.OFF, 0.0
        return session

    def _tell(self, kind: str) -> None:
        if self._session is not None:
            self._session.send(None, lambda: Message(kind))

    def _request(
        self, kind: str, content: Callable[[], tuple[dict[str, Any], dict[str, NDArray[Any]]]], writes: Sequence[Path] = ()
    ) -> int:
        job = next(_job_numbers)
        try:
            self.start()
        except Fault as fault:
            self._local.append(Event("failed", job, dict(fault.to_dict())))
            return job
        assert self._session is not None
        self._open.add(job)
        self._session.send(job, lambda: Message(kind, job, *content()), writes)
        self._settle()
        return job

    def _noted(self, message: Message) -> Event | None:
        """Takes what concerns the client from a message; the event to hand out, None for a job that is no longer ours."""
        if message.job is not None and message.job not in self._open:
            return None
        if message.kind == "hello":
            self.state = BackendState.READY
            self.backend_version = str(message.fields.get("version", ""))
        if message.kind in ("hello", "status"):
            self.device = str(message.fields.get("device") or self.device)
            tiers = message.fields.get("tiers")
            self.tiers = (
                {str(name): told for name, told in tiers.items() if isinstance(told, dict)} if isinstance(tiers, dict) else self.tiers
            )
            memory = message.fields.get("memory_mb")
            self.memory_mb = float(memory) if isinstance(memory, (int, float)) else self.memory_mb
        if message.kind == "failed" and message.fields.get("code") != "cancelled":
            self.last_fault = Fault.from_dict(message.fields)
        if message.kind in FINAL_EVENTS and message.job is not None:
            self._open.discard(message.job)
        self._settle()
        return Event(message.kind, message.job, message.fields, message.arrays)

    def _settle(self) -> None:
        if self.state in (BackendState.READY, BackendState.BUSY):
            self.state = BackendState.BUSY if self._open else BackendState.READY

    def _ended(self, fault: Fault | None) -> list[Event]:
        self._session = None
        if fault is not None:
            self._backoff.died(time.monotonic() - self._started)
        self.memory_mb = 0.0
        self.state, self.last_fault = (BackendState.FAILED, fault) if fault is not None else (BackendState.OFF, self.last_fault)
        told = fault or Fault("backend-died", "The backend was stopped.", "Start the job again.")
        jobs, self._open = sorted(self._open), set()
        return [Event("failed", job, dict(told.to_dict())) for job in jobs]


def _extended(
    packed: tuple[dict[str, Any], dict[str, NDArray[Any]]], more: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    fields, arrays = packed
    return {**fields, **more}, arrays
