# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of a face for the loss: how much each place counts, and what lies beside the face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.synthesis.small.gates import face_gates
from bridge.landmarks import REGIONS

from .config import LossWeights

_SIDE = 256
Array = NDArray[np.float32]


def beside_face(points: Array) -> Array:
    """(256, 256) float32: 0 on the face and a little round it, 1 beyond, soft: what ``face_gates`` leaves out of the residual flow."""
    return 1 - np.asarray(cv2.resize(face_gates(points)[1], (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR), np.float32)


def importance_map(points: Array, losses: LossWeights) -> Array:
    """(256, 256) float32 weights: background, face, eyes, mouth; soft edges."""
    small = _SIDE // 4
    places = np.rint(points * small).astype(np.int32)
    canvas = np.full((small, small), losses.background, np.float32)
    cv2.fillConvexPoly(canvas, cv2.convexHull(places[list(REGIONS["face_oval"])]), losses.face)
    for names, weight in ((("eye_left",), losses.eyes), (("eye_right",), losses.eyes), (("lips_outer",), losses.mouth)):
        region = np.zeros_like(canvas)
        cv2.fillConvexPoly(region, cv2.convexHull(places[[index for name in names for index in REGIONS[name]]]), 1.0)
        canvas = np.maximum(canvas, cv2.dilate(region, np.ones((5, 5), np.uint8)) * weight)
    opening = np.zeros_like(canvas)
    cv2.fillPoly(opening, [places[list(REGIONS["lips_inner"])]], 1.0)
    canvas = np.maximum(canvas, opening * losses.mouth_opening)
    return np.asarray(cv2.resize(cv2.GaussianBlur(canvas, (5, 5), 0), (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR), np.float32)
