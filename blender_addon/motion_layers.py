# SPDX-License-Identifier: GPL-3.0-or-later
"""A new prediction laid over a former one: pinned landmarks and pinned frames stay, pieces cross-fade. No bpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bridge.faults import Fault
from .bridge.landmarks import LANDMARK_COUNT

FADE_FRAMES = 6
Span = tuple[int, int]  # first and last frame, both inside


@dataclass(frozen=True)
class Motion:
    """``first``: scene frame of row 0. ``points``: (frames, 162, 2) armature units away from rest. ``aus``: (frames, 18) or None.
    ``present``: (162,) bool, landmarks that have curves at all.
    """

    first: int
    points: NDArray[np.float32]
    aus: NDArray[np.float32] | None
    present: NDArray[np.bool_]

    @property
    def frames(self) -> range:
        """The scene frames of the rows."""
        return range(self.first, self.first + len(self.points))

    @property
    def last(self) -> int:
        """Scene frame of the last row."""
        return self.first + len(self.points) - 1


def laid_over(
    old: Motion | None, new: Motion, pinned: NDArray[np.bool_], keep: Sequence[Span] = (), piece: bool = False, fade: int = FADE_FRAMES
) -> Motion:
    """The prediction after ``new`` has arrived.

    ``pinned``: (162,) landmarks that stay as in ``old``. ``keep``: pinned frames, which stay too; new motion eases towards
    them over ``fade`` frames. ``piece``: ``new`` goes into ``old`` and cross-fades at its ends; else it takes its place.
    Fault ``prediction-missing`` for a piece of nothing.
    """
    if piece and (old is None or new.first < old.first or new.last > old.last):
        raise Fault("prediction-missing", "There is no prediction around these frames.", "Predict the whole shot first.")
    if old is None:
        return Motion(new.first, np.where(pinned[:, None], 0, new.points).astype(np.float32), new.aus, ~pinned)
    frames = np.arange(old.first, old.last + 1) if piece else np.arange(new.first, new.last + 1)
    share = _eased_from(frames, [span for span in keep if span[0] <= old.last and span[1] >= old.first], fade, old)
    if piece:
        share = np.minimum(share, _inside(frames, new, old, fade))
    points = _mixed(old.points, new.points, old, new, frames, share)
    points[:, pinned] = _at(old.points, old, frames)[:, pinned]
    aus = new.aus
    if old.aus is not None and new.aus is not None:
        aus = _mixed(old.aus, new.aus, old, new, frames, share)
    elif piece:
        aus = old.aus
    return Motion(int(frames[0]), points, aus, ~pinned | old.present)


def no_pins() -> NDArray[np.bool_]:
    """No landmark is pinned."""
    return np.zeros(LANDMARK_COUNT, bool)


def _at(rows: NDArray[np.float32], of: Motion, frames: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows at scene frames, the first and last held."""
    return rows[np.clip(frames - of.first, 0, len(rows) - 1)]


def _mixed(
    before: NDArray[np.float32], after: NDArray[np.float32], old: Motion, new: Motion, frames: NDArray[np.int64], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``after`` where the share is 1, ``before`` where it is 0."""
    was, becomes = _at(before, old, frames), _at(after, new, frames)
    weight = share.reshape(-1, *[1] * (was.ndim - 1))
    return np.where(weight == 1, becomes, was + weight * (becomes - was)).astype(np.float32)


def _inside(frames: NDArray[np.int64], new: Motion, old: Motion, fade: int) -> NDArray[np.float32]:
    """1 in the piece, 0 outside, easing inside its ends where old motion goes on beyond them."""
    rising = (frames - new.first + 1) / (fade + 1) if new.first > old.first else np.ones(len(frames))
    falling = (new.last - frames + 1) / (fade + 1) if new.last < old.last else np.ones(len(frames))
    outside = (frames < new.first) | (frames > new.last)
    return np.where(outside, 0, _smooth(np.minimum(rising, falling))).astype(np.float32)


def _eased_from(frames: NDArray[np.int64], keep: Sequence[Span], fade: int, old: Motion) -> NDArray[np.float32]:
    """0 in the spans to keep as far as there is something to keep, rising to 1 over ``fade`` frames beside them."""
    share = np.ones(len(frames), np.float32)
    for first, last in keep:
        first, last = max(first, old.first), min(last, old.last)
        away = np.maximum(first - frames, frames - last)
        share = np.minimum(share, _smooth(np.maximum(away, 0) / (fade + 1)))
    return share


def _smooth(t: NDArray[np.float64]) -> NDArray[np.float32]:
    t = np.clip(t, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
