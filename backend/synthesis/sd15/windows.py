# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows over a shot: fixed places on its frames, so that any range needs the same windows as the whole.

Windows start every ``length - overlap`` frames from frame 0 and never wrap round. The last one may reach beyond the shot: its
frames there repeat the last pose and are thrown away. Windows with even numbers stand by themselves. A window with an odd number
leans on its two neighbours: over the shared frames it fades from one to the other, at every step ("tied") or once at the end.
So a frame depends on three windows at most, whatever the length of the shot.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.faults import Fault


@dataclass(frozen=True)
class Window:
    """Frames ``first`` to ``end`` (not included) are computed together; ``own_first`` to ``own_end`` of them are put out."""

    number: int
    first: int
    end: int
    own_first: int
    own_end: int

    @property
    def length(self) -> int:
        """Frames computed."""
        return self.end - self.first


def plan(count: int, length: int, overlap: int) -> list[Window]:
    """The windows of a shot of ``count`` frames. Raises Fault ``sd15-window``."""
    check(length, overlap)
    if count <= length:
        return [Window(0, 0, count, 0, count)]
    stride = length - overlap
    total = 1 + -(-(count - length) // stride)
    windows = []
    for number in range(total):
        first, end = number * stride, number * stride + length
        own_first, own_end = first, end
        if number % 2 == 0:  # its odd neighbours put out what they share with it
            own_first += overlap if number else 0
            own_end -= overlap if number + 1 < total else 0
        windows.append(Window(number, first, end, own_first, min(own_end, count)))
    return windows


def check(length: int, overlap: int) -> None:
    """Raises Fault ``sd15-window`` for an overlap of more than half a window: three windows would share a frame."""
    if length < 1 or not 0 <= 2 * overlap <= length:
        raise Fault(
            "sd15-window",
            f"Windows of {length} frames cannot overlap by {overlap}.",
            "Use windows of 16 to 24 frames that overlap by 4.",
        )


def outputs(windows: list[Window], first: int, end: int) -> list[Window]:
    """The windows that put out frames ``first`` to ``end`` (not included), in order."""
    return [window for window in windows if window.own_first < end and first < window.own_end]


def needed(windows: list[Window], first: int, end: int, tied: bool) -> list[int]:
    """Numbers of the windows that have to be computed for frames ``first`` to ``end`` (not included), in the order of computing."""
    order: dict[int, None] = {}
    for window in outputs(windows, first, end):
        order.update(dict.fromkeys((*neighbours(windows, window, first, end, tied), window.number)))
    return list(order)


def neighbours(windows: list[Window], window: Window, first: int, end: int, tied: bool) -> list[int]:
    """Numbers of the windows that ``window`` leans on for its frames in a range: none for an even one.

    ``tied``: all its frames depend on both; else only the frames shared with them.
    """
    if window.number % 2 == 0:
        return []
    near = [windows[number] for number in (window.number - 1, window.number + 1) if number < len(windows)]
    shared = [(max(other.first, window.first), min(other.end, window.end)) for other in near]
    return [other.number for other, (low, high) in zip(near, shared) if tied or (low < end and first < high)]


def fade(overlap: int) -> list[float]:
    """Weights of the neighbour before, over the shared frames: falling, never 1 and never 0."""
    return [(overlap - place) / (overlap + 1) for place in range(overlap)]
