# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: one waits its turn, runs on the one worker thread, reports progress and can be cancelled at any time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bridge.faults import Fault
from bridge.messages import Message

MOST_WAITING = 200
PROGRESS_SECONDS = 0.1
PREVIEW_SECONDS = 0.25
Chore = Callable[[], None]


class Sink(Protocol):
    """Where a job's events go: the connection that asked for it."""

    def put(self, message: Message) -> None:
        """Takes an event; never waits."""


@dataclass(eq=False)
class Job:
    """One request. ``number`` is the client's; two clients may use the same."""

    request: Message
    sink: Sink
    cancelled: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False  # nobody is there any more who might use what is done so far

    @property
    def number(self) -> int | None:
        """The client's number for this job."""
        return self.request.job

    def tell(self, kind: str, fields: dict[str, Any] | None = None, arrays: dict[str, Any] | None = None) -> None:
        """Sends an event of this job."""
        self.sink.put(Message(kind, self.number, fields or {}, arrays or {}))

    def fail(self, fault: Fault) -> None:
        """Sends the event that ends this job without a result."""
        self.tell("failed", dict(fault.to_dict()))


def cancelled() -> Fault:
    """The fault that a cancelled job ends with."""
    return Fault("cancelled", "The job was cancelled.", "Start it again when you want it.")


def abandoned() -> Fault:
    """The fault that ends a job whose client is gone, or that has to end with the backend: nothing of it is kept."""
    return Fault("backend-died", "The backend was told to end.", "Run it again: a new backend is started for it.")


class Progress:
    """The callback that a running job calls: reports at most ten times a second, and is where a cancelled job stops."""

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        self._job, self._clock = job, clock
        self._phase: str | None = None
        self._phase_start = (0.0, 0)  # time and count at the phase's first report
        self._reported = 0.0
        self._previewed = -PREVIEW_SECONDS

    def __call__(self, done: int, total: int, phase: str) -> None:
        """``done`` of ``total`` steps of ``phase``. Raises Fault ``cancelled`` or ``backend-died``."""
        if self._job.cancelled.is_set():
            raise abandoned() if self._job.abandoned else cancelled()
        now = self._clock()
        if phase != self._phase:
            self._phase, self._phase_start = phase, (now, done)
        elif done < total and now - self._reported < PROGRESS_SECONDS:
            return
        self._reported = now
        self._job.tell("progress", {"done": int(done), "total": int(total), "eta_s": self._remaining(now, done, total), "phase": phase})

    def preview_due(self) -> bool:
        """Whether it is time for another preview image; notes that one follows."""
        now = self._clock()
        due = now - self._previewed >= PREVIEW_SECONDS
        if due:
            self._previewed = now
        return due

    def _remaining(self, now: float, done: int, total: int) -> float | None:
        """Seconds left in this phase at its speed so far, None while there is no telling."""
        start, first = self._phase_start
        if done <= first or now <= start:
            return None
        return round((now - start) / (done - first) * max(total - done, 0), 2)


class JobQueue:
    """Waiting jobs in order, and the one that runs.

    ``resting``: a chore to be done once whenever no job has come for ``rest_seconds`` after one.
    """

    def __init__(self, resting: Chore | None = None, rest_seconds: float | None = None) -> None:
        self._resting, self._rest_seconds = resting, rest_seconds
        self._worked = False  # since the last rest
        self._waiting: deque[Job] = deque()
        self._chores: deque[Chore] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._closed = False

    def add(self, job: Job) -> None:
        """Queues a job. Raises Fault ``queue-full``, or ``job-duplicate`` if its client has an open job of that number."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                raise Fault("queue-full", f"{MOST_WAITING} jobs are waiting already.", "Wait for some of them, or cancel them.")
            if any(other.sink is job.sink and other.number == job.number for other in self._open()):
                raise Fault("job-duplicate", f"Job {job.number} is open already.", "Restart the backend.")
            job.tell("queued", {"ahead": len(self._open())})
            self._waiting.append(job)
            self._changed.notify()

    def add_chore(self, chore: Chore) -> None:
        """Queues something small for the worker's thread, to be done when no job waits. The same chore waits only once."""
        with self._changed:
            if chore not in self._chores:
                self._chores.append(chore)
            self._changed.notify()

    def next(self) -> Job | Chore | None:
        """Waits for a chore or a job, which then counts as running until ``finished``; None when the queue is closed."""
        with self._changed:
            patience = self._rest_seconds if self._worked and self._resting is not None else None
            if not self._changed.wait_for(lambda: self._waiting or self._chores or self._closed, patience):
                self._worked = False
                return self._resting
            if self._closed:
                return None
            if not self._waiting:
                return self._chores.popleft()
            self._running = self._waiting.popleft()
            self._worked = True
            return self._running

    def finished(self) -> None:
        """Notes that the running job is over."""
        with self._changed:
            self._running = None
            self._changed.notify_all()

    def cancel(self, sink: Sink, number: int | None) -> bool:
        """Cancels one job of a client: at once if it waits, at its next progress report if it runs. False if there is none."""
        with self._changed:
            found = [job for job in self._open() if job.sink is sink and job.number == number]
            for job in found:
                self._give_up(job, tell=True)
            return bool(found)

    def drop(self, sink: Sink) -> None:
        """Cancels all jobs of a client that is gone."""
        with self._changed:
            for job in [job for job in self._open() if job.sink is sink]:
                job.abandoned = True
                self._give_up(job, tell=False)

    def close(self) -> None:
        """Cancels everything and lets ``next`` return None."""
        with self._changed:
            self._closed = True
            for job in self._open():
                job.abandoned = True
                self._give_up(job, tell=True)
            self._changed.notify_all()

    def idle(self, timeout: float) -> bool:
        """Waits until no job runs; False if one still does after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running is None, timeout)

    def summary(self) -> dict[str, Any]:
        """Fields for a ``status`` event."""
        with self._changed:
            return {
                "state": "busy" if self._running else "idle",
                "running": self._running.number if self._running else None,
                "waiting": len(self._waiting),
            }

    def _open(self) -> list[Job]:
        return ([self._running] if self._running else []) + list(self._waiting)

    def _give_up(self, job: Job, *, tell: bool) -> None:
        job.cancelled.set()
        if job in self._waiting:
            self._waiting.remove(job)
            if tell:
                job.fail(abandoned() if job.abandoned else cancelled())
