# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render will need: time from this computer's former renders, memory beside what is free, disk."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import backend_link, outputs
from .bridge import paths
from .bridge.faults import Fault
from .bridge.memory import available_megabytes
from .bridge.shot import RenderSettings

FEWEST_FRAMES = 5  # of a render whose speed is worth remembering
BYTES_PER_PIXEL = 0.1  # of a movie's frame, generous
BACKEND_MEGABYTES = 1100.0  # what the backend holds while it renders in the small tier, as far as it was never measured here


@dataclass(frozen=True)
class Line:
    """A line of the dialog."""

    text: str
    icon: str = "NONE"


def lines(context: bpy.types.Context, actor: bpy.types.Object | None, frames: range) -> list[Line]:
    """What the Render dialog says before anything starts."""
    settings = context.scene.autter.render_settings()
    known = remembered(settings)
    rate = context.scene.render.fps / context.scene.render.fps_base
    told = [
        Line(f"{len(frames)} frames, {frames.start} to {frames.stop - 1}, {len(frames) / rate:.1f} s at {rate:g} frames a second", "TIME")
    ]
    speed = known.get("frames_per_second")
    if speed:
        told.append(Line(f"About {duration(len(frames) / speed)} at {speed:.1f} frames a second, as measured here", "SORTTIME"))
    else:
        told.append(Line("How long it takes is measured by the first render with these settings", "SORTTIME"))
    told += _memory_lines(float(known.get("memory_mb") or 0.0), settings)
    told.append(_disk_line(context, actor, len(frames)))
    if waiting := len([job for job in backend_link.book.open.values() if job.kind == "render"]):
        told.append(Line(f"It waits for {waiting} other render{'s' if waiting > 1 else ''}", "PREV_KEYFRAME"))
    return told


def duration(seconds: float) -> str:
    """Seconds in words that fit their accuracy."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def note(settings: RenderSettings, report: dict[str, Any], memory_mb: float) -> None:
    """Remembers a finished render's speed and the backend's memory. Never fails: it is only an estimate."""
    frames, speed = report.get("frames"), report.get("frames_per_second")
    whole = isinstance(frames, int) and frames >= FEWEST_FRAMES and report.get("made") is None
    if not whole or not isinstance(speed, (int, float)) or speed <= 0:
        return
    table = _table()
    former = table.get(key(settings), {})
    before = former.get("frames_per_second")
    table[key(settings)] = {
        "frames_per_second": round(0.5 * (before + speed) if before else float(speed), 3),
        "memory_mb": round(max(memory_mb, float(former.get("memory_mb") or 0.0)), 1),
    }
    path = _path()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(table, indent=1), encoding="utf-8")
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)


def remembered(settings: RenderSettings) -> dict[str, Any]:
    """What former renders with these settings took: ``frames_per_second``, ``memory_mb``."""
    found = _table().get(key(settings), {})
    return found if isinstance(found, dict) else {}


def key(settings: RenderSettings) -> str:
    """The settings that speed depends on."""
    if settings.tier == "sd15":
        return f"{settings.tier} {settings.preset} {settings.sd15_steps} {settings.weights}"
    return f"{settings.tier} {settings.steps} {settings.crop_size}"


def _path() -> Path:
    return paths.user_data_dir() / "speeds.json"


def _table() -> dict[str, Any]:
    try:
        table = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _memory_lines(measured: float, settings: RenderSettings) -> list[Line]:
    """Beside what is free. The Stable Diffusion tier's need stands above already (quality.py) where the backend has told it."""
    client = backend_link.current_client()
    if settings.tier != "small" and client is not None and client.tiers.get(settings.tier, {}).get("need_gb"):
        return []
    if settings.tier != "small" and not measured:
        return [Line("Memory: not measured here yet; the backend checks before it starts", "MEMORY")]
    return [_memory_line(measured or BACKEND_MEGABYTES, client)]


def _memory_line(needed: float, client: Any) -> Line:
    free = available_megabytes()
    held = client.memory_mb if client is not None else 0.0
    more = max(needed - held, 0.0)
    if not free:
        return Line(f"Memory: about {needed:.0f} MB", "MEMORY")
    if more > free:
        return Line(f"Memory: needs about {needed:.0f} MB, but only {free:.0f} MB are free. Close other programs first", "ERROR")
    return Line(f"Memory: about {needed:.0f} MB of {free + held:.0f} MB", "MEMORY")


def _disk_line(context: bpy.types.Context, actor: bpy.types.Object | None, count: int) -> Line:
    width, height = actor.autter.portrait_size if actor is not None else (0, 0)
    needed = (width * height * count * BYTES_PER_PIXEL + 2**20) / 1e6
    try:
        folder = outputs.takes_place(context.scene)
        nearest = next(place for place in (folder, *folder.parents) if place.is_dir())
        free = shutil.disk_usage(nearest).free / 1e6
    except (OSError, Fault, StopIteration):
        return Line("The output folder cannot be looked at", "ERROR")
    if needed > free:
        return Line(f"{folder} has only {free:.0f} MB left; this may need {needed:.0f} MB", "ERROR")
    return Line(f"To {folder}", "FILE_FOLDER")
