# SPDX-License-Identifier: GPL-3.0-or-later
"""Brows pressed down on the eyes as training data: made targets, frames as they were for portraits."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from drawn_faces import drawn_face, drawn_points  # noqa: E402

from backend.training.small.cache import FaceClip, load_clips  # noqa: E402
from backend.training.small.config import tiny_config  # noqa: E402
from backend.training.small.lowered_brows import DATASET, WAY, lowered_brows_of_clips, pressed  # noqa: E402
from backend.training.small.pairs import PairSampler  # noqa: E402
from bridge.landmarks import REGIONS  # noqa: E402

pytestmark = pytest.mark.unit
BROWS = list(REGIONS["brow_left"] + REGIONS["brow_right"])
OTHERS = [index for index in range(162) if index not in BROWS]


def clip(name: str, validation: bool = False) -> FaceClip:
    points = np.stack([drawn_points(opening=0.004 * row) for row in range(5)])
    pictures = np.stack([drawn_face(rows, 256) for rows in points])
    return FaceClip(name, "grid", "somebody", pictures, points, np.ones((5, 18), np.float32), True, validation)


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((points - 0.5) @ matrix.T + 0.5).astype(np.float32)


@pytest.mark.parametrize("degrees", [0.0, 25.0, -40.0])
def test_pressed_brows_go_down_on_the_eyes_and_never_through_them(degrees: float) -> None:
    points = turned(drawn_points(), degrees)
    ways = []
    for seed in range(30):
        goal = turned(pressed(points, np.random.default_rng(seed)), -degrees)
        start = turned(points, -degrees)
        assert np.allclose(goal[OTHERS], start[OTHERS], atol=1e-6)
        for side in ("left", "right"):
            brow, eye = list(REGIONS[f"brow_{side}"]), list(REGIONS[f"eye_{side}"])
            lid = start[eye, 1].min()
            assert goal[brow, 1].mean() > start[brow, 1].mean() and goal[brow, 1].max() < lid + 0.003
            assert np.abs(goal[brow, 0].mean() - start[brow, 0].mean()) < 2e-3
            assert np.ptp(goal[brow, 1]) < 1.6 * np.ptp(start[brow, 1])
            ways.append((goal[brow, 1].mean() - start[brow, 1].mean()) / (lid - start[brow, 1].max()))
    assert min(ways) < 0.6 * (WAY[0] + WAY[1]) < max(ways)


def test_pressed_frames_are_targets_and_frames_as_they_were_portraits(tmp_path: Path) -> None:
    clips = [clip("one"), clip("two", validation=True), replace(clip("three"), originals=1)]
    made = lowered_brows_of_clips(tmp_path, clips, 3)
    assert [brows.name for brows in made] == [f"{DATASET}_one"]  # neither the held-out one nor one that is made itself
    (brows,) = made
    assert brows.dataset == DATASET and brows.originals == 3 and brows.frames.shape == (6, 256, 256, 3) and not brows.consecutive
    for index, row in enumerate((0, 2, 4)):
        assert np.array_equal(brows.frames[3 + index], clips[0].frames[row])
        assert np.array_equal(brows.points[3 + index], clips[0].points[row])
        assert (brows.frames[index] != clips[0].frames[row]).any()
        mouth = np.s_[150:200, 90:166]
        changed = np.abs(brows.frames[index][mouth].astype(int) - clips[0].frames[row][mouth])
        assert changed.mean() < 2 < np.abs(brows.frames[index][70:105].astype(int) - clips[0].frames[row][70:105]).max()
    sampler = PairSampler([brows], replace(tiny_config(), tasks=(0.4, 0.3, 0.3, 0.0)), 0)
    recipes = [sampler.recipe(64) for _ in range(30)]
    assert all(recipe.goal < 3 <= recipe.start for recipe in recipes)
    assert lowered_brows_of_clips(tmp_path, clips, 3) == []  # they are there
    assert [stored.originals for stored in load_clips(tmp_path)] == [3]
