# SPDX-License-Identifier: GPL-3.0-or-later
"""What an edit changed, and laying new rows over a track."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from bridge.edits import changed_rows, pasted
from bridge.shot import MotionSettings, RenderSettings, Shot, Track, Voice

pytestmark = pytest.mark.unit
FRAMES = 40


def shot() -> Shot:
    head = np.tile(np.array([0, 0, 0, 0, 0, 1], np.float32), (FRAMES, 1))
    keyed = np.zeros((FRAMES, 18), bool)
    keyed[10:30, 3] = True
    values = np.ones((FRAMES, 18), np.float32)
    return Shot(1, Fraction(24), "p.png", (Voice("v.wav"),), values, keyed, head, np.zeros((FRAMES, 6), bool))


def edited(**arrays: tuple[slice, int, float]) -> Shot:
    """A shot in which (rows, column, value) of some arrays were set."""
    first = shot()
    changed = {}
    for name, (rows, column, value) in arrays.items():
        array = np.zeros((FRAMES, 18), np.float32) if name == "au_asymmetry" else getattr(first, name).copy()
        array[rows, column] = value
        changed[name] = array
    return replace(first, **changed)


@pytest.mark.parametrize(
    ("new", "rows"),
    [
        (shot(), (0, 0)),
        (edited(au_values=(slice(14, 17), 3, 4.0)), (14, 17)),
        (edited(au_values=(slice(14, 17), 5, 4.0)), (0, 0)),  # a free AU
        (edited(au_keyed=(slice(2, 4), 7, True)), (2, 4)),
        (edited(head=(slice(39, 40), 0, 5.0), au_values=(slice(12, 13), 3, 2.0)), (12, 40)),
        (edited(head_keyed=(slice(0, 1), 2, True)), (0, 1)),
        (edited(au_asymmetry=(slice(5, 6), 3, -0.5)), (5, 6)),
        (replace(shot(), render=RenderSettings(steps=4)), (0, 0)),
        (replace(shot(), seed=1), None),
        (replace(shot(), motion=MotionSettings(lip_strength=0.5)), None),
        (replace(shot(), voice=(Voice("v.wav", offset=0.1),)), None),
        (replace(shot(), portrait_landmarks=np.zeros((162, 2), np.float32)), None),
        (replace(shot(), fps=Fraction(25)), None),
    ],
)
def test_changed_rows(new, rows):
    assert changed_rows(shot(), new) == rows and changed_rows(new, shot()) == rows


def track(first: int, count: int, value: float) -> Track:
    landmarks = np.full((count, 162, 2), value, np.float32)
    return Track(landmarks, landmarks / 2, Fraction(24), (64, 64), landmarks[0], np.full((count, 18), value, np.float32), first)


def test_pasting_replaces_its_rows_and_no_other():
    whole = pasted(track(0, FRAMES, 1.0), track(10, 8, 3.0))
    assert (whole.landmarks[10:18] == 3).all() and (np.delete(whole.landmarks, range(10, 18), axis=0) == 1).all()
    assert (whole.motion[10:18] == 1.5).all() and (whole.aus[10:18] == 3).all() and whole.first_frame == 0


def test_a_fade_is_smooth_inside_the_piece_and_not_at_the_ends_of_the_shot():
    middle = pasted(track(0, FRAMES, 1.0), track(10, 12, 3.0), fade=4).landmarks[:, 0, 0]
    assert (middle[:10] == 1).all() and (middle[22:] == 1).all() and (middle[14:18] == 3).all()
    assert (np.diff(middle[9:15]) > 0).all() and np.allclose(middle[10:22], middle[10:22][::-1])
    start = pasted(track(0, FRAMES, 1.0), track(0, 12, 3.0), fade=4).landmarks[:, 0, 0]
    assert (start[:8] == 3).all() and 1 < start[11] < 3
    end = pasted(track(0, FRAMES, 1.0), track(30, 10, 3.0), fade=4).landmarks[:, 0, 0]
    assert (end[34:] == 3).all() and 1 < end[30] < 3


def test_a_piece_of_something_else_is_refused():
    for wrong in (track(35, 8, 1.0), replace(track(3, 4, 1.0), fps=Fraction(25)), replace(track(3, 4, 1.0), portrait_size=(3, 3))):
        with pytest.raises(ValueError):
            pasted(track(0, FRAMES, 1.0), wrong)


def test_first_frame_and_asymmetry_cross_the_socket():
    piece = track(7, 3, 1.0)
    assert Track.from_message(*piece.to_message()).first_frame == 7
    sent = edited(au_asymmetry=(slice(5, 6), 3, -0.5))
    np.testing.assert_array_equal(Shot.from_message(*sent.to_message()).au_asymmetry, sent.au_asymmetry)
    assert Shot.from_message(*shot().to_message()).au_asymmetry is None
