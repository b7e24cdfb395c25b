# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads the warp where there are no landmarks: hair, chest, and the creases of the lids."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from drawn_faces import drawn_points

from backend.synthesis.small.eyes import crease_points
from backend.synthesis.small.surroundings import surrounding_points
from backend.synthesis.small.warp import GRID, landmark_warp
from bridge.landmarks import REGIONS

pytestmark = pytest.mark.unit


def shifted(by: float) -> tuple[np.ndarray, np.ndarray]:
    """A face, and the same face further to the right by a share of the crop; small enough to leave room for hair and chest."""
    points = ((drawn_points() - 0.5) * 0.75 + 0.5).astype(np.float32)
    return points, points + np.array([by, 0], np.float32)


def dropped_jaw() -> tuple[np.ndarray, np.ndarray]:
    """A face, and the same with its lower part further down."""
    start, goal = shifted(0)
    goal = goal.copy()
    goal[start[:, 1] > start[list(REGIONS["face_oval"]), 1].mean() + 0.08, 1] += 0.04
    return start, goal


def place(field: np.ndarray, x: float, y: float) -> float:
    """How far to the right the picture at crop coordinates (x, y) has gone."""
    return -float(field[min(int(y * GRID), GRID - 1), min(int(x * GRID), GRID - 1), 0])


def below_the_chin(points: np.ndarray) -> float:
    """A height in the chest."""
    below = float(points[list(REGIONS["face_oval"]), 1].max()) + 0.12
    assert below < 0.98
    return below


def test_the_chest_goes_along_with_the_head_as_one_piece() -> None:
    start, goal = shifted(0.03)
    led = landmark_warp(start, goal, led=True).field
    gone = [place(led, across, below_the_chin(start)) for across in (0.35, 0.5, 0.65)]
    assert min(gone) > 0.5 * 0.03 and max(gone) < 0.03 and max(gone) - min(gone) < 0.15 * 0.03


def test_the_chest_does_not_follow_the_chin() -> None:
    start, goal = dropped_jaw()
    plain, led = landmark_warp(start, goal).field, landmark_warp(start, goal, led=True).field
    row, column = int(below_the_chin(start) * GRID), GRID // 2
    assert -plain[row, column, 1] > 0.02 and abs(led[row, column, 1]) < 0.3 * -plain[row, column, 1]


def test_hair_goes_with_the_skull() -> None:
    start, goal = shifted(0.03)
    above = float(start[:, 1].min()) - 0.06
    plain, led = landmark_warp(start, goal).field, landmark_warp(start, goal, led=True).field
    assert place(led, 0.53, above) > max(place(plain, 0.53, above), 0.026)


def test_a_dropped_jaw_does_not_lift_the_hair() -> None:
    start, goal = dropped_jaw()
    first, second, _ = surrounding_points(start, goal)
    arc = first[:, 1] < start[list(REGIONS["face_oval"]), 1].mean()
    assert arc.sum() >= 5 and np.abs(second[arc] - first[arc]).max() < 2e-3


def test_resting_faces_are_left_alone() -> None:
    start, _ = shifted(0)
    first, second, _ = surrounding_points(start, start)
    assert np.abs(first - second).max() < 1e-5
    assert np.abs(landmark_warp(start, start, led=True).field).max() < 1e-4


def test_a_face_upside_down_gets_no_hair_and_no_failure() -> None:
    start, _ = shifted(0)
    turned = (1 - start).astype(np.float32)
    assert np.isfinite(landmark_warp(turned, turned + np.float32(0.01), led=True).field).all()


@pytest.mark.parametrize(("lids", "softness"), [(0.1, 0.0), (1.0, 1.0)])
def test_creases_hold_only_lids_that_shut(lids: float, softness: float) -> None:
    *_, soft = crease_points(drawn_points(), drawn_points(lids=lids))
    assert soft == pytest.approx(softness, abs=1e-3)
