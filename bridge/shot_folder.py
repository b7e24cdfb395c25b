# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot on disk: the folder of a take, and the job that another computer renders.

    shot.json    the shot's and track's plain fields, and a record of how it came about
    arrays.npz   their arrays

Paths inside the project are kept relative to the folder, so that the project can move. With ``collect`` portrait and recordings are
copied into ``files/``, and the folder can be rendered anywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import VERSION
from .faults import Fault
from .half_written import partial_path, put_in_place
from .messages import Message, pack_shot, unpack_shot, unpack_track
from .shot import Shot, Track

DESCRIPTION, ARRAYS, FILES = "shot.json", "arrays.npz", "files"
FORMAT = 1
LARGEST_DESCRIPTION = 4 * 2**20  # bytes
LARGEST_ARRAYS = 2 * 2**30
_HINT = "Export the job again, or render the take anew."


@dataclass(frozen=True)
class ShotFolder:
    """What a folder holds. ``track`` is None where the shot is still to be predicted. ``record``: plain data, see ``takes.py``."""

    shot: Shot
    track: Track | None = None
    record: dict[str, Any] = field(default_factory=dict)


def write_shot_folder(folder: Path, content: ShotFolder, *, project: Path | None = None, collect: bool = False) -> None:
    """Writes the folder; each file takes its place only when it is whole.

    ``project``: folder whose files are named relative to ``folder``. ``collect``: copy portrait and recordings into it. Raises
    Fault ``folder-read-only`` or ``disk-full``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shot = _with_paths(content.shot, lambda path: _collected(folder, path) if collect else _portable(folder, path, project))
        fields, arrays = pack_shot(shot, content.track)
        with _beside(folder / ARRAYS) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        description = {"autter": VERSION, "format": FORMAT, **fields, "record": content.record}
        with _beside(folder / DESCRIPTION) as partial:
            partial.write_text(json.dumps(description, indent=1, allow_nan=False), encoding="utf-8")
    except OSError as error:
        raise Fault(
            "folder-read-only",
            f"The shot cannot be written to {folder}: {error.strerror or error}.",
            "Make room, or choose another folder.",
        ) from None


def read_shot_folder(folder: Path) -> ShotFolder:
    """What the folder holds, with absolute paths. Raises Fault ``shot-folder-missing``, ``shot-folder-damaged`` and those of the shot."""
    description = read_description(folder)
    fields = {name: description[name] for name in ("shot", "track") if isinstance(description.get(name), dict)}
    message = Message("render", None, fields, _read_arrays(folder / ARRAYS))
    shot = _with_paths(unpack_shot(message), lambda path: str(_absolute(folder, path)))
    track = unpack_track(message) if "track" in fields else None
    record = description.get("record")
    return ShotFolder(shot, track, record if isinstance(record, dict) else {})


def read_description(folder: Path) -> dict[str, Any]:
    """``shot.json`` alone: quick, for lists. Raises Fault ``shot-folder-missing`` or ``shot-folder-damaged``."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise Fault(
            "shot-folder-missing", f"{folder} holds no shot: there is no {DESCRIPTION} in it.", "Choose the folder of a take or job."
        )
    try:
        if path.stat().st_size > LARGEST_DESCRIPTION:
            raise ValueError("it is far too large")
        description = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(description, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise Fault("shot-folder-damaged", f"{path} cannot be read ({error}).", _HINT) from None
    if description.get("format") != FORMAT:
        raise Fault(
            "shot-folder-format",
            f"{path} has the format {str(description.get('format'))[:20]}; this version reads format {FORMAT}.",
            "Use the version of AUtter that wrote it, or a newer one.",
        )
    return description


def update_record(folder: Path, more: dict[str, Any]) -> None:
    """Adds entries to the record of a folder. Raises the faults of ``read_description``, and Fault ``folder-read-only``."""
    description = read_description(folder)
    description["record"] = {**(description.get("record") or {}), **more}
    try:
        with _beside(folder / DESCRIPTION) as partial:
            partial.write_text(json.dumps(description, indent=1, allow_nan=False), encoding="utf-8")
    except OSError as error:
        raise Fault("folder-read-only", f"{folder} cannot be written to: {error.strerror or error}.", "Choose another folder.") from None


def _with_paths(shot: Shot, change: Any) -> Shot:
    return replace(shot, portrait=change(shot.portrait), voice=tuple(replace(piece, path=change(piece.path)) for piece in shot.voice))


def _absolute(folder: Path, path: str) -> Path:
    found = Path(path)
    return found if found.is_absolute() else Path(os.path.normpath(folder.absolute() / found))


def _portable(folder: Path, path: str, project: Path | None) -> str:
    """The path relative to the folder where it lies in the project, with forward slashes; else as it is."""
    if project is None or not Path(path).is_relative_to(project) or not folder.is_relative_to(project):
        return path
    return Path(os.path.relpath(path, folder)).as_posix()


def _collected(folder: Path, path: str) -> str:
    """Copies a file into the folder under a name of its own; its path relative to the folder."""
    source, place = Path(path), folder / FILES
    if not source.is_file():
        raise Fault("file-missing", f"The file {source} is not there.", "Put the file back, then export the job again.")
    place.mkdir(exist_ok=True)
    number = 0
    while True:
        target = place / (f"{source.stem}-{number}{source.suffix}" if number else source.name)
        if not target.exists() or (target.stat().st_size, round(target.stat().st_mtime)) == (
            source.stat().st_size,
            round(source.stat().st_mtime),
        ):
            break
        number += 1
    if not target.exists():
        shutil.copy2(source, target)
    return f"{FILES}/{target.name}"


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_ARRAYS:
                raise ValueError("it is far too large")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise Fault("shot-folder-damaged", f"{path} cannot be read ({error}).", _HINT) from None


class _beside:
    """A path beside the target that takes its place when the block ends well."""

    def __init__(self, target: Path) -> None:
        self._target, self._partial = target, partial_path(target)

    def __enter__(self) -> Path:
        return self._partial

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            put_in_place(self._partial, self._target)
        else:
            self._partial.unlink(missing_ok=True)
