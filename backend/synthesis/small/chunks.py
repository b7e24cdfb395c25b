# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames made in chunks: prepared on processors, drawn on a card, handed out one by one and in order.

While a card draws one chunk, the next one is prepared and the last one handed out. While a chunk is handed to the card, nothing is
prepared: that takes hundreds of short calls, and each would wait for Python's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Ready = TypeVar("Ready")
Drawn = TypeVar("Drawn")
Result = TypeVar("Result")


def chunks_of(rows: range, most: int) -> Iterator[range]:
    """The rows in chunks of 1, 2, 4 ... ``most``: the first picture comes at once, and the same rows are always divided alike."""
    start, size = 0, 1
    while start < len(rows):
        yield rows[start : start + size]
        start += size
        size = min(2 * size, most)


def in_chunks(
    rows: range,
    most: int,
    threads: int,
    prepare: Callable[[int], Ready],
    draw: Callable[[Sequence[Ready]], Drawn],
    finish: Callable[[range, Sequence[Ready], Drawn], Iterator[Result]],
) -> Iterator[Result]:
    """What ``finish`` makes of every chunk, in order. ``prepare`` runs in threads; ``draw`` begins a chunk, and ``finish`` waits for it.

    Nothing is begun before the first result is asked for. When the consumer stops early, the chunk in preparation is finished and
    thrown away.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="frame") as pool:
        chunks = chunks_of(rows, most)

        def started() -> tuple[range, list[Future[Ready]]] | None:
            chunk = next(chunks, None)
            return None if chunk is None else (chunk, [pool.submit(prepare, row) for row in chunk])

        coming, drawn = started(), None
        try:
            while coming is not None:
                chunk = coming[0]
                try:
                    ready = [future.result() for future in coming[1]]
                    before, drawn = drawn, (chunk, ready, draw(ready))
                except Exception:
                    if drawn is not None:
                        yield from finish(*drawn)
                    raise
                coming = started()
                if before is not None:
                    yield from finish(*before)
                if chunk.start == rows.start:
                    yield from finish(*drawn)
                    drawn = None
            if drawn is not None:
                yield from finish(*drawn)
        finally:
            if coming is not None:
                for future in coming[1]:
                    future.cancel()
