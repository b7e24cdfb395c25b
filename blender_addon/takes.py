# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: the strips that hold rendered movies, and the folder beside each movie that remembers how it was made."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import compat
from .actors import is_actor
from .bridge.faults import Fault
from .bridge.shot_folder import ShotFolder, read_shot_folder
from .voices import TAKE_MARK

FOLDER_SUFFIX = ".take"


@dataclass(frozen=True)
class Take:
    """A take in the sequencer. ``first``: scene frame at which it was shot; ``frames``: as many as the movie has."""

    name: str
    movie: Path
    first: int
    frames: int
    seed: int
    tier: str
    cut_short: bool
    actor: str
    note: str = ""  # what it came from

    @property
    def folder(self) -> Path:
        """What the take remembers lies here."""
        return folder_of_movie(self.movie)


def folder_of_movie(movie: Path) -> Path:
    """``Ada_take001.take`` beside ``Ada_take001.mp4``."""
    return movie.with_suffix(FOLDER_SUFFIX)


def project_folder() -> Path | None:
    """Where the .blend lies; what lies below it is remembered by relative paths, so that the project can move."""
    return Path(bpy.data.filepath).parent if bpy.data.filepath else None


def strips_in(scene: bpy.types.Scene) -> list[Any]:
    """The movie strips that are takes, the newest (highest) first."""
    editor = scene.sequence_editor
    found = [strip for strip in compat.strips_of(editor) if strip.type == "MOVIE" and strip.get(TAKE_MARK)] if editor else []
    return sorted(found, key=lambda strip: (-strip.channel, strip.name))


def take_of(strip: Any) -> Take:
    """What a strip's own record tells; needs no file."""
    record = record_of(strip) or {}
    report = record.get("report") or {}
    render = record.get("render") or {}
    return Take(
        name=strip.name,
        movie=Path(bpy.path.abspath(strip.filepath)),
        first=int(record.get("frame_start", 1)),
        frames=int(report.get("frames") or record.get("frames", 0)),
        seed=int(record.get("seed", 0)),
        tier=str(render.get("tier", "")),
        cut_short=bool(report.get("cancelled")),
        actor=str(record.get("actor", "")),
        note=_note(report),
    )


def chosen_strip(context: bpy.types.Context, name: str = "") -> Any:
    """The named take's strip, else the active or selected one, else the newest; Fault ``take-missing``."""
    scene = compat.shown_sequencer_scene(context)
    strips = strips_in(scene)
    if name:
        found = next((strip for strip in strips if strip.name == name), None)
        if found is None:
            raise Fault("take-missing", f'There is no take "{name}" in the sequencer.', "Choose one in the Takes panel.")
        return found
    active = scene.sequence_editor.active_strip if scene.sequence_editor else None
    for candidates in ([strip for strip in strips if active is not None and strip == active], [s for s in strips if s.select], strips):
        if candidates:
            return candidates[0]
    raise Fault("take-missing", "There is no take in the sequencer yet.", "Make one with Render to Sequencer.")


def read(take: Take) -> ShotFolder:
    """Everything the take remembers. Raises Fault ``take-forgotten`` where its folder is gone, and those of reading it."""
    try:
        return read_shot_folder(take.folder)
    except Fault as fault:
        if fault.code != "shot-folder-missing":
            raise
        raise Fault(
            "take-forgotten",
            f"The folder {take.folder.name}, in which {take.name} remembers how it was made, is gone.",
            "Put it back beside the movie, or render anew with Render to Sequencer.",
        ) from None


def require_movie(take: Take) -> Path:
    """The take's movie; Fault ``movie-missing``."""
    if not take.movie.is_file():
        raise Fault("movie-missing", f"The movie {take.movie} is not there.", "Put it back, or use Redo Take.")
    return take.movie


def found_again(remembered: str, present: str) -> str:
    """The portrait's present path where it is the remembered file, perhaps spelt otherwise, or moved: same name, the old place empty."""
    if os.path.normpath(remembered) == os.path.normpath(present):
        return present
    moved = not Path(remembered).is_file() and Path(remembered).name == Path(present).name
    return present if moved else remembered


def record_of(strip: Any) -> dict[str, Any] | None:
    """The record in a take's strip."""
    text = strip.get(TAKE_MARK) if strip is not None else None
    try:
        record = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def actor_of(take: Take) -> bpy.types.Object:
    """The take's actor; Fault ``actor-missing``."""
    found = bpy.data.objects.get(take.actor)
    if not is_actor(found):
        raise Fault(
            "actor-missing", f'The actor "{take.actor}" of {take.name} is not in this file.', "Rename the actor back, or use Redo Take."
        )
    return found


def _note(report: dict[str, Any]) -> str:
    made, frames = report.get("made"), report.get("frames")
    return f"{made} of {frames} frames made anew" if isinstance(made, int) else ""
