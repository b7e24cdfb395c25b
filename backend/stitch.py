# SPDX-License-Identifier: GPL-3.0-or-later
"""Re-rendering an edited range: frames that are still right are taken from the former movie, the others are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.reuse import Reuse

from .video.read import probe_video, read_kept_frames

Picture = NDArray[np.uint8]
Draw = Callable[[int, int], Iterator[Picture]]


def check_movie(reuse: Reuse, size: tuple[int, int], fps: Fraction) -> None:
    """Raises Fault ``take-differs`` where the former movie is not of this size (width, height) and rate, besides those of reading it."""
    info = probe_video(reuse.path)
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    if info.size != even or info.fps != fps:
        raise Fault("take-differs", "The former movie has another size or frame rate.", "Render the whole shot with Render to Sequencer.")


def stitched(draw: Draw, reuse: Reuse, first: int, end: int, size: tuple[int, int]) -> Iterator[Picture]:
    """Pictures of the rows ``first`` to ``end``: kept ones as decoded, cut to ``size`` (width, height); ``draw(a, b)`` makes the others.

    Kept pictures carry their planes, so that a frame that is kept by one take after another stays as it is but for the encoding.

    Raises Fault ``take-short`` where the movie ends before the frames that should be kept.
    """
    movie = read_kept_frames(reuse.path)
    position, place = first, 0
    for start, stop, source in reuse.runs:
        kept_first, kept_end = max(start, position), min(stop, end)
        if kept_first >= kept_end:
            continue
        if position < kept_first:
            yield from draw(position, kept_first)
        wanted = source + kept_first - start
        count = 0
        for picture in islice(movie, wanted - place, wanted - place + kept_end - kept_first):
            yield picture.cut(*size)
            count += 1
        if count < kept_end - kept_first:
            raise Fault("take-short", "The former movie is shorter than it was.", "Render the whole shot with Render to Sequencer.")
        position, place = kept_end, wanted + count
    if position < end:
        yield from draw(position, end)
