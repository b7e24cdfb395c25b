# SPDX-License-Identifier: GPL-3.0-or-later
"""What a renderer tells of frames whose motion it could not show as asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

Picture = TypeVar("Picture")
_BARELY = 1.0  # degrees and
_NEARLY_ALL = 0.97  # share of the motion: less than that is not worth a word


@dataclass
class HeldBack:
    """Filled while frames are made; rows count from 0. ``turns``: degrees asked and shown. ``folded``: share of the motion kept."""

    turns: dict[int, tuple[float, float]] = field(default_factory=dict)
    folded: dict[int, float] = field(default_factory=dict)

    def note(self, row: int, asked: float, shown: float, kept: float) -> None:
        """Takes down one frame: the turn in degrees asked for and shown, and the share of its motion that did not fold."""
        if asked - shown > _BARELY:
            self.turns[row] = asked, shown
        if kept < _NEARLY_ALL:
            self.folded[row] = kept

    def telling(self, frames: Iterator[Picture], notes: list[str]) -> Iterator[Picture]:
        """Passes the frames on; once they end, adds what there is to tell to ``notes``."""
        try:
            yield from frames
        finally:
            notes.extend(self.sentences())

    def sentences(self) -> list[str]:
        """For the report of a render; empty where all was shown as asked for. Frames are counted from 1."""
        found = []
        if self.turns:
            asked, shown = max(self.turns.values())
            found.append(
                f"{_frames(list(self.turns))}: the head turns further from the portrait than one picture can show; "
                f"the turn is held back there, at most from {asked:.0f} to {shown:.0f} degrees."
            )
        if self.folded:
            least = min(self.folded.values())
            found.append(
                f"{_frames(list(self.folded))}: the face would fold over itself; the motion is faded there, down to {least:.0%} of it."
            )
        return found


def _frames(rows: list[int]) -> str:
    """ "Frames 3-9 and 12" from rows 2..8 and 11, the first few runs of them."""
    runs: list[list[int]] = []
    for row in sorted(rows):
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    words = [f"{first + 1}" if first == last else f"{first + 1}-{last + 1}" for first, last in runs[:4]]
    if len(runs) > 4:
        words.append(f"{sum(last - first + 1 for first, last in runs[4:])} more")
    named = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    return f"Frame {named}" if len(rows) == 1 else f"Frames {named}"
