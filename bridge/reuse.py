# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of a finished take are still right after an edit, so that only the others are rendered again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .faults import Fault
from .shot import Shot, Track

SAME_PLACE = 0.02  # portrait pixels up to which a landmark counts as unmoved
SAME_INTENSITY = 0.005  # of an AU
Run = tuple[int, int, int]


@dataclass(frozen=True)
class Reuse:
    """Frames to take over from a movie. ``runs``: (first row, row after the last, frame in the movie of the first), in rising order."""

    path: str
    runs: tuple[Run, ...]

    @property
    def frame_count(self) -> int:
        """Number of frames taken over."""
        return sum(end - first for first, end, _ in self.runs)

    def checked(self, row_count: int) -> Reuse:
        """This, or Fault ``reuse-invalid`` where the runs overlap or leave the track."""
        position = 0
        for first, end, start in self.runs:
            if not position <= first < end <= row_count or start < 0:
                raise Fault("reuse-invalid", "The frames to keep of the former take do not fit the shot.", "Render the whole shot.")
            position = end
        return self


def reuse_of(path: str, movie_frames: int, former: tuple[Shot, Track], present: tuple[Shot, Track]) -> Reuse:
    """What ``present`` can take over from the movie of ``former``, whose ``movie_frames`` may be fewer than its track's.

    Rows are matched by their scene frame. Raises Fault ``take-differs`` where every frame would look different.
    """
    (old_shot, old_track), (shot, track) = former, present
    if difference := picture_difference(former, present):
        raise Fault("take-differs", f"The take was rendered with {difference}.", "Render the whole shot with Render to Sequencer.")
    shift = shot.frame_start - old_shot.frame_start  # old row = new row + shift
    rows = np.arange(len(track.landmarks))
    inside = (rows + shift >= 0) & (rows + shift < min(movie_frames, len(old_track.landmarks)))
    kept = np.zeros(len(rows), bool)
    kept[inside] = same_rows(old_track, track, rows[inside] + shift, rows[inside])
    return Reuse(path, tuple((first, end, first + shift) for first, end in runs_of(kept)))


def picture_difference(former: tuple[Shot, Track], present: tuple[Shot, Track]) -> str:
    """What makes all pictures of two shots differ, in words that follow "rendered with"; empty if nothing does."""
    (old_shot, old_track), (shot, track) = former, present
    if old_shot.fps != shot.fps:
        return f"{float(old_shot.fps):g} frames a second"
    if old_shot.portrait != shot.portrait or old_track.portrait_size != track.portrait_size:
        return "another portrait"
    if not np.allclose(old_track.portrait_landmarks, track.portrait_landmarks, atol=SAME_PLACE):
        return "the rig fitted otherwise"
    if old_shot.render != shot.render:
        return "other quality settings"
    return "another seed" if old_shot.seed != shot.seed else ""


def same_rows(old: Track, new: Track, old_rows: NDArray[np.intp], new_rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which pairs of rows give the same picture."""
    moved = np.abs(old.landmarks[old_rows] - new.landmarks[new_rows]).max(axis=(1, 2), initial=0.0) > SAME_PLACE
    if old.aus is not None and new.aus is not None:
        moved |= np.abs(old.aus[old_rows] - new.aus[new_rows]).max(axis=1, initial=0.0) > SAME_INTENSITY
    return ~moved


def runs_of(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Ranges (first, end) in which the mask is True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
