# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the portrait's one face and its landmarks, in the convention of tracked video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.landmarks import LANDMARK_COUNT, MEDIAPIPE_INDICES

from .action_units import BLENDSHAPE_NAMES
from .landmarker import landmarker_model, native_log_hidden, open_landmarker
from .track import FaceReading, face_readings

__all__ = ["DETECTOR_VERSION", "PortraitFace", "detect_face", "landmarker_model"]

DETECTOR_VERSION = 1  # part of the cache's key: raise it whenever the landmarks change
_SEARCH_SIDE = 1280  # pixels to which a larger picture is reduced for finding faces
_CROP_SIDE = 1024
_CROP_MARGIN = 1.3  # half side of the crop in which the landmarks are read, in face extents
_SETTLING_READS = 4  # a tracked video's region of interest comes from the frame before: reading the still again settles it
_TILE_SHARES = (1.0, 0.5)  # sides of the squares that are searched beside the whole picture, as shares of its short side
_SMALL_TILE_SHARES = (0.33, 0.2)  # searched where those show nobody
_BYSTANDER = 0.4  # faces under this share of the largest are background
_SMALLEST_FACE = 40  # pixels
_MOST_OUTSIDE = 0.04  # how far the face may reach over the picture's edge, in face extents


@dataclass(frozen=True)
class PortraitFace:
    """The face of a portrait of ``size`` (width, height).

    ``landmarks`` (162, 2) float32 pixels; ``mesh`` (478, 3) float32 pixels, z too (towards the viewer negative);
    ``blendshapes`` MediaPipe's 52 scores by name, 0..1; ``pose`` (4, 4) float32, MediaPipe's facial transformation.
    """

    landmarks: NDArray[np.float32]
    mesh: NDArray[np.float32]
    blendshapes: dict[str, float]
    pose: NDArray[np.float32]
    size: tuple[int, int]

    def with_landmarks(self, landmarks: NDArray[np.float32]) -> PortraitFace:
        """This face with landmarks (162, 2) that were fitted by hand; the mesh follows in x and y, z stays."""
        fitted = np.asarray(landmarks, np.float32).reshape(LANDMARK_COUNT, 2)
        mesh = self.mesh.copy()
        mesh[list(MEDIAPIPE_INDICES), :2] = fitted
        return replace(self, landmarks=fitted, mesh=mesh)


def detect_face(image: NDArray[np.uint8]) -> PortraitFace:
    """The one face of ``image`` (height, width, 3) uint8 RGB.

    Raises Fault ``face-none``, ``face-several``, ``face-small`` or ``face-border``, and those of ``landmarker_model``.
    """
    height, width = image.shape[:2]
    with native_log_hidden(), open_landmarker(video=False) as landmarker:
        faces = _search(landmarker, image)
    if not faces:
        raise Fault(
            "face-none", "No face was found in the portrait.", "Use a picture with one upright face, seen from the front and well lit."
        )
    largest = max(faces, key=_extent)
    people = [face for face in faces if _extent(face) > _BYSTANDER * _extent(largest)]
    if len(people) > 1:
        raise Fault(
            "face-several", f"The portrait shows {len(people)} faces; there must be one.", "Crop the picture to the person who is to speak."
        )
    face = _settled(image, largest)
    _check_place(face, width, height)
    scores = {name: float(score) for name, score in zip(BLENDSHAPE_NAMES, face.blendshapes, strict=True)}
    return PortraitFace(face.landmarks, face.mesh, scores, face.pose, (width, height))


def _search(landmarker: Any, image: NDArray[np.uint8]) -> list[FaceReading]:
    """All faces in the picture.

    MediaPipe's detector sees the picture shrunk to a small square and misses faces that are then a few pixels wide:
    squares of it are searched too, so that no second person is overlooked, and smaller ones where nobody was found.
    """
    overview, scale = _reduced(image, _SEARCH_SIDE)
    faces = _read(landmarker, overview, (0, 0, overview.shape[1], overview.shape[0]), _SEARCH_SIDE)
    for share in _TILE_SHARES:
        faces += _search_tiles(landmarker, overview, share)
    faces = [_scaled(face, 1 / scale) for face in faces]
    for share in _SMALL_TILE_SHARES:
        if not faces:
            faces = _search_tiles(landmarker, image, share)
    return _distinct(faces)


