# SPDX-License-Identifier: GPL-3.0-or-later
"""Several frames at once: in order, no more than asked for, and over when the consumer leaves."""

from __future__ import annotations

import threading
import time

import pytest

from backend.synthesis.small.ordered import in_order

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_results_come_in_order(at_once: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * ((item * 7) % 3))
        return item * item

    assert list(in_order(work, range(20), at_once)) == [item * item for item in range(20)]


def test_nothing_starts_before_it_is_asked_for_and_little_after_leaving() -> None:
    begun: list[int] = []
    results = in_order(lambda item: begun.append(item) or item, range(1000), 2)  # type: ignore[func-returns-value]
    assert not begun
    assert next(results) == 0
    results.close()
    assert len(begun) <= 4


def test_work_runs_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=20)
    assert list(in_order(lambda item: meeting.wait() >= 0, range(4), 2)) == [True] * 4


def test_a_failure_reaches_the_consumer() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("frame 3")
        return item

    taken = []
    with pytest.raises(ValueError, match="frame 3"):
        for result in in_order(work, range(100), 2):
            taken.append(result)
    assert taken == [0, 1, 2]
