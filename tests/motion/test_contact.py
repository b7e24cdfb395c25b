# SPDX-License-Identifier: GPL-3.0-or-later
"""Lips and lids that touch: never through each other, and shut lips on one smooth line."""

from __future__ import annotations

import numpy as np
import pytest

from backend.motion.contact import _LIPS, uncrossed
from backend.motion.face import reference_face
from backend.motion.measures import lid_opening
from backend.training.motion.dataset import as_tracked
from bridge.facs import AU_INDEX
from bridge.landmarks import CHIN, OF_MEDIAPIPE

pytestmark = pytest.mark.unit
LOWER, UPPER = _LIPS


def pressed(depth: float, zigzag: float = 0.0) -> np.ndarray:
    """The reference face with its lips pushed ``depth`` through each other along a line that zigzags."""
    face = reference_face().neutral[:, :2].copy()
    line = face[LOWER, 1].mean() + zigzag * np.array([(-1) ** pair for pair in range(len(LOWER))], np.float32)
    face[LOWER, 1], face[UPPER, 1] = line - depth / 2, line + depth / 2
    return face


def test_lips_and_lids_never_cross():
    face = pressed(0.05)
    face[OF_MEDIAPIPE[159], 1] += 0.3  # the middle of an upper lid far under the lower one
    made = uncrossed(face[None])[0]
    assert (made[LOWER, 1] >= made[UPPER, 1] - 1e-6).all() and lid_opening(made) >= 0


def test_lips_that_are_pressed_together_meet_on_a_smooth_line():
    made = uncrossed(pressed(0.04, zigzag=0.02)[None])[0]
    before, after = (np.abs(np.diff(face[LOWER, 1], 2)).max() for face in (pressed(0.04, zigzag=0.02), made))
    np.testing.assert_allclose(made[LOWER, 1], made[UPPER, 1], atol=1e-6)
    assert after < 0.25 * before


def test_lips_that_do_not_touch_stay_as_they_are_and_nothing_jumps():
    face = reference_face().neutral[:, :2].copy()
    face[LOWER, 1] += 0.05
    np.testing.assert_array_equal(uncrossed(face[None])[0], face)
    depths = np.linspace(-0.02, 0.04, 61)
    made = uncrossed(np.stack([pressed(depth, zigzag=0.01) for depth in depths]))
    assert np.abs(np.diff(made[:, LOWER, 1], axis=0)).max() < 0.004


def test_an_open_jaw_falls_in_a_curve_that_is_lowest_at_the_chin():
    face = reference_face()
    line = [
        OF_MEDIAPIPE[point] for point in (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93)
    ]
    fall = face.fields[AU_INDEX["AU26"]][line, 1]
    assert fall.argmax() == line.index(CHIN) and (np.diff(fall[3:11]) > 0).all() and (np.diff(fall[10:18]) < 0).all()
    bend = np.abs(np.diff(face.neutral[line, 1] + fall, 2)).max()
    assert bend < 1.6 * np.abs(np.diff(face.neutral[line, 1], 2)).max()


def test_a_smile_keeps_its_pull_on_the_jaw_line():
    smile = np.zeros((162, 3), np.float32)
    smile[OF_MEDIAPIPE[397], 0] = 0.02
    np.testing.assert_array_equal(as_tracked(smile), smile)
