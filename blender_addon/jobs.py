# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs under way: what each was asked for, which file it belongs to, how far it is. Knows no bpy object."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from .bridge.client import Event
from .bridge.faults import Fault

KIND_TITLES = {
    "portrait": "Finding the face",
    "predict": "Predicting",
    "render": "Rendering",
    "preview_frame": "Previewing",
    "capture": "Watching the video",
    "live_picture": "Live picture",
}
MOST_RETRIES = 3  # of a job that only waited when the backend died
MOST_FINISHED = 10  # lines of the list of finished jobs
MOST_LOST = 10  # jobs that are offered again
# Faults of the backend, not of what it was asked for.
BACKEND_FAULTS = frozenset(
    ("backend-died", "backend-restarts", "backend-start-failed", "backend-start-timeout", "backend-unreachable", "ready-line-garbled")
)


@dataclass(frozen=True)
class Origin:
    """Where a job came from. ``generation`` counts opened files, so that a result never lands in another one."""

    generation: int
    filepath: str
    scene: str
    actor: str = ""
    actor_uid: int = 0


@dataclass
class Job:
    """One request. ``details``: what is needed to use its result (plain data)."""

    number: int
    kind: str
    origin: Origin
    details: dict[str, Any] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    eta_seconds: float | None = None
    phase: str = ""
    cancelling: bool = False
    result: Event | None = None
    fault: Fault | None = None
    started: bool = False
    picture: Any = None  # the newest frame of a render, (height, width, 3) uint8
    send: Callable[[Any], int] | None = field(default=None, repr=False)  # asks a client for the same again
    retries: int = 0

    @property
    def title(self) -> str:
        """What the panel calls it."""
        return KIND_TITLES.get(self.kind, self.kind)

    @property
    def fraction(self) -> float:
        """0..1; 0 before the first progress."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def may_retry(self) -> bool:
        """Whether it failed through no doing of its own: it only waited its turn when the backend died."""
        died = self.fault is not None and self.fault.code == "backend-died"
        return died and not self.started and not self.cancelling and self.send is not None and self.retries < MOST_RETRIES

    def may_be_offered(self) -> bool:
        """Whether it is worth running again by a person's wish: the backend failed it."""
        failed = self.fault is not None and self.fault.code in BACKEND_FAULTS
        return failed and self.send is not None and not self.cancelling and self.kind != "live_picture" and not self.details.get("live")

    def note_progress(self, header: dict[str, Any]) -> None:
        """Takes over a ``progress`` event."""
        self.done, self.total = int(header.get("done") or 0), int(header.get("total") or 0)
        eta = header.get("eta_s")
        self.eta_seconds = float(eta) if isinstance(eta, (int, float)) else None
        self.phase = str(header.get("phase") or "")


@dataclass(frozen=True)
class Ending:
    """A line of the list of finished jobs. ``path``: the movie, where there is one."""

    title: str
    sentence: str
    good: bool
    path: str = ""
    when: float = field(default_factory=time.time)


class JobBook:
    """Open jobs by number, results that wait to be used, and results whose file is not open any more."""

    def __init__(self) -> None:
        self.endings: deque[Ending] = deque(maxlen=MOST_FINISHED)
        self.lost: deque[Job] = deque(maxlen=MOST_LOST)  # unfinished because the backend ended: offered again
        self.open: dict[int, Job] = {}
        self.finished: list[Job] = []
        self.parked: list[Job] = []
        self.generation = 0

    def add(self, job: Job) -> Job:
        """Notes a request."""
        self.open[job.number] = job
        return job

    def take_event(self, event: Event) -> Job | None:
        """Moves the event's job along; the job if that ended it."""
        job = self.open.get(event.job) if event.job is not None else None
        if job is None:
            return None
        if event.kind == "progress":
            job.note_progress(event.header)
        if event.kind in ("started", "progress"):
            job.started = True
        if event.kind == "preview":
            job.picture = event.arrays.get("image")
        if event.kind not in ("result", "failed"):
            return None
        del self.open[job.number]
        if event.kind == "failed":
            job.fault = Fault.from_dict(event.header)
        else:
            job.result = event
        self._shelve(job)
        return job

    def file_closed(self) -> None:
        """Another file is being opened: what is open or finished belongs to the one before."""
        self.generation += 1
        for job in self.finished:
            self._park(job)
        self.finished = []

    def file_opened(self, filepath: str) -> list[Job]:
        """Parked results of the file that was just opened come back, now as jobs of the present generation."""
        returning = [job for job in self.parked if filepath and job.origin.filepath == filepath]
        self.parked = [job for job in self.parked if job not in returning]
        for job in returning:
            job.origin = replace(job.origin, generation=self.generation, actor_uid=0)
        self.finished += returning
        return returning

    def file_kept(self) -> None:
        """Opening the other file failed: everything is as it was before ``file_closed``."""
        self.generation -= 1
        returning = [job for job in self.parked if job.origin.generation == self.generation]
        self.parked = [job for job in self.parked if job not in returning]
        self.finished += returning

    def file_saved(self, filepath: str) -> None:
        """The present file has a name, or another one than when its jobs began."""
        for job in [*self.of_this_file(), *self.finished, *self.lost]:
            if job.origin.generation == self.generation:
                job.origin = replace(job.origin, filepath=filepath)

    def fail_all(self, fault: Fault) -> list[Job]:
        """Ends every open job with the fault: the backend was stopped."""
        jobs, self.open = list(self.open.values()), {}
        for job in jobs:
            job.fault = fault
            self._shelve(job)
        return jobs

    def running(self, *kinds: str) -> Job | None:
        """The latest open job of the present file of one of the kinds (of any kind if none is named)."""
        mine = [job for job in self.of_this_file() if not kinds or job.kind in kinds]
        return mine[-1] if mine else None

    def waiting_and_running(self) -> list[Job]:
        """Open jobs of every file, the running one first, then in the order in which they will run."""
        return sorted(self.open.values(), key=lambda job: (not job.started, job.number))

    def reopen(self, job: Job, number: int) -> None:
        """A job that failed is under way again under another number."""
        self.remove([job])
        if job in self.lost:
            self.lost.remove(job)
        job.number, job.fault, job.retries = number, None, job.retries + 1
        job.started, job.done, job.total, job.eta_seconds, job.phase = False, 0, 0, None, ""
        self.open[number] = job

    def unpark(self, number: int, origin: Origin) -> Job | None:
        """Takes a result that waits for another file, to use it here."""
        job = next((job for job in self.parked if job.number == number), None)
        if job is not None:
            self.parked.remove(job)
            job.origin = origin
        return job

    def remove(self, jobs: Iterable[Job]) -> None:
        """Forgets finished jobs."""
        gone = list(jobs)
        self.finished = [job for job in self.finished if job not in gone]

    def of_this_file(self) -> list[Job]:
        """Open jobs that were asked for in the present file."""
        return [job for job in self.open.values() if job.origin.generation == self.generation]

    def _shelve(self, job: Job) -> None:
        if job.origin.generation == self.generation or job.may_be_offered():
            self.finished.append(job)
        else:
            self._park(job)

    def _park(self, job: Job) -> None:
        if job.may_be_offered():
            self.lost.append(job)
        # A movie is worth keeping even if the file it was for was never saved.
        if job.result is not None and (job.origin.filepath or job.kind == "render"):
            self.parked.append(job)
