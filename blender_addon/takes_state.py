# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels Takes and Queue show, worked out here and not while drawing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import bpy

from . import actors, backdrop, backend_link, compare, compat, live_picture, takes
from .estimates import duration
from .jobs import Ending, Job

MOST_TAKES = 12
FRESH_SECONDS = 0.25


@dataclass(frozen=True)
class TakeRow:
    """A take as a row of the panel."""

    name: str
    label: str
    details: str
    active: bool
    icon: str


@dataclass(frozen=True)
class JobRow:
    """A job that waits or runs, of whatever file."""

    number: int
    text: str
    fraction: float
    started: bool
    cancelling: bool


@dataclass(frozen=True)
class ParkedRow:
    """A finished result whose file is not open."""

    number: int
    text: str
    usable: bool


@dataclass(frozen=True)
class TakesState:
    """A snapshot for the panels."""

    takes: tuple[TakeRow, ...]
    more_takes: int
    active: str
    comparing: bool
    jobs: tuple[JobRow, ...]
    parked: tuple[ParkedRow, ...]
    endings: tuple[Ending, ...]
    previewed: str
    live_frames: int


_cached: tuple[tuple[object, ...], float, TakesState] | None = None


def current(context: bpy.types.Context) -> TakesState:
    """The snapshot for this context, at most a quarter of a second old."""
    global _cached
    scene = compat.shown_sequencer_scene(context)
    signature = (backend_link.revision, context.scene.session_uid, scene.session_uid, context.scene.frame_current)
    now = time.monotonic()
    if _cached is None or _cached[0] != signature or now - _cached[1] > FRESH_SECONDS:
        _cached = (signature, now, read(context))
    return _cached[2]


def read(context: bpy.types.Context) -> TakesState:
    """The snapshot, read now."""
    scene = compat.shown_sequencer_scene(context)
    strips = takes.strips_in(scene)
    active = scene.sequence_editor.active_strip if scene.sequence_editor else None
    chosen = active if active in strips else (strips[0] if strips else None)
    book = backend_link.book
    actor = actors.find_actor(context)
    frame = backdrop.shown_frame(actor) if actor is not None else None
    return TakesState(
        takes=tuple(_row(strip, strip == chosen) for strip in strips[:MOST_TAKES]),
        more_takes=max(0, len(strips) - MOST_TAKES),
        active=chosen.name if chosen is not None else "",
        comparing=compare.is_on(scene),
        jobs=tuple(_job_row(job) for job in book.waiting_and_running() if job.kind in ("render", "capture")),
        parked=tuple(_parked_row(job) for job in book.parked),
        endings=tuple(reversed(book.endings)),
        previewed=f"Frame {frame} is shown as rendered" if frame is not None else "",
        live_frames=live_picture.cache.count(),
    )


def _row(strip: object, active: bool) -> TakeRow:
    take = takes.take_of(strip)
    words = (
        [f"{take.first}-{take.first + take.frames - 1}", f"seed {take.seed}"]
        + (["cut short"] if take.cut_short else [])
        + ([take.note] if take.note else [])
    )
    icon = "HIDE_ON" if strip.mute else ("RADIOBUT_ON" if active else "RADIOBUT_OFF")
    return TakeRow(take.name, _short(take), ", ".join(words), active, icon)


def _short(take: takes.Take) -> str:
    """``take001`` of ``Sample_Actor_take001``: the actor's name does not fit beside the details."""
    stem = bpy.path.clean_name(take.actor)
    return take.name.removeprefix(f"{stem}_") if stem else take.name


def _job_row(job: Job) -> JobRow:
    name = str(job.details.get("path", "")).replace("\\", "/").rpartition("/")[2] or job.title
    if job.cancelling:
        text = f"{name}: cancelling"
    elif not job.started:
        text = f"{name}: waits its turn"
    else:
        left = f", {duration(job.eta_seconds)} left" if job.eta_seconds is not None else ""
        text = f"{name}: {job.done} of {job.total}{left}" if job.total else f"{name}: {job.phase or 'starting'}"
    return JobRow(job.number, text, job.fraction, job.started, job.cancelling)


def _parked_row(job: Job) -> ParkedRow:
    origin = bpy.path.basename(job.origin.filepath) or "a file that was never saved"
    return ParkedRow(job.number, f"{job.title} is done, for {origin}", job.kind == "render")
