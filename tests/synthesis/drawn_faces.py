# SPDX-License-Identifier: GPL-3.0-or-later
"""A drawn face with landmarks where they belong: enough for geometry and plumbing, no likeness intended."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import LANDMARK_COUNT, REGIONS

_PLACES = {  # centre x, y and half width, height in crop coordinates; the subject's left is on the image's right
    "lips_outer": (0.5, 0.68, 0.1, 0.045),
    "lips_inner": (0.5, 0.68, 0.08, 0.012),
    "eye_left": (0.61, 0.42, 0.05, 0.02),
    "eye_right": (0.39, 0.42, 0.05, 0.02),
    "brow_left": (0.61, 0.35, 0.07, 0.012),
    "brow_right": (0.39, 0.35, 0.07, 0.012),
    "face_oval": (0.5, 0.52, 0.24, 0.31),
    "nose": (0.5, 0.54, 0.05, 0.08),
    "iris_left": (0.61, 0.42, 0.018, 0.018),
    "iris_right": (0.39, 0.42, 0.018, 0.018),
    "iris_centres": (0.5, 0.42, 0.11, 0.001),
}


def drawn_points(opening: float = 0.0, lids: float = 1.0) -> NDArray[np.float32]:
    """(162, 2) crop coordinates; ``opening`` adds to the lip gap, ``lids`` scales the eyes' height."""
    points = np.zeros((LANDMARK_COUNT, 2), np.float32)
    for region, (x, y, wide, high) in _PLACES.items():
        indices = list(REGIONS[region])
        # The contours start at the outer corner and run below first; for the left eye that is on the image's right.
        start = 0.0 if region.endswith("left") or region == "iris_centres" else np.pi
        turn = 1 if region.endswith("left") else -1
        angles = start + turn * np.linspace(0, 2 * np.pi, len(indices), endpoint=False)
        scale = lids if region.startswith("eye") else 1.0
        points[indices] = np.stack([x + wide * np.cos(angles), y + high * scale * np.sin(angles)], -1)
        if region.startswith("lips"):
            points[indices, 1] += opening / 2 * np.sign(np.sin(angles)) * np.abs(np.sin(angles))
    return points


def drawn_face(points: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8: a flat-coloured face on a textured ground."""
    draw = np.random.default_rng(0)
    picture = cv2.GaussianBlur(draw.integers(0, 256, (side, side, 3), dtype=np.uint8), (0, 0), 3)
    for region, colour in (("face_oval", (210, 170, 150)), ("brow_left", (80, 50, 40)), ("brow_right", (80, 50, 40))):
        cv2.fillPoly(picture, [_pixels(points, region, side)], colour)
    for region, colour in (
        ("eye_left", (250, 250, 250)),
        ("eye_right", (250, 250, 250)),
        ("lips_outer", (180, 70, 80)),
        ("lips_inner", (40, 10, 10)),
    ):
        cv2.fillPoly(picture, [_pixels(points, region, side)], colour)
    for region in ("iris_left", "iris_right"):
        cv2.fillPoly(picture, [_pixels(points, region, side)], (60, 90, 60))
    return picture


def _pixels(points: NDArray[np.float32], region: str, side: int) -> NDArray[np.int32]:
    return np.rint(points[list(REGIONS[region])] * side).astype(np.int32)
