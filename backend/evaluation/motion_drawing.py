# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing landmarks, letters and curves onto pictures for the sheets of the motion evaluation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import CONTOUR_EDGES, REGIONS

FloatArray = NDArray[np.float32]
Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

PAPER, INK, FAINT, NIGHT = (250, 250, 248), (28, 30, 34), (150, 154, 160), (24, 26, 30)
_FINE = 4  # sub-pixel bits of OpenCV's lines


@lru_cache(maxsize=1)
def drawn_edges() -> tuple[tuple[int, int], ...]:
    """The contours without the face oval's, which crowd small pictures, and the lower half of the oval: the jaw."""
    oval = set(REGIONS["face_oval"])
    jaw = set(REGIONS["face_oval"][8:28])
    return tuple((a, b) for a, b in CONTOUR_EDGES if not {a, b} <= oval or {a, b} <= jaw)


def draw_landmarks(picture: Picture, points: FloatArray, colour: Colour, thickness: int = 1, regions: tuple[str, ...] = ()) -> None:
    """Draws contours of landmarks (162, 2) in pixels onto a picture (h, w, 3), in place; only some regions where they are named."""
    import cv2

    chosen = {index for region in regions for index in REGIONS[region]}
    fine = np.round(points[:, :2] * 2**_FINE).astype(int)
    for a, b in drawn_edges():
        if not chosen or {a, b} <= chosen:
            cv2.line(picture, tuple(map(int, fine[a])), tuple(map(int, fine[b])), colour, thickness, cv2.LINE_AA, _FINE)


def write_text(picture: Picture, text: str, place: tuple[int, int], colour: Colour = INK, size: int = 16) -> Picture:
    """A copy of the picture with text whose upper left corner is at ``place`` (x, y)."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text(place, text, fill=colour, font=ImageFont.load_default(size))
    return np.asarray(image, np.uint8).copy()


def square_of(points: FloatArray, margin: float = 0.16) -> tuple[float, float, float]:
    """Left, top and side of a square round landmarks (..., 162, 2), in their unit."""
    flat = points.reshape(-1, 2)
    low, high = flat.min(0), flat.max(0)
    side = float((high - low).max()) * (1 + 2 * margin)
    left, top = (low + high) / 2 - side / 2
    return float(left), float(top), side


def cut(picture: Picture, square: tuple[float, float, float], side: int) -> Picture:
    """The square of a picture at ``side`` x ``side`` pixels; beyond its border its edge is held."""
    import cv2

    left, top, size = square
    scale = side / size
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)
    method: Any = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.warpAffine(picture, matrix, (side, side), flags=method, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def placed(points: FloatArray, square: tuple[float, float, float], side: int) -> FloatArray:
    """Landmarks in the pixels of ``cut``."""
    left, top, size = square
    return ((points - np.array([left, top], np.float32)) * (side / size)).astype(np.float32)


def curves(rows: dict[Colour, FloatArray], size: tuple[int, int], highest: float) -> Picture:
    """(height, width, 3): curves 0..``highest`` over the whole width, one for each colour."""
    import cv2

    width, height = size
    picture = np.full((height, width, 3), NIGHT, np.uint8)
    for colour, row in rows.items():
        x = (np.arange(len(row)) + 0.5) / len(row) * width
        y = height - 6 - np.clip(row / max(highest, 1e-6), 0, 1.05) * (height - 32)
        line = np.round(np.stack([x, y], axis=1) * 2**_FINE).astype(np.int32)
        cv2.polylines(picture, [line[:, None]], False, colour, 2, cv2.LINE_AA, _FINE)
    return picture
