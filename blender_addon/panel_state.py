# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels show, worked out here and not while drawing. A short-lived cache keeps redraws cheap."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import bpy

from . import actor_state, actors, backend_link, backend_setup, live, predicting, reports, voices
from .actor_state import ActorState
from .bridge.client import BackendState

FRESH_SECONDS = 0.25
STATE_WORDS = {
    BackendState.OFF: ("Off", "PAUSE"),
    BackendState.STARTING: ("Starting", "SORTTIME"),
    BackendState.READY: ("Ready", "CHECKMARK"),
    BackendState.BUSY: ("Busy", "PLAY"),
    BackendState.FAILED: ("Error", "ERROR"),
}


@dataclass(frozen=True)
class PanelState:
    """A snapshot for the panels."""

    backend_word: str
    backend_icon: str
    device: str = ""
    memory: str = ""
    backend_missing: str = ""
    setup_text: str = ""
    setup_share: float = 0.0
    job_title: str = ""
    job_text: str = ""
    job_fraction: float = 0.0
    job_number: int = 0
    cancelling: bool = False
    problem: reports.Report | None = None
    actor: ActorState | None = None
    range_text: str = ""
    live_trouble: str = ""
    voice: str = ""
    parked: tuple[str, ...] = field(default=())
    lost: tuple[tuple[int, str], ...] = field(default=())  # number and words of jobs that the backend did not finish


_cached: tuple[tuple[object, ...], float, PanelState] | None = None


def forget() -> None:
    """The next ``current`` reads everything anew."""
    global _cached
    _cached = None


def current(context: bpy.types.Context) -> PanelState:
    """The snapshot for this context, at most a quarter of a second old."""
    global _cached
    actor = actors.find_actor(context)
    signature = (backend_link.revision, actor.session_uid if actor else 0, context.scene.session_uid, context.scene.frame_current)
    now = time.monotonic()
    if _cached is None or _cached[0] != signature or now - _cached[1] > FRESH_SECONDS:
        _cached = (signature, now, read(context, actor))
    return _cached[2]


def read(context: bpy.types.Context, actor: bpy.types.Object | None) -> PanelState:
    """The snapshot, read now."""
    word, icon = STATE_WORDS[backend_link.state()]
    client = backend_link.current_client()
    job = backend_link.book.running()
    missing = backend_link.backend_missing()
    if missing:
        backend_setup.look_ahead()
    return PanelState(
        backend_word=word,
        backend_icon=icon,
        device=client.device if client else "",
        memory=f"{client.memory_mb:.0f} MB" if client and client.memory_mb else "",
        backend_missing=missing,
        setup_text=backend_setup.words(),
        setup_share=setup.share if (setup := backend_setup.state()) else 0.0,
        job_title=job.title if job else "",
        job_text=job_text(job) if job else "",
        job_fraction=job.fraction if job else 0.0,
        job_number=job.number if job else 0,
        cancelling=job.cancelling if job else False,
        problem=reports.latest_problem(),
        actor=actor_state.read(actor) if actor is not None else None,
        range_text=predicting.range_text(context),
        live_trouble=live.trouble if live.is_on(context.scene) else "",
        voice=voices.describe(context),
        parked=tuple(f"{parked.title}: {parked.origin.filepath}" for parked in backend_link.book.parked),
        lost=tuple((job.number, f"{job.title} {job.origin.actor or job.origin.scene}: not finished") for job in backend_link.book.lost),
    )


def job_text(job: object) -> str:
    """Phase, count and time left of a job."""
    if job.cancelling:
        return "Cancelling"
    words = [job.phase.capitalize() if job.phase else job.title]
    if job.total:
        words.append(f"{job.done} of {job.total}")
    if job.eta_seconds is not None:
        words.append(f"{max(1, round(job.eta_seconds))} s left" if job.eta_seconds < 90 else f"{job.eta_seconds / 60:.0f} min left")
    return ", ".join(words)
