# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawings of landmarks as the published weights were trained to read them.

Lines of two pixels in the colours of their group, on 512 x 512 whatever the size of the picture, then resized. Edges run over
MediaPipe's indices; all of their points are among the 162. Colours are the three channels in the order in which they are given to
the network; nothing swaps them. A point outside the picture takes its edges away with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import LANDMARK_COUNT, OF_MEDIAPIPE

SIDE = 512
THICKNESS = 2
MARK = 3  # half the side of the squares on pupils and nose
Colour = tuple[int, int, int]


def _chain(*points: int) -> tuple[tuple[int, int], ...]:
    return tuple(pairwise(points))


@dataclass(frozen=True)
class Group:
    """Edges of one colour, by MediaPipe's indices."""

    name: str
    edges: tuple[tuple[int, int], ...]
    colour: Colour


CONTOUR = Group(
    "face contour",
    _chain(
        251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21,
    ),
    (10, 200, 10),
)  # fmt: skip
EYES = (
    Group(
        "left eye",
        _chain(263, 249, 390, 373, 374, 380, 381, 382, 362) + _chain(263, 466, 388, 387, 386, 385, 384, 398, 362),
        (180, 200, 10),
    ),
    Group(
        "right eye",
        _chain(33, 7, 163, 144, 145, 153, 154, 155, 133) + _chain(33, 246, 161, 160, 159, 158, 157, 173, 133),
        (10, 200, 180),
    ),
)
BROWS = (
    Group("left brow", _chain(276, 283, 282, 295, 285) + _chain(300, 293, 334, 296, 336), (180, 220, 10)),
    Group("right brow", _chain(46, 53, 52, 65, 55) + _chain(70, 63, 105, 66, 107), (10, 220, 180)),
)
IRISES = (
    Group("left iris", _chain(474, 475, 476, 477, 474), (250, 200, 10)),
    Group("right iris", _chain(469, 470, 471, 472, 469), (10, 200, 250)),
)
LIPS = (
    Group("outer lip, below, right half", _chain(61, 146, 91, 181, 84, 17), (10, 180, 20)),
    Group("outer lip, below, left half", _chain(17, 314, 405, 321, 375, 291), (20, 10, 180)),
    Group("inner lip, below, right half", _chain(78, 95, 88, 178, 87, 14), (100, 100, 30)),
    Group("inner lip, below, left half", _chain(14, 317, 402, 318, 324, 308), (100, 150, 50)),
    Group("outer lip, above, right half", _chain(61, 185, 40, 39, 37, 0), (20, 80, 100)),
    Group("outer lip, above, left half", _chain(0, 267, 269, 270, 409, 291), (80, 100, 20)),
    Group("inner lip, above, right half", _chain(78, 191, 80, 81, 82, 13), (120, 100, 200)),
    Group("inner lip, above, left half", _chain(13, 312, 311, 310, 415, 308), (150, 120, 100)),
)
NOSE_TIP: tuple[int, Colour] = (4, (200, 200, 200))
PUPILS: tuple[tuple[int, Colour], ...] = ((468, (10, 200, 250)), (473, (250, 200, 10)))


@dataclass(frozen=True)
class Drawing:
    """What is drawn, in this order. ``marks``: squares on points, drawn last. ``signed``: the network wants -1..1, not 0..1."""

    groups: tuple[Group, ...]
    marks: tuple[tuple[int, Colour], ...]
    signed: bool


ANIPORTRAIT = Drawing((CONTOUR, EYES[0], BROWS[0], EYES[1], BROWS[1], *LIPS), (), signed=True)


def echomimic(*, contour: bool = False, irises: bool = False, lips: bool = False, pupils: bool = True, nose: bool = True) -> Drawing:
    """EchoMimic's drawing. The defaults are those of its ``_pose`` weights: no contour, no irises, the mouth left to the voice."""
    groups = (*((CONTOUR,) * contour), *EYES, *BROWS, *(IRISES if irises else ()), *(LIPS if lips else ()))
    return Drawing(groups, (*(PUPILS if pupils else ()), *((NOSE_TIP,) * nose)), signed=False)


DRAWINGS = {"aniportrait": ANIPORTRAIT, "echomimic": echomimic()}


def draw(points: NDArray[np.floating], drawing: Drawing, size: int = SIDE) -> NDArray[np.uint8]:
    """(size, size, 3) uint8 from landmarks (162, 2), 0 to 1 over the picture's width and height."""
    if points.shape != (LANDMARK_COUNT, 2):
        raise ValueError(f"landmarks must be ({LANDMARK_COUNT}, 2), not {points.shape}")
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    inside = np.asarray(((points >= 0) & (points <= 1)).all(1))  # false for a point that is not a number, too
    pixels = np.minimum(np.floor(np.where(inside[:, None], points, 0).astype(np.float64) * SIDE), SIDE - 1).astype(int)
    for group in drawing.groups:
        for edge in group.edges:
            start, end = (OF_MEDIAPIPE[index] for index in edge)
            if inside[start] and inside[end]:
                cv2.line(canvas, pixels[start].tolist(), pixels[end].tolist(), group.colour, THICKNESS)
    for index, colour in drawing.marks:
        row = OF_MEDIAPIPE[index]
        if inside[row] and (points[row] < 1).all():
            x, y = pixels[row]
            canvas[max(y - MARK, 0) : y + MARK, max(x - MARK, 0) : x + MARK] = colour
    return canvas if size == SIDE else np.asarray(cv2.resize(canvas, (size, size)), np.uint8)
