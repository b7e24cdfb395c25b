# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks without tremble: noise goes, what was meant stays, and a range is steadied as it is in the whole."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from drawn_faces import drawn_points

from backend.synthesis.small.steady import REACH, TREMBLE, steadied
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, REGIONS

pytestmark = pytest.mark.unit
FACE = drawn_points()
EYES = float(np.linalg.norm(FACE[EYE_OUTER_LEFT] - FACE[EYE_OUTER_RIGHT]))


def test_tremble_of_a_tracker_goes() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3 * TREMBLE * EYES, (60, 162, 2))
    quiet = steadied((FACE + noise).astype(np.float32)) - FACE
    assert quiet[2:-2].std() < 0.65 * noise.std()


def test_lips_that_meet_for_one_frame_still_meet() -> None:
    track = np.repeat(drawn_points(opening=0.05)[None], 9, 0)
    track = (track + np.random.default_rng(0).normal(0, 0.3 * TREMBLE * EYES, track.shape)).astype(np.float32)
    track[4] = drawn_points(opening=0.0)
    lips = list(REGIONS["lips_inner"])
    asked = np.abs(track[4, lips] - track[3, lips]).max()
    assert np.abs(steadied(track)[4, lips] - track[4, lips]).max() < 0.05 * asked


def test_predicted_motion_is_not_touched() -> None:
    moved = 0.01 * np.sin(np.linspace(0, 2 * np.pi, 50))[:, None, None] * np.ones((1, 162, 2))
    track = (FACE + moved).astype(np.float32)
    assert (steadied(track) == track).all()


def test_frames_out_of_reach_have_no_say_and_short_tracks_stay() -> None:
    draw = np.random.default_rng(1)
    track = (FACE + draw.normal(0, 0.01, (20, 162, 2))).astype(np.float32)
    other = track.copy()
    other[:8] += 0.2
    # The eye distance that the tremble is measured by is each frame's own.
    assert np.allclose(steadied(track)[8 + REACH :], steadied(other)[8 + REACH :], atol=1e-7)
    assert (steadied(track[:2]) == track[:2]).all()
