# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames in chunks: small ones first, in order, prepared while the card draws and not while it is told what to draw."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from backend.synthesis.small.chunks import chunks_of, in_chunks

pytestmark = pytest.mark.unit


def handed_out(chunk: range, ready: Sequence[int], drawn: list[int]) -> Iterator[int]:
    assert list(chunk) == list(ready)
    yield from drawn


def test_chunks_grow_and_hold_every_row_once() -> None:
    assert [len(chunk) for chunk in chunks_of(range(5, 30), 8)] == [1, 2, 4, 8, 8, 2]
    assert [row for chunk in chunks_of(range(5, 30), 8) for row in chunk] == list(range(5, 30))
    assert [len(chunk) for chunk in chunks_of(range(3), 1)] == [1, 1, 1]
    assert not list(chunks_of(range(4, 4), 8))


@pytest.mark.parametrize("most", [1, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 25])
def test_results_come_in_order(count: int, most: int) -> None:
    def prepare(row: int) -> int:
        time.sleep(0.001 * (row * 7 % 3))
        return row

    results = in_chunks(range(count), most, 3, prepare, lambda ready: [row * row for row in ready], handed_out)
    assert list(results) == [row * row for row in range(count)]


def test_nothing_starts_before_it_is_asked_for_and_little_after_leaving() -> None:
    begun: list[int] = []
    results = in_chunks(range(1000), 4, 2, lambda row: begun.append(row) or row, list, handed_out)  # type: ignore[func-returns-value]
    assert not begun
    assert next(results) == 0
    assert len(begun) <= 3
    assert next(results) == 1
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= 1 + 2 + 4 + 4


def test_the_next_chunk_is_prepared_while_the_last_is_handed_out_and_none_while_one_is_drawn() -> None:
    drawing, met, seen = threading.Event(), threading.Event(), []

    def prepare(row: int) -> int:
        assert not drawing.is_set()
        seen.append(row)
        if row == 3:  # of the third chunk
            assert met.wait(20)
        return row

    def draw(ready: Sequence[int]) -> list[int]:
        drawing.set()
        time.sleep(0.01)
        drawing.clear()
        return list(ready)

    results = in_chunks(range(7), 4, 2, prepare, draw, handed_out)
    assert next(results) == 0
    threading.Timer(0.05, met.set).start()
    assert list(results) == list(range(1, 7)) and sorted(seen) == list(range(7))


@pytest.mark.parametrize("where", ["prepare", "draw"])
def test_a_failure_reaches_the_consumer_after_what_was_done(where: str) -> None:
    def failing(row: int) -> int:
        if where == "prepare" and row == 9:
            raise ValueError("row 9")
        return row

    def draw(ready: Sequence[int]) -> list[int]:
        if where == "draw" and 9 in ready:
            raise ValueError("row 9")
        return list(ready)

    taken = []
    with pytest.raises(ValueError, match="row 9"):
        for result in in_chunks(range(100), 4, 2, failing, draw, handed_out):
            taken.append(result)
    assert taken == [0, 1, 2, 3, 4, 5, 6]
