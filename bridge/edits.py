# SPDX-License-Identifier: GPL-3.0-or-later
"""What an edit changed in a shot, and laying newly predicted rows over a track. Pure functions of plain data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .shot import Shot, Track


def changed_rows(old: Shot, new: Shot) -> tuple[int, int] | None:
    """The rows (first, end) in which the keys of two shots differ; (0, 0) where nothing differs.

    None where something differs that touches every row: voice, portrait, seed, settings, frame rate, length. Values of free AUs do not
    count, nor do the choices of a render.
    """
    if _whole(old) != _whole(new) or old.frame_count != new.frame_count or not _same(old.portrait_landmarks, new.portrait_landmarks):
        return None
    differs = (old.au_keyed != new.au_keyed).any(axis=1) | (old.head_keyed != new.head_keyed).any(axis=1)
    differs |= _differ(old.au_values, old.au_keyed, new.au_values, new.au_keyed)
    differs |= (old.head != new.head).any(axis=1)
    if old.au_asymmetry is not None or new.au_asymmetry is not None:
        sides = [np.zeros_like(shot.au_values) if shot.au_asymmetry is None else shot.au_asymmetry for shot in (old, new)]
        differs |= (sides[0] != sides[1]).any(axis=1)
    rows = np.flatnonzero(differs)
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)


def pasted(track: Track, piece: Track, fade: int = 0) -> Track:
    """``track`` with the rows of ``piece`` laid in at ``piece.first_frame``.

    ``fade``: rows at either end of the piece in which the old rows pass smoothly into the new; none where the piece begins or ends with
    the track. Raises ValueError where the piece does not lie in the track, or where they are of different portraits or rates.
    """
    first, end, count = piece.first_frame, piece.first_frame + len(piece.landmarks), len(track.landmarks)
    if track.first_frame != 0 or end > count or piece.fps != track.fps or piece.portrait_size != track.portrait_size:
        raise ValueError("the piece does not belong to the track")
    share = _share(first, end, count, fade)

    def mixed(old: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.float32]:
        result, weight = np.array(old, np.float32), share.reshape(-1, *[1] * (old.ndim - 1))
        result[first:end] = np.where(weight == 1, new, old[first:end] * (1 - weight) + new * weight)
        return result

    aus = None if track.aus is None or piece.aus is None else mixed(track.aus, piece.aus)
    return replace(track, landmarks=mixed(track.landmarks, piece.landmarks), motion=mixed(track.motion, piece.motion), aus=aus)


def _share(first: int, end: int, count: int, fade: int) -> NDArray[np.float32]:
    """Weight of the new rows, (end - first,): 1 inside, easing to 0 towards ends that are not the track's."""
    places = np.arange(end - first, dtype=np.float32)
    rising = (places + 1) / (fade + 1) if first > 0 and fade > 0 else np.ones_like(places)
    falling = (end - first - places) / (fade + 1) if end < count and fade > 0 else np.ones_like(places)
    share = np.clip(np.minimum(rising, falling), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _whole(shot: Shot) -> tuple[object, ...]:
    return shot.fps, shot.portrait, shot.voice, shot.seed, shot.motion


def _same(old: NDArray[np.float32] | None, new: NDArray[np.float32] | None) -> bool:
    return new is None if old is None else new is not None and np.array_equal(old, new)


def _differ(
    old: NDArray[np.float32], old_keyed: NDArray[np.bool_], new: NDArray[np.float32], new_keyed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Rows in which a value differs that is keyed in both, (frames,)."""
    return np.asarray(((old != new) & old_keyed & new_keyed).any(axis=1))
