# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows: every frame is put out once, none of them wraps, and a range needs few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.synthesis.sd15 import windows
from backend.synthesis.sd15.noise import frame_noise
from bridge.faults import Fault

pytestmark = pytest.mark.unit

shots = st.tuples(st.integers(1, 200), st.integers(8, 24), st.integers(0, 4))


@given(shots)
def test_every_frame_is_put_out_once_and_in_order(shot: tuple[int, int, int]) -> None:
    count, length, overlap = shot
    plan = windows.plan(count, length, overlap)
    assert [frame for window in plan for frame in range(window.own_first, window.own_end)] == list(range(count))
    assert all(window.first <= window.own_first <= window.own_end <= window.end for window in plan)


@given(shots)
def test_neighbours_share_exactly_the_overlap_and_no_third_window_does(shot: tuple[int, int, int]) -> None:
    plan = windows.plan(*shot)
    assert all(former.end - later.first == shot[2] for former, later in zip(plan, plan[1:]))
    assert all(former.end <= later.first for former, later in zip(plan, plan[2:]))


@given(shots, st.data())
def test_a_range_needs_the_windows_around_it_only(shot: tuple[int, int, int], data: st.DataObject) -> None:
    count, length, overlap = shot
    first = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(first + 1, count))
    plan = windows.plan(count, length, overlap)
    for tied in (True, False):
        numbers = windows.needed(plan, first, end, tied)
        assert numbers and len(set(numbers)) == len(numbers)
        stride = length - overlap
        assert all(plan[number].end > first - stride and plan[number].first < end + stride for number in numbers)
        for number in numbers:  # whoever is leaned on comes before
            near = windows.neighbours(plan, plan[number], first, end, tied)
            assert all(numbers.index(other) < numbers.index(number) for other in near if other in numbers)


def test_a_shot_longer_by_a_frame_keeps_its_windows() -> None:
    spans = [[(window.first, window.end) for window in windows.plan(count, 16, 4)] for count in (40, 41)]
    assert spans[0] == [(0, 16), (12, 28), (24, 40)]
    assert spans[1] == [*spans[0], (36, 52)]


def test_one_frame_inside_a_window_needs_that_window_alone_when_untied() -> None:
    plan = windows.plan(40, 16, 4)
    assert windows.needed(plan, 20, 21, tied=False) == [1]
    assert windows.needed(plan, 13, 14, tied=False) == [0, 1]
    assert windows.needed(plan, 20, 21, tied=True) == [0, 2, 1]


@pytest.mark.parametrize(("length", "overlap"), [(16, 9), (0, 0), (8, -1)])
def test_impossible_windows_are_a_sentence(length: int, overlap: int) -> None:
    with pytest.raises(Fault) as caught:
        windows.plan(40, length, overlap)
    assert caught.value.code == "sd15-window"


def test_noise_belongs_to_the_frame() -> None:
    assert frame_noise(7)(1234, 8, 8).equal(frame_noise(7)(1234, 8, 8))
    different = [frame_noise(7)(1234, 8, 8), frame_noise(7)(1235, 8, 8), frame_noise(8)(1234, 8, 8), frame_noise(7, 1)(1234, 8, 8)]
    assert all(abs(float((one * other).mean())) < 0.3 for place, one in enumerate(different) for other in different[:place])
    assert abs(float(different[0].std()) - 1) < 0.2
