# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmark tracks on disk: one npz with ``landmarks, motion, fps, portrait_size, portrait_landmarks`` and, where known, ``aus``."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_COUNT
from bridge.faults import Fault
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, LANDMARK_COUNT
from bridge.shot import Track

from .files import written_beside
from .video.read import exact_rate

if TYPE_CHECKING:
    from .prediction import Piece

_FIELDS = ("landmarks", "motion", "fps", "portrait_size", "portrait_landmarks")
_LARGEST_CONTENT = 2 * 2**30
_SAME_FACE = 0.2  # mean distance, in inter-ocular units, up to which a track's portrait landmarks are this portrait's
_HINT = "Make it again with `predict` or `track`."


def write_track(path: str | Path, track: Track) -> None:
    """Writes a track. Raises the faults of ``written_beside``."""
    fields: dict[str, Any] = {
        "landmarks": np.asarray(track.landmarks, np.float32),
        "motion": np.asarray(track.motion, np.float32),
        "fps": np.float64(track.fps),
        "portrait_size": np.asarray(track.portrait_size, np.int64),
        "portrait_landmarks": np.asarray(track.portrait_landmarks, np.float32),
    }
    if track.aus is not None:
        fields["aus"] = np.asarray(track.aus, np.float32)
    with written_beside(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **fields)


def write_track_pieces(
    path: str | Path, pieces: Iterable[Piece], fps: Fraction, portrait_size: tuple[int, int], portrait_landmarks: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Writes a track whose rows come in pieces that follow each other: the memory it needs does not grow with their number.

    The other arguments are as in ``Track``. Returns the AUs of all rows (frames, 18). Raises the faults of ``written_beside``, and
    whatever the pieces raise; then nothing is left.
    """
    names = ("landmarks", "motion", "aus")
    aus: list[NDArray[np.float32]] = []
    with written_beside(path) as partial, ExitStack() as stack:
        files = {name: stack.enter_context(tempfile.TemporaryFile(dir=partial.parent)) for name in names}
        for piece in pieces:
            for name in names:
                files[name].write(np.ascontiguousarray(getattr(piece, name), np.float32).tobytes())
            aus.append(piece.aus)
        frames = sum(map(len, aus))
        fixed: dict[str, Any] = {
            "fps": np.float64(fps),
            "portrait_size": np.asarray(portrait_size, np.int64),
            "portrait_landmarks": np.asarray(portrait_landmarks, np.float32),
        }
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            for name, value in fixed.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
            for name, width in zip(names, ((LANDMARK_COUNT, 2), (LANDMARK_COUNT, 2), (AU_COUNT,)), strict=True):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    header = {"descr": "<f4", "fortran_order": False, "shape": (frames, *width)}
                    np.lib.format.write_array_header_1_0(member, header)
                    files[name].seek(0)
                    shutil.copyfileobj(files[name], member, 1 << 20)
    return np.concatenate(aus)


def read_track(path: str | Path) -> Track:
    """Reads a track. Raises Fault ``track-missing``, ``track-unreadable``, ``track-invalid`` or ``frame-rate``."""
    path = Path(path)
    if not path.is_file():
        raise Fault("track-missing", f"There is no file {path}.", "Check the path of the track.")
    try:
        fields = _fields(path)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise Fault("track-unreadable", f"{path.name} is not a landmark track ({error}).", _HINT) from None
    missing = [name for name in _FIELDS if name not in fields]
    if missing:
        raise Fault("track-unreadable", f"{path.name} is not a landmark track: it lacks {', '.join(missing)}.", _HINT)
    rate = float(fields["fps"].reshape(-1)[0])
    fps = exact_rate(rate) if np.isfinite(rate) else None
    numerator, denominator = (fps.numerator, fps.denominator) if fps else (0, 1)
    header = {"fps": [numerator, denominator], "portrait_size": fields["portrait_size"].reshape(-1).tolist()}
    return Track.from_message(header, fields)


def check_portrait(track: Track, portrait_size: tuple[int, int], landmarks: NDArray[np.float32] | None) -> None:
    """Raises Fault ``track-other-portrait`` where a track was not made for a portrait.

    ``portrait_size``: (width, height). ``landmarks``: (162, 2) of the face found in it, None where none was found.
    """
    hint = "Give the portrait that the track was made for, or make a new track with `predict`."
    if tuple(track.portrait_size) != tuple(portrait_size):
        was, now = ("{} x {}".format(*size) for size in (track.portrait_size, portrait_size))
        raise Fault("track-other-portrait", f"The track was made for a portrait of {was} pixels; this one has {now}.", hint)
    if landmarks is None:
        return
    unit = float(np.linalg.norm(landmarks[EYE_OUTER_LEFT] - landmarks[EYE_OUTER_RIGHT]))
    apart = float(np.linalg.norm(track.portrait_landmarks - landmarks, axis=1).mean()) / max(unit, 1e-6)
    if apart > _SAME_FACE:
        raise Fault("track-other-portrait", "The track was made for another portrait: its face lies elsewhere in this one.", hint)


def _fields(path: Path) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST_CONTENT:
            raise ValueError("it is far too large")
    with np.load(path, allow_pickle=False) as archive:
        fields = {name: archive[name] for name in archive.files if name in (*_FIELDS, "aus")}
    for name, array in fields.items():
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} does not hold numbers")
    return fields
