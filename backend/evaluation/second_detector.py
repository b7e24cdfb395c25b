# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks found on pictures by a detector that neither tracked the training data nor judged the renderer: dlib's 68 points.

Metric only: its model was trained on non-commercial data and is never shipped. Kazemi and Sullivan, "One Millisecond Face Alignment with
an Ensemble of Regression Trees", CVPR 2014.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import REGIONS

Picture = NDArray[np.uint8]
Finder = Callable[[Picture, NDArray[np.float32]], NDArray[np.float32]]
_EYE_CORNERS = 36, 45  # outer ones, iBUG's numbers


@lru_cache(maxsize=1)
def shape_predictor() -> Any | None:
    """dlib's predictor of 68 points, a file of 100 MB that is read once; None where dlib is not installed."""
    try:
        import dlib
        import face_recognition_models as models
    except Exception:  # noqa: BLE001 - either package may be missing or broken; the measure is then reported as missing
        return None
    return dlib.shape_predictor(models.pose_predictor_model_location())


def second_landmarks() -> Finder | None:
    """A function from a picture (s, s, 3) and landmarks (162, 2) that say where its face is, crop coordinates, to dlib's points (68, 2) in
    pixels; None where dlib is not installed."""
    predictor = shape_predictor()
    if predictor is None:
        return None
    import dlib

    def find(picture: Picture, points: NDArray[np.float32]) -> NDArray[np.float32]:
        left, top, right, bottom = face_box(points, picture.shape[0])
        shape = predictor(np.ascontiguousarray(picture), dlib.rectangle(left, top, right, bottom))
        return np.array([(part.x, part.y) for part in shape.parts()], np.float32)

    return find


def face_box(points: NDArray[np.float32], side: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels: a square from the brows to the chin, as dlib's own detector frames faces."""
    oval, brows = points[list(REGIONS["face_oval"])], points[list(REGIONS["brow_left"] + REGIONS["brow_right"])]
    top, bottom = float(brows[:, 1].min()), float(oval[:, 1].max())
    middle, half = (float(oval[:, 0].min()) + float(oval[:, 0].max())) / 2, (bottom - top) / 2
    return round((middle - half) * side), round(top * side), round((middle + half) * side), round(bottom * side)


def second_error(picture: Picture, real: Picture, points: NDArray[np.float32]) -> float | None:
    """Mean distance of dlib's landmarks on ``picture`` from those on the ``real`` frame, % of the distance of the outer eye corners.

    Both are looked for in one and the same box, that of ``points`` (162, 2), crop coordinates. None where dlib is not installed.
    """
    find = second_landmarks()
    if find is None:
        return None
    shown, wanted = find(picture, points), find(real, points)
    eyes = max(float(np.linalg.norm(wanted[_EYE_CORNERS[0]] - wanted[_EYE_CORNERS[1]])), 1e-6)
    return float(np.linalg.norm(shown - wanted, axis=1).mean() / eyes * 100)
