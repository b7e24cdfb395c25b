# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmark tracks on disk: one npz with ``landmarks, motion, fps, portrait_size, portrait_landmarks`` and, where known, ``aus``.

Landmarks of other programs are read too: an array ``landmarks`` of MediaPipe's 478 points, in pixels or as MediaPipe's 0..1.
"""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .faults import Fault
from .landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, LANDMARK_COUNT, MEDIAPIPE_INDICES
from .rates import exact_rate
from .shot import Track

FIELDS = ("landmarks", "motion", "fps", "portrait_size", "portrait_landmarks")
MESH_COUNT = 478  # of MediaPipe, irises included
LARGEST_CONTENT = 2 * 2**30
_HINT = "Make it again with `predict` or `track`."


def save_track(file: IO[bytes], track: Track) -> None:
    """Writes a track into an open file."""
    fields: dict[str, Any] = {
        "landmarks": np.asarray(track.landmarks, np.float32),
        "motion": np.asarray(track.motion, np.float32),
        "fps": np.float64(track.fps),
        "portrait_size": np.asarray(track.portrait_size, np.int64),
        "portrait_landmarks": np.asarray(track.portrait_landmarks, np.float32),
    }
    if track.aus is not None:
        fields["aus"] = np.asarray(track.aus, np.float32)
    np.savez_compressed(file, **fields)


def read_own_track(path: Path) -> Track:
    """A track of ours. Raises Fault ``track-missing``, ``track-unreadable``, ``track-invalid`` or ``frame-rate``."""
    fields = read_fields(path)
    missing = [name for name in FIELDS if name not in fields]
    if missing:
        raise Fault("track-unreadable", f"{path.name} is not a landmark track: it lacks {', '.join(missing)}.", _HINT)
    return _own_track(fields)


def read_any_landmarks(path: Path, fps: Fraction) -> Track:
    """A track of ours, or foreign landmarks whose first frame stands for the neutral face.

    ``fps``: rate of a foreign file that does not say. Raises Fault ``track-missing``, ``track-unreadable`` or ``track-invalid``.
    """
    fields = read_fields(path)
    if all(name in fields for name in FIELDS):
        return _own_track(fields)
    if "landmarks" not in fields:
        raise Fault("track-unreadable", f"{path.name} holds no array named landmarks.", _HINT)
    landmarks = _our_points(path, fields["landmarks"])
    rate = _rate(fields) if "fps" in fields else fps
    size = fields.get("portrait_size", fields.get("size"))
    width, height = (int(side) for side in size.reshape(-1)[:2]) if size is not None and size.size >= 2 else (0, 0)
    if landmarks.size and float(np.abs(landmarks).max()) <= 2.0:  # MediaPipe's own 0..1, of width and of height
        landmarks = landmarks * np.array([width or 1000, height or 1000], np.float32)
    extent = np.ceil(np.abs(landmarks).reshape(-1, 2).max(0, initial=1.0)).astype(int) + 1
    neutral = landmarks[0] if len(landmarks) else landmarks
    return Track(
        landmarks, canonical_motion(landmarks - neutral, neutral), rate, (width or int(extent[0]), height or int(extent[1])), neutral
    ).checked()


def canonical_motion(displacement: NDArray[np.float32], neutral: NDArray[np.float32]) -> NDArray[np.float32]:
    """Displacement (frames, 162, 2) in pixels, in eye-corner distances with the face's roll removed."""
    along = neutral[EYE_OUTER_LEFT] - neutral[EYE_OUTER_RIGHT]
    distance = max(float(np.hypot(*along)), 1e-6)
    cosine, sine = along / distance
    turn = np.array([[cosine, sine], [-sine, cosine]], np.float32)
    return (displacement @ turn.T / distance).astype(np.float32)


def read_fields(path: Path) -> dict[str, NDArray[Any]]:
    """The numeric arrays of an npz. Raises Fault ``track-missing`` or ``track-unreadable``; never unpickles."""
    if not path.is_file():
        raise Fault("track-missing", f"There is no file {path}.", "Check the path of the track.")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_CONTENT:
                raise ValueError("it is far too large")
        with np.load(path, allow_pickle=False) as loaded:
            fields = {name: loaded[name] for name in loaded.files if name in (*FIELDS, "aus", "size")}
        for name, array in fields.items():
            if array.dtype.kind not in "fiu" or (name == "fps" and not array.size):
                raise ValueError(f"{name} does not hold numbers")
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise Fault("track-unreadable", f"{path.name} is not a landmark track ({error}).", _HINT) from None
    return fields


def _own_track(fields: dict[str, NDArray[Any]]) -> Track:
    header = {"fps": list(_rate(fields).as_integer_ratio()), "portrait_size": fields["portrait_size"].reshape(-1).tolist()}
    return Track.from_message(header, fields)


def _rate(fields: dict[str, NDArray[Any]]) -> Fraction:
    rate = float(fields["fps"].reshape(-1)[0])
    if not np.isfinite(rate) or rate <= 0:
        raise Fault("frame-rate", f"A frame rate of {rate:g} frames a second is not possible.", "Use a rate from 1 to 240.")
    return exact_rate(rate)


def _our_points(path: Path, landmarks: NDArray[Any]) -> NDArray[np.float32]:
    if landmarks.ndim == 3 and landmarks.shape[2] >= 2:
        flat = np.asarray(landmarks[..., :2], np.float32)
        if flat.shape[1] == LANDMARK_COUNT:
            return flat
        if flat.shape[1] == MESH_COUNT:
            return np.ascontiguousarray(flat[:, list(MEDIAPIPE_INDICES)])
    raise Fault(
        "track-unreadable",
        f"{path.name} holds landmarks of shape {landmarks.shape}.",
        f"Give (frames, {LANDMARK_COUNT}, 2) or MediaPipe's (frames, {MESH_COUNT}, 2 or 3).",
    )
