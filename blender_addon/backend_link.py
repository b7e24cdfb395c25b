# SPDX-License-Identifier: GPL-3.0-or-later
"""The one backend client of this Blender: started when first needed, polled by ticks or a headless loop, closed at exit.

Runtime state lives here, in Python, never in the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from . import reports
from .bridge import paths, reservations
from .bridge.client import BackendState, Client
from .bridge.faults import Fault
from .bridge.remote import RemoteClient, RemotePlace
from .jobs import Ending, Job, JobBook, Origin
from .preferences import preferences

STATUS_SECONDS = 5.0
PUMP_SECONDS = 0.01
CLOSE_SECONDS = 0.2
RENDER_CLOSE_SECONDS = 5.0  # at most; it is over as soon as the backend has ended
ACTIVE_STATES = (BackendState.STARTING, BackendState.BUSY)
LONGEST_WAIT = 3600.0

book = JobBook()
revision = 0  # counts what has happened, so that the panel knows when it is out of date
_client: Any = None
_client_python = ""
_last_status = 0.0


def make_client(python: Path) -> Any:
    """A client for the backend in that Python, or on another computer; tests put another function here."""
    chosen = preferences()
    if chosen and chosen.remote:
        return RemoteClient(RemotePlace.read(chosen.remote_address, chosen.remote_token))
    return Client(python, environment={"AUTTER_LOG_LEVEL": chosen.log_level if chosen else "INFO"})


client_factory: Callable[[Path], Any] = make_client


def backend_python() -> Path:
    """The Python that would run the backend."""
    chosen = preferences()
    return paths.backend_python(bpy.path.abspath(chosen.backend_python) if chosen and chosen.backend_python else "")


def backend_missing() -> str:
    """Why there is no backend, in one sentence; empty if there is one."""
    chosen = preferences()
    if chosen and chosen.remote:
        return ""
    python = backend_python()
    if client_factory is not make_client or python.is_file():
        return ""
    if python == paths.environment_python(paths.default_environment()):
        return "AUtter's backend is not set up yet."
    return f"AUtter's backend is not set up: there is no Python at {python}."


def require_client() -> Any:
    """The client; Fault ``backend-missing`` says how to get a backend. A change of its Python in the preferences restarts it."""
    global _client, _client_python
    if missing := backend_missing():
        raise Fault(
            "backend-missing",
            missing,
            "Press Set Up Backend, or choose the Python that holds it in AUtter's preferences.",
        )
    python = str(backend_python())
    where = f"{python} {_remote()}"
    if _client is not None and _client_python != where:
        close()
    if _client is None:
        _client, _client_python = client_factory(Path(python)), where
    return _client


def _remote() -> tuple[str, str] | None:
    chosen = preferences()
    return (chosen.remote_address, chosen.remote_token) if chosen and chosen.remote else None


def current_client() -> Any:
    """The client if there is one."""
    return _client


def state() -> BackendState:
    """What the backend is doing."""
    return _client.state if _client is not None else BackendState.OFF


def origin(scene: bpy.types.Scene, actor: bpy.types.Object | None = None) -> Origin:
    """The present file, scene and actor, as names."""
    return Origin(book.generation, bpy.data.filepath, scene.name, actor.name if actor else "", actor.session_uid if actor else 0)


def start_job(kind: str, send: Callable[[Any], int], where: Origin, details: dict[str, Any]) -> Job:
    """Sends a request and notes its job."""
    number = send(require_client())
    _touch()
    return book.add(Job(number, kind, where, details, send=send))


def poll() -> None:
    """Takes in what the backend has sent. Never waits."""
    global _last_status
    if _client is None:
        return
    before = (_client.state, _client.device, _client.memory_mb)
    for event in _client.poll():
        ended = book.take_event(event)
        if ended is not None and ended.may_retry() and ended.send is not None:
            book.reopen(ended, ended.send(_client))
        elif ended is not None and not ended.may_be_offered():
            give_back_name(ended)
        _touch()
    if before != (_client.state, _client.device, _client.memory_mb):
        _touch()
    if _client.state in (BackendState.READY, BackendState.BUSY) and time.monotonic() - _last_status > STATUS_SECONDS:
        _last_status = time.monotonic()
        _client.request_status()


def wait_for(job: Job, longest: float = LONGEST_WAIT, context: bpy.types.Context | None = None) -> Job:
    """Pumps ``poll`` until the job has ended, for scripts and background mode. Raises the job's fault."""
    ends = time.monotonic() + longest
    manager = context.window_manager if context is not None and not bpy.app.background else None
    if manager is not None:
        manager.progress_begin(0.0, 1.0)
    try:
        _pump(job, ends, longest, manager)
    finally:
        if manager is not None:
            manager.progress_end()
    book.remove([job])
    if job.fault is not None:
        give_back_name(job)  # nobody offers it again: who waits hears of it
        raise job.fault
    return job


def _pump(job: Job, ends: float, longest: float, manager: bpy.types.WindowManager | None) -> None:
    while job.result is None and job.fault is None:
        poll()
        if manager is not None:
            manager.progress_update(job.fraction)
        if time.monotonic() > ends:
            cancel(job.number)
            book.open.pop(job.number, None)
            give_back_name(job)
            raise Fault(
                "backend-slow",
                f"The backend did not finish within {longest:.0f} seconds.",
                "Allow more time, or look at its log with Copy report.",
            )
        time.sleep(PUMP_SECONDS)


def cancel(number: int) -> None:
    """Asks the backend to give up a job; it ends when the backend says so."""
    job = book.open.get(number)
    if job is not None and _client is not None:
        job.cancelling = True
        _client.cancel(number)
        _touch()


def close(wait: bool = True) -> None:
    """Ends the backend; open jobs fail with a sentence. A render gets the time to take its half-written file away: here, or with
    ``wait`` off behind our back.
    """
    global _client
    client, _client = _client, None
    if client is not None and wait:
        rendering = any(job.kind == "render" and job.started for job in book.open.values())
        client.close(RENDER_CLOSE_SECONDS if rendering else CLOSE_SECONDS)
    elif client is not None:
        client.stop()
    for job in book.fail_all(Fault("backend-stopped", "The backend was stopped.", "Start the job again.")):
        give_back_name(job)
    _touch()


def give_back_name(job: Job) -> None:
    """Another render may have the name of the job's movie, if the movie is not there."""
    if path := job.details.get("path"):
        reservations.release(Path(path))


def collect_faults() -> list[Fault]:
    """Faults of finished jobs, which nobody waited for; their jobs are forgotten."""
    failed = [job for job in book.finished if job.fault is not None]
    book.remove(failed)
    for job in failed:
        reports.note_fault(job.fault)
        if job.may_be_offered():
            book.lost.append(job)
        if job.kind in ("render", "capture"):
            book.endings.append(Ending(job.title, f"{job.title}: {job.fault.sentence}", False))
    if failed:
        _touch()
    return [job.fault for job in failed]


def run_again(job: Job) -> Job:
    """Asks for a lost job once more, with the keys and the motion that it had. A new backend is started where there is none."""
    assert job.send is not None
    book.reopen(job, job.send(require_client()))
    _touch()
    return job


def _touch() -> None:
    global revision
    revision += 1


touch = _touch
