# SPDX-License-Identifier: GPL-3.0-or-later
"""The measure by a second detector: its box, its unit, and what is reported where dlib is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("cv2")
from drawn_faces import drawn_face, drawn_points  # noqa: E402

from backend.evaluation import second_detector  # noqa: E402
from backend.evaluation.second_detector import face_box, second_error, shape_predictor  # noqa: E402
from bridge.landmarks import REGIONS  # noqa: E402

pytestmark = pytest.mark.unit


def test_the_box_is_a_square_from_the_brows_to_the_chin() -> None:
    points = drawn_points()
    left, top, right, bottom = face_box(points, 256)
    assert abs((right - left) - (bottom - top)) <= 1
    assert abs(bottom - 256 * points[list(REGIONS["face_oval"]), 1].max()) <= 1
    inner = points[list(REGIONS["eye_left"] + REGIONS["eye_right"] + REGIONS["lips_outer"])] * 256
    assert (inner > (left, top)).all() and (inner < (right, bottom)).all()


def test_errors_are_shares_of_the_distance_of_the_eyes(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = np.zeros((68, 2), np.float32)
    wanted[45] = (50, 0)

    def find(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
        return wanted + picture[0, 0, 0] * np.array([0.6, 0.8], np.float32)

    monkeypatch.setattr(second_detector, "second_landmarks", lambda: find)
    dark, light = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 2, np.uint8)
    assert second_error(dark, dark, drawn_points()) == 0
    assert second_error(light, dark, drawn_points()) == pytest.approx(4.0)


def test_without_dlib_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_predictor.cache_clear()
    monkeypatch.setitem(sys.modules, "dlib", None)
    picture = drawn_face(drawn_points(), 64)
    assert second_error(picture, picture, drawn_points()) is None
    shape_predictor.cache_clear()


def test_dlib_finds_a_shift() -> None:
    pytest.importorskip("dlib")
    picture, points = drawn_face(drawn_points(), 256), drawn_points()
    assert second_error(picture, picture, points) == 0
    error = second_error(np.roll(picture, 6, 1), picture, points)
    assert error is not None and error > 1
