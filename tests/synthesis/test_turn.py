# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns beyond what a portrait can show are held back, all else stays, and the report says so."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from drawn_faces import drawn_points
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.synthesis.small.held_back import HeldBack
from backend.synthesis.small.turn import _ACROSS, _DEPTH, FREE_TURN, LARGEST_TURN, limited, within_limits
from bridge.landmarks import EYE_LEFT, EYE_RIGHT, LIP_INNER_LOWER, LIP_INNER_UPPER, OF_MEDIAPIPE

pytestmark = pytest.mark.unit


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    unit = np.linalg.norm(points[OF_MEDIAPIPE[EYE_LEFT[0]]] - points[OF_MEDIAPIPE[EYE_RIGHT[0]]])
    shift = np.array([np.sin(np.radians(degrees)) * _ACROSS * unit, 0])
    return (points + _DEPTH[:, None] * shift).astype(np.float32)


@pytest.mark.parametrize("degrees", [-35, -10, 8, 20, 40])
def test_the_turn_is_measured_and_limited(degrees: float) -> None:
    start = drawn_points()
    result = within_limits(start, turned(start, degrees))
    assert result.asked == pytest.approx(abs(degrees), abs=0.5)
    again = within_limits(start, result.points)
    assert again.asked == pytest.approx(result.shown, abs=0.7) and again.asked <= LARGEST_TURN + 0.5
    if abs(degrees) <= FREE_TURN:
        assert (result.points == turned(start, degrees)).all()


def test_expression_roll_and_size_are_no_turn() -> None:
    start = drawn_points()
    spin = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]], np.float32)
    moved = ((drawn_points(opening=0.08, lids=0.2) - 0.5) @ spin.T * 1.2 + 0.55).astype(np.float32)
    assert within_limits(start, moved).asked < 6
    held = within_limits(start, turned(drawn_points(opening=0.08), 40))
    gap = held.points[LIP_INNER_LOWER, 1] - held.points[LIP_INNER_UPPER, 1]
    assert gap == pytest.approx(drawn_points(opening=0.08)[LIP_INNER_LOWER, 1] - drawn_points(opening=0.08)[LIP_INNER_UPPER, 1], abs=0.01)


@settings(deadline=None)
@given(st.floats(0, 90), st.floats(0, 90))
def test_more_asked_is_never_less_shown(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert limited(low) <= limited(high) <= LARGEST_TURN and limited(low) <= low


def test_the_report_names_frames_and_degrees() -> None:
    held = HeldBack()
    for row in range(10):
        held.note(row, 40.0 if 2 <= row <= 4 or row == 8 else 5.0, 21.9 if 2 <= row <= 4 or row == 8 else 5.0, 0.5 if row == 9 else 1.0)
    notes: list[str] = []
    assert list(held.telling(iter("ab"), notes)) == ["a", "b"]
    assert "Frames 3-5 and 9" in notes[0] and "from 40 to 22 degrees" in notes[0]
    assert notes[1].startswith("Frame 10:") and "50%" in notes[1]
    assert HeldBack().sentences() == []