def _search_tiles(landmarker: Any, image: NDArray[np.uint8], share: float) -> list[FaceReading]:
    height, width = image.shape[:2]
    short = min(width, height)
    if share == 1 and max(width, height) < 1.2 * short:
        return []  # the one square is nearly the whole picture
    faces = []
    for box in _tiles(width, height, max(int(short * share), min(short, 2 * _SMALLEST_FACE))):
        faces += [face for face in _read(landmarker, image, box, _SEARCH_SIDE) if _inside(face, box)]
    return faces


def _scaled(face: FaceReading, scale: float) -> FaceReading:
    return replace(face, mesh=(face.mesh * scale).astype(np.float32))


def _inside(face: FaceReading, box: tuple[int, int, int, int]) -> bool:
    """Whether the whole face lies in the box: one cut by a tile's edge is guessed, and another tile shows it whole."""
    points = face.landmarks
    return bool((points >= box[:2]).all() and (points <= box[2:]).all())


def _tiles(width: int, height: int, side: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) that overlap by half."""
    for top in range(0, max(height - side, 0) + side // 2, side // 2):
        for left in range(0, max(width - side, 0) + side // 2, side // 2):
            yield left, top, min(left + side, width), min(top + side, height)


def _read(
    landmarker: Any, image: NDArray[np.uint8], box: tuple[int, int, int, int], largest_side: int, times: int = 0
) -> list[FaceReading]:
    """Faces inside a box, in pixels of the whole picture. ``times`` > 0: read as that many frames of a video."""
    import mediapipe

    left, top, right, bottom = box
    part, scale = _reduced(image[top:bottom, left:right], largest_side)
    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(part))
    result = landmarker.detect_for_video(picture, 0) if times else landmarker.detect(picture)
    for tick in range(1, times):
        result = landmarker.detect_for_video(picture, tick * 40)
    shift = np.array([left, top, 0], np.float32)
    readings = face_readings(result, part.shape[1], part.shape[0])
    return [replace(reading, mesh=_scaled(reading, 1 / scale).mesh + shift) for reading in readings]


def _reduced(image: NDArray[np.uint8], largest_side: int) -> tuple[NDArray[np.uint8], float]:
    from PIL import Image

    scale = largest_side / max(image.shape[:2])
    if scale >= 1:
        return image, 1.0
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.LANCZOS, reducing_gap=3)), scale


def _settled(image: NDArray[np.uint8], face: FaceReading) -> FaceReading:
    """The face read again, close up and as a video tracker would see it.

    Detection in a still and tracking in a video place the same face about 1 % of the inter-ocular distance apart,
    because the tracker frames each face by its landmarks of the frame before. The track's convention is the tracker's.
    """
    height, width = image.shape[:2]
    centre, reach = face.mesh[:, :2].mean(0), _CROP_MARGIN * _extent(face)
    left, top = np.maximum(centre - reach, 0).astype(int)
    right, bottom = np.minimum(np.ceil(centre + reach), (width, height)).astype(int)
    with native_log_hidden(), open_landmarker(video=True, faces=2) as landmarker:
        again = _read(landmarker, image, (int(left), int(top), int(right), int(bottom)), _CROP_SIDE, _SETTLING_READS)
    near = [other for other in again if _apart(other, face) < 0.3 * _extent(face)]
    return min(near, key=lambda other: _apart(other, face)) if near else face


def _check_place(face: FaceReading, width: int, height: int) -> None:
    extent = _extent(face)
    if extent < _SMALLEST_FACE:
        raise Fault(
            "face-small",
            f"The face is only {extent:.0f} pixels large.",
            f"Use a picture in which it has at least {_SMALLEST_FACE}, better 200 or more.",
        )
    points = face.landmarks
    outside = max(float(-points.min()), float((points[:, 0] - width).max()), float((points[:, 1] - height).max()))
    if outside > _MOST_OUTSIDE * extent:
        raise Fault("face-border", "The face is cut off by the edge of the portrait.", "Use a picture with some room round the face.")


def _distinct(faces: list[FaceReading]) -> list[FaceReading]:
    """One reading per face: overlapping readings of the same face are dropped, the larger ones kept."""
    kept: list[FaceReading] = []
    for face in sorted(faces, key=_extent, reverse=True):
        if all(_apart(face, other) > 0.4 * _extent(other) for other in kept):
            kept.append(face)
    return kept


def _extent(face: FaceReading) -> float:
    return float(np.ptp(face.mesh[:, :2], axis=0).max())


def _apart(face: FaceReading, other: FaceReading) -> float:
    return float(np.linalg.norm(face.mesh[:, :2].mean(0) - other.mesh[:, :2].mean(0)))
