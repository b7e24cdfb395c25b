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
from bridge.track_files import read_own_track, save_track

from .files import written_beside

if TYPE_CHECKING:
    from .prediction import Piece

_SAME_FACE = 0.2  # mean distance, in inter-ocular units, up to which a track's portrait landmarks are this portrait's


def write_track(path: str | Path, track: Track) -> None:
    """Writes a track. Raises the faults of ``written_beside``."""
    with written_beside(path) as partial, partial.open("wb") as file:
        save_track(file, track)


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
    return read_own_track(Path(path))


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
