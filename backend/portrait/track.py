# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks, head pose and blendshapes of every frame of a video, with MediaPipe's own smoothing off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.landmarks import MEDIAPIPE_INDICES

from ..video.read import probe_video, read_frames
from .landmarker import open_landmarker

MESH_COUNT = 478
BLENDSHAPE_COUNT = 52
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FaceReading:
    """One face in one picture. ``mesh``: (478, 3) float32 in pixels, z in pixels too, towards the viewer negative.

    ``blendshapes``: (52,) float32 0..1 in MediaPipe's order. ``pose``: (4, 4) float32, MediaPipe's facial
    transformation matrix (canonical face in centimetres to camera).
    """

    mesh: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    pose: NDArray[np.float32]

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """(162, 2) float32, pixels."""
        return self.mesh[list(MEDIAPIPE_INDICES), :2]


@dataclass(frozen=True)
class TrackedVideo:
    """A tracked clip of n frames at a constant rate.

    ``landmarks`` (n, 162, 2) float32 pixels; ``mesh`` (n, 478, 3) float32 pixels; ``pose`` (n, 4, 4) float32;
    ``blendshapes`` (n, 52) float32 0..1; ``found`` (n,) bool, False where the row was filled in from its neighbours;
    ``size`` (width, height) pixels.
    """

    landmarks: NDArray[np.float32]
    mesh: NDArray[np.float32]
    pose: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    found: NDArray[np.bool_]
    fps: Fraction
    size: tuple[int, int]


def face_readings(result: Any, width: int, height: int) -> list[FaceReading]:
    """The faces of a MediaPipe result, in pixels of a picture of that size."""
    readings = []
    for index, points in enumerate(result.face_landmarks):
        mesh = np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32)
        blendshapes = np.array([shape.score for shape in result.face_blendshapes[index]], np.float32)
        pose = np.asarray(result.facial_transformation_matrixes[index], np.float32)
        readings.append(FaceReading(mesh, blendshapes, pose))
    return readings


def track_video(path: str | Path, progress: Progress | None = None, first: int = 0, count: int | None = None) -> TrackedVideo:
    """Tracks the largest face, then stays with it.

    ``first``, ``count``: range of frames at the video's constant rate. Frames without a face are interpolated and
    marked in ``found``. Raises Fault ``video-missing``, ``video-unreadable``, ``face-none`` (no face in any frame).
    """
    import mediapipe

    info = probe_video(path)
    total = min(count or info.frame_count, max(info.frame_count - first, 1)) if info.frame_count else count or 0
    readings: list[FaceReading | None] = []
    previous: FaceReading | None = None
    # Two faces at most: one would switch MediaPipe's smoothing on.
    with open_landmarker(video=True, faces=2) as landmarker:
        for index, frame in enumerate(read_frames(path, first, count)):
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
            result = landmarker.detect_for_video(picture, round(index * 1000 / info.fps))
            chosen = _same_face(face_readings(result, info.size[0], info.size[1]), previous)
            readings.append(chosen)
            previous = chosen or previous
            if progress:
                progress(index + 1, max(total, index + 1), "tracking")
    if previous is None:
        raise Fault(
            "face-none",
            f"No face was found in {Path(path).name}.",
            "Use a video with one face, seen from the front, at least 60 pixels wide.",
        )
    return assembled(readings, info.fps, info.size)


def _same_face(readings: list[FaceReading], previous: FaceReading | None) -> FaceReading | None:
    """The reading nearest to the previous one; at first the largest. None where every face is somebody else's."""
    if not readings:
        return None
    if previous is None:
        return max(readings, key=_extent)
    nearest = min(readings, key=lambda reading: _distance(reading, previous))
    return nearest if _distance(nearest, previous) < _extent(previous) else None


def _extent(reading: FaceReading) -> float:
    return float(np.ptp(reading.mesh[:, :2], axis=0).max())


def _distance(reading: FaceReading, other: FaceReading) -> float:
    return float(np.linalg.norm(reading.mesh[:, :2].mean(0) - other.mesh[:, :2].mean(0)))


def assembled(readings: list[FaceReading | None], fps: Fraction, size: tuple[int, int]) -> TrackedVideo:
    """Readings of a clip's frames as arrays, frames without a face (None) filled in from their neighbours; one at least has a face."""
    found = np.array([reading is not None for reading in readings])
    good = [reading for reading in readings if reading is not None]
    mesh = _filled(np.stack([reading.mesh for reading in good]), found)
    return TrackedVideo(
        landmarks=np.ascontiguousarray(mesh[:, list(MEDIAPIPE_INDICES), :2]),
        mesh=mesh,
        pose=_filled(np.stack([reading.pose for reading in good]), found),
        blendshapes=_filled(np.stack([reading.blendshapes for reading in good]), found),
        found=found,
        fps=fps,
        size=size,
    )


def _filled(values: NDArray[np.float32], found: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Linear interpolation of the rows that were not found; the nearest row at the ends."""
    if found.all():
        return values
    known = np.flatnonzero(found)
    position = np.interp(np.arange(len(found)), known, np.arange(len(known)))
    lower = np.floor(position).astype(int)
    upper = np.minimum(lower + 1, len(known) - 1)
    weight = (position - lower).reshape(-1, *[1] * (values.ndim - 1)).astype(np.float32)
    return values[lower] * (1 - weight) + values[upper] * weight
