# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracking a video that nobody prepared: cuts, several faces, frames without a face. What can be used comes out in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.portrait.landmarker import open_landmarker
from backend.portrait.track import FaceReading, TrackedVideo, assembled, face_readings
from backend.video.read import probe_video, read_frames

SHORTEST_PIECE = 1.0  # seconds
_LONGEST_GAP = 0.2  # seconds without the face that are bridged
_THUMBNAIL = 24
_CUT = 26.0  # mean change of the thumbnail's grey levels from one frame to the next, 0..255
_JUMP = 0.6  # how far a face moves between frames, in its own extents, before it counts as another shot
_RIVAL = 0.5  # a second face of this share of the first one's extent may be the one who speaks
_MOST_RIVALS = 0.2  # share of a piece's frames that may show one
_SMALLEST_FACE = 48  # pixels from ear to ear


@dataclass(frozen=True)
class Seen:
    """What one frame shows: its faces, the largest first, and how much the picture changed since the frame before (0..255)."""

    faces: tuple[FaceReading, ...]
    change: float


@dataclass(frozen=True)
class Piece:
    """Frames ``first`` to ``last`` (not included) of a video with one face throughout; ``readings`` has None where it was lost."""

    first: int
    last: int
    readings: tuple[FaceReading | None, ...]

    def tracked(self, fps: Fraction, size: tuple[int, int]) -> TrackedVideo:
        """The piece as arrays."""
        return assembled(list(self.readings), fps, size)


@dataclass(frozen=True)
class LeftOut:
    """Frames ``first`` to ``last`` (not included) that are not used, and why."""

    first: int
    last: int
    reason: str


def look_at(video: Path) -> tuple[list[Seen], Fraction, tuple[int, int]]:
    """Every frame of a video, its rate and size. Raises Fault ``video-missing`` or ``video-unreadable``."""
    import cv2
    import mediapipe

    info = probe_video(video)
    frames: list[Seen] = []
    before: NDArray[np.float32] | None = None
    with open_landmarker(video=True, faces=2) as landmarker:
        for index, frame in enumerate(read_frames(video)):
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
            result = landmarker.detect_for_video(picture, round(index * 1000 / info.fps))
            faces = sorted(face_readings(result, info.size[0], info.size[1]), key=extent, reverse=True)
            small = cv2.resize(frame, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).mean(axis=2, dtype=np.float32)
            frames.append(Seen(tuple(faces), 0.0 if before is None else float(np.abs(small - before).mean())))
            before = small
    return frames, info.fps, info.size


def find_pieces(frames: Sequence[Seen], fps: Fraction, shortest: float = SHORTEST_PIECE) -> tuple[list[Piece], list[LeftOut]]:
    """Divides a video into pieces with one face each, and tells what is left out and why."""
    pieces: list[Piece] = []
    left_out: list[LeftOut] = []
    for first, last in _shots(frames):
        for piece, reason in _of_one_face(frames, first, last, round(_LONGEST_GAP * fps)):
            reason = reason or _unfit(piece, frames, round(shortest * fps))
            if reason:
                left_out.append(LeftOut(piece.first, piece.last, reason))
            else:
                pieces.append(piece)
    return pieces, left_out


def extent(reading: FaceReading) -> float:
    """Width or height of a face, whichever is larger, pixels."""
    return float(np.ptp(reading.mesh[:, :2], axis=0).max())


def _shots(frames: Sequence[Seen]) -> list[tuple[int, int]]:
    """First and last + 1 frame of each shot between cuts."""
    cuts = [0, *(index for index in range(1, len(frames)) if frames[index].change > _CUT), len(frames)]
    return [(first, last) for first, last in zip(cuts[:-1], cuts[1:], strict=True) if last > first]


def _of_one_face(frames: Sequence[Seen], first: int, last: int, gap: int) -> list[tuple[Piece, str]]:
    """The shot divided where its face is lost for longer than ``gap`` frames or jumps; a reason where a part has no face at all."""
    readings = _followed(frames[first:last])
    runs: list[tuple[int, int]] = []
    for index, reading in enumerate(readings):
        if reading is None:
            continue
        near = bool(runs) and index - runs[-1][1] <= gap and _jump(reading, readings[runs[-1][1] - 1]) <= _JUMP
        if near:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    parts, done = [], 0
    for start, end in [*runs, (len(readings), len(readings))]:
        if start > done:
            parts.append((Piece(first + done, first + start, (None,) * (start - done)), "no face"))
        if end > start:
            parts.append((Piece(first + start, first + end, tuple(readings[start:end])), ""))
        done = end
    return parts


def _followed(frames: Sequence[Seen]) -> list[FaceReading | None]:
    """The largest face of the shot's first faces, then whichever is nearest to it."""
    chosen: list[FaceReading | None] = []
    previous: FaceReading | None = None
    for seen in frames:
        if not seen.faces:
            chosen.append(None)
            continue
        face = seen.faces[0] if previous is None else min(seen.faces, key=lambda other: _jump(other, previous))
        if previous is not None and _jump(face, previous) > _JUMP:
            face = seen.faces[0]
        chosen.append(face)
        previous = face
    return chosen


def _unfit(piece: Piece, frames: Sequence[Seen], fewest: int) -> str:
    """Why a piece with a face cannot be used; empty where it can."""
    if piece.last - piece.first < fewest:
        return "too short"
    seen = frames[piece.first : piece.last]
    rivals = np.mean([len(one.faces) > 1 and extent(one.faces[1]) > _RIVAL * extent(one.faces[0]) for one in seen])
    if rivals > _MOST_RIVALS:
        return "several faces"
    sizes = [extent(reading) for reading in piece.readings if reading is not None]
    return "face too small" if float(np.median(sizes)) < _SMALLEST_FACE else ""


def _jump(reading: FaceReading | None, other: FaceReading | None) -> float:
    """Distance of two faces' middles in the second one's extents, or how much their sizes differ."""
    if reading is None or other is None:
        return 0.0
    size = max(extent(other), 1.0)
    moved = float(np.linalg.norm(reading.mesh[:, :2].mean(0) - other.mesh[:, :2].mean(0))) / size
    return max(moved, abs(extent(reading) - extent(other)) / size)
