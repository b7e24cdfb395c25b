# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker: takes jobs from the queue, runs them one after another and turns whatever happens into events."""

from __future__ import annotations

import logging
import time
import traceback
from collections import deque
from typing import Any

from numpy.typing import NDArray

from bridge.faults import Fault, incomplete
from bridge.messages import Message, unpack_shot, unpack_track

from .jobs import Chore, Job, JobQueue, Progress, cancelled
from .render_job import path_of, render, smaller
from .runner import Runner

TAIL_LINES = 60
log = logging.getLogger("autter.serve")


class LogTail(logging.Handler):
    """Keeps the last log lines for the report of a failed job."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a record."""
        self._lines.extend(self.format(record).splitlines())

    def text(self) -> str:
        """The last lines, oldest first."""
        return "\n".join(self._lines)


def run_jobs(jobs: JobQueue, runner: Runner, tail: LogTail) -> None:
    """Runs jobs until the queue is closed."""
    while (job := jobs.next()) is not None:
        if not isinstance(job, Job):
            _do(job)
            continue
        try:
            final = run_one(job, runner, tail)
        finally:
            jobs.finished()  # before the result is told: who asks for the status then gets the truth
        job.sink.put(final)


def _do(chore: Chore) -> None:
    try:
        chore()
    except Exception:  # nobody waits for it; the log has it
        log.exception("%s failed", getattr(chore, "__name__", "a chore"))


def run_one(job: Job, runner: Runner, tail: LogTail) -> Message:
    """Runs one job. The message that ends it, ``result`` or ``failed``; never raises."""
    job.tell("started")
    log.info("job %s: %s", job.number, job.request.kind)
    started = time.monotonic()
    try:
        if job.cancelled.is_set():
            raise cancelled()
        fields, arrays = _run(job, runner)
        log.info("job %s: done in %.2f s", job.number, time.monotonic() - started)
        return Message("result", job.number, fields, arrays)
    except Fault as fault:
        log.info("job %s: %s", job.number, fault.code)
        return Message("failed", job.number, dict(fault.to_dict()))
    except BaseException as error:  # also SystemExit from a library: only the job ends, not the backend
        log.error("job %s failed\n%s", job.number, traceback.format_exc())
        return Message("failed", job.number, dict(_unexpected(error, tail).to_dict()))


def _run(job: Job, runner: Runner) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    request = job.request
    if request.kind == "render":
        return render(job, runner), {}
    progress = Progress(job)
    if request.kind == "portrait":
        return runner.portrait(path_of(request, "path"), progress)
    if request.kind == "capture":
        return runner.capture(path_of(request, "path"), progress).to_message()
    shot = unpack_shot(request)
    if request.kind == "predict":
        rows = {name: _rows(request, name, shot.frame_count) for name in ("window", "edited")}
        return runner.predict(shot, progress, **rows).to_message()
    track = unpack_track(request)
    image = runner.preview_frame(shot, track, _frame(request, track), progress)
    return {}, {"image": smaller(image) if request.fields.get("small") is True else image}


def _rows(request: Message, name: str, count: int) -> tuple[int, int] | None:
    """The rows (first, end) of a shot of ``count`` that a request names, None where it names none."""
    value = request.fields.get(name)
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(type(item) is int for item in value) and 0 <= value[0] < value[1] <= count:
        return value[0], value[1]
    raise Fault("frame-invalid", f"The {name} {value} does not lie in a shot of {count} frames.", "Choose a range inside the shot.")


def _frame(request: Message, track: Any) -> int:
    value = request.fields.get("frame")
    if type(value) is not int or not 0 <= value < len(track.landmarks):
        raise Fault("frame-invalid", f"There is no frame {value} in a track of {len(track.landmarks)} frames.", "Predict the shot again.")
    return value


def _unexpected(error: BaseException, tail: LogTail) -> Fault:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Fault(
            "out-of-memory",
            "There was not enough memory for this job.",
            "Use Free memory, a smaller crop or fewer frames, and try again.",
            tail.text(),
        )
    if isinstance(error, ImportError):
        return incomplete(error, tail.text())
    return Fault(
        "internal", f"The backend stumbled: {type(error).__name__}: {error}", "Use Copy report and send it to the developers.", tail.text()
    )
