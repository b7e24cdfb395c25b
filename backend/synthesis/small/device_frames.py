# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a shot from a graphics card: ``DeviceRenderer`` on chunks of rows, and its pixels in the portrait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .chunks import in_chunks
from .device_render import DeviceRenderer, Rendered
from .paste import Paste
from .prepared import Prepared
from .runtime import MOST_TOGETHER
from .turn import SafePoints

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]
_MOST_BYTES = 48 << 20  # of their finished pixels
_THREADS = 4  # that prepare frames: more of them wait for Python's lock


def device_frames(
    renderer: DeviceRenderer,
    paste: Paste,
    rows: range,
    frame: Callable[[int], tuple[Points, Points | None]],
    note: Callable[[int, SafePoints, float], None],
) -> Iterator[Picture]:
    """Pictures (h, w, 3) uint8 of ``rows``, in order.

    ``frame``: a row's landmarks (162, 2), crop coordinates, and its intensities (18,) or None. ``note`` is told of every frame handed
    out: its row, what was shown of its turn, and the share of its motion kept.
    """

    def finished(chunk: range, frames: Sequence[Prepared], parts: Sequence[Rendered]) -> Iterator[Picture]:
        made = (one for part in parts for one in zip(*part.fetched(), strict=True))
        for row, frame, (pixels, kept) in zip(chunk, frames, made, strict=True):
            note(row, frame.turn, float(kept))
            picture = paste.portrait.copy()
            picture[paste.rows, paste.columns] = pixels
            yield picture

    most = max(1, min(MOST_TOGETHER, _MOST_BYTES // int(np.prod(renderer.paste.shape))))
    threads = min(_THREADS, renderer.runtime.frames_at_once)
    yield from in_chunks(rows, most, threads, lambda row: renderer.prepare(*frame(row)), lambda frames: _drawn(renderer, frames), finished)


def _drawn(renderer: DeviceRenderer, frames: Sequence[Prepared]) -> list[Rendered]:
    """The frames at once, or in parts where the card's memory is too small. Raises torch's OutOfMemoryError where one is too many."""
    try:
        return [renderer(frames)]
    except torch.OutOfMemoryError:
        if len(frames) == 1:
            raise
    torch.cuda.empty_cache()
    half = len(frames) // 2
    return _drawn(renderer, frames[:half]) + _drawn(renderer, frames[half:])
