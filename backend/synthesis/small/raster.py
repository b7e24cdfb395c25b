# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing landmarks as pictures that a convolution can read."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import CONTOUR_EDGES, REGIONS

_SHIFT = 4  # OpenCV draws on a grid of 1/16 pixel
_LIPS = set(REGIONS["lips_outer"] + REGIONS["lips_inner"])
_IRISES = set(REGIONS["iris_left"] + REGIONS["iris_right"])
_EYES = set(REGIONS["eye_left"] + REGIONS["eye_right"])
_OTHER_EDGES = [edge for edge in CONTOUR_EDGES if edge[0] not in _LIPS | _IRISES | _EYES]


def landmark_raster(points: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8 from (162, 2) crop coordinates.

    Channel 0: lips half bright, mouth opening full. Channel 1: eye openings half bright, irises brighter inside them.
    Channel 2: lines of brows, nose and face oval.
    """
    places = np.rint((points * side - 0.5) * 2**_SHIFT).astype(np.int32)
    lips = np.zeros((side, side), np.uint8)
    _fill(lips, places[list(REGIONS["lips_outer"])], 128)
    _fill(lips, places[list(REGIONS["lips_inner"])], 255)
    return np.stack([lips, _eyes(places, side), _lines(places, side)], -1)


def _eyes(places: NDArray[np.int32], side: int) -> NDArray[np.uint8]:
    openings = np.zeros((side, side), np.uint8)
    irises = np.zeros((side, side), np.uint8)
    for eye, iris in (("eye_left", "iris_left"), ("eye_right", "iris_right")):
        _fill(openings, places[list(REGIONS[eye])], 128)
        _fill(irises, places[list(REGIONS[iris])], 128)
    return openings + np.minimum(irises, openings) // 2


def _lines(places: NDArray[np.int32], side: int) -> NDArray[np.uint8]:
    canvas = np.zeros((side, side), np.uint8)
    segments = [places[list(edge)].reshape(-1, 1, 2) for edge in _OTHER_EDGES]
    cv2.polylines(canvas, segments, False, 255, 1, cv2.LINE_AA, _SHIFT)
    return canvas


def _fill(canvas: NDArray[np.uint8], outline: NDArray[np.int32], value: int) -> None:
    cv2.fillPoly(canvas, [outline.reshape(-1, 1, 2)], value, cv2.LINE_AA, _SHIFT)
