# SPDX-License-Identifier: GPL-3.0-or-later
"""A render request: its parts checked, the movie made, and beside it the folder that remembers how."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.model_versions import model_versions
from bridge.faults import Fault
from bridge.messages import Message, unpack_shot, unpack_track
from bridge.reuse import Reuse
from bridge.shot import Shot, Track
from bridge.shot_folder import ShotFolder, write_shot_folder

from .jobs import Job, Progress
from .runner import Runner

LONGEST_PREVIEW_SIDE = 512
log = logging.getLogger("autter.serve")


@dataclass(frozen=True)
class RenderRequest:
    """The parts of a render request. ``folder``: where to remember the take, None for nowhere."""

    shot: Shot
    track: Track
    out: Path
    frames: tuple[int, int] | None
    keep_partial: bool
    reuse: Reuse | None
    folder: Path | None
    project: Path | None
    record: dict[str, Any]


def render_request(message: Message) -> RenderRequest:
    """The request that a message carries. Raises Fault ``path-invalid``, ``frame-invalid``, ``reuse-invalid`` and its parts' own."""
    shot, track = unpack_shot(message), unpack_track(message)
    record = message.fields.get("record")
    return RenderRequest(
        shot,
        track,
        path_of(message, "out_path"),
        rows_of(message, track),
        message.fields.get("keep_partial") is True,
        _reuse(message, track),
        path_of(message, "folder") if message.fields.get("folder") else None,
        path_of(message, "project") if message.fields.get("project") else None,
        record if isinstance(record, dict) else {},
    )


def render(job: Job, runner: Runner) -> dict[str, Any]:
    """Makes the movie; fields of the result. A folder that cannot be written is told in the report, for the movie is there."""
    request, progress, started = render_request(job.request), Progress(job), time.monotonic()

    def preview(image: NDArray[np.uint8]) -> None:
        if progress.preview_due():
            job.tell("preview", {}, {"image": smaller(image)})

    report = runner.render(
        request.shot,
        request.track,
        request.out,
        progress,
        frames=request.frames,
        keep_partial=request.keep_partial,
        preview=preview,
        reuse=request.reuse,
    )
    models = model_versions(request.shot.render.tier) if request.folder is not None or job.request.fields.get("models") is True else {}
    if request.folder is not None:
        made = {"movie": request.out.name, "models": models, "report": report}
        content = ShotFolder(request.shot, request.track, {**request.record, **made})
        try:
            write_shot_folder(request.folder, content, project=request.project)
        except Fault as fault:
            log.warning("%s", fault)
            report = {**report, "notes": [*report.get("notes", []), fault.sentence]}
    told = {"models": models} if job.request.fields.get("models") is True else {}
    return {"path": str(request.out), "seconds": round(time.monotonic() - started, 3), "report": report, **told}


def smaller(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``image`` (height, width, 3) with its longer side at most 512 pixels, by whole steps: for a quick look only."""
    step = -(-max(image.shape[:2]) // LONGEST_PREVIEW_SIDE)
    return np.ascontiguousarray(image[::step, ::step], np.uint8)


def path_of(request: Message, name: str) -> Path:
    """An absolute path among a request's fields; Fault ``path-invalid``."""
    value = request.fields.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise Fault("path-invalid", f"The request names no proper {name.replace('_', ' ')}.", "Choose the file again.")
    if not Path(value).is_absolute():  # the backend's current folder means nothing to the animator
        raise Fault("path-invalid", f"The path {value!r} is not absolute.", "Save the .blend file, or choose the file again.")
    return Path(value)


def rows_of(request: Message, track: Track) -> tuple[int, int] | None:
    """The rows [first, end] of a request, None for all; Fault ``frame-invalid``."""
    value = request.fields.get("frames")
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(type(item) is int for item in value):
        first, end = value
        if 0 <= first < end <= len(track.landmarks):
            return first, end
    raise Fault(
        "frame-invalid", f"The range {value} does not lie in a track of {len(track.landmarks)} frames.", "Choose a range inside the shot."
    )


def _reuse(request: Message, track: Track) -> Reuse | None:
    value = request.fields.get("reuse")
    if value is None:
        return None
    try:
        runs = tuple((int(first), int(end), int(start)) for first, end, start in value["runs"])
        path = value["path"]
        if not isinstance(path, str) or not Path(path).is_absolute():
            raise ValueError("no path")
    except (KeyError, TypeError, ValueError):
        raise Fault("reuse-invalid", "The frames to keep of the former take could not be read.", "Render the whole shot.") from None
    return Reuse(path, runs).checked(len(track.landmarks))
