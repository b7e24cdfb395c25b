# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames with brows pressed down on the eyes, further than anybody in the clips does: a full AU04 asks for that.

Never seen, brows so near to the eyes made the network paint the eyes anew, grey. A warp by itself shows pressed brows well, and so it makes
the targets; portraits are the frames as they were. What a frown folds between the brows is not in them and not told (AU04 as filmed):
furrows are learned from those who make them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.small.warp import apply_field, landmark_warp
from bridge.landmarks import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_OUTER_LEFT, EYE_OUTER_RIGHT, EYE_RIGHT, OF_MEDIAPIPE

from .cache import FaceClip, for_choosing, write_clip
from .stills import LEAST_KEPT

DATASET = "brows"
TRIES = 8
WAY = (0.15, 0.75)  # shares of the way from a brow's lower edge to the upper lid; ``retarget`` goes as far as .7
UNEVEN = 0.4  # by how much one end of a brow may go further than the other, of the way
THINNEST = 0.4  # of a brow's own thickness: landmarks that are predicted for a frown draw its edges together
# Lower and upper edge of each brow from end to end, and the upper lid under it.
_BROWS = tuple(
    tuple(np.array([OF_MEDIAPIPE[point] for point in points]) for points in (brow[:5], brow[5:][::-1], lid))
    for brow, lid in ((BROW_LEFT, EYE_LEFT[9:]), (BROW_RIGHT, EYE_RIGHT[9:]))
)
Array = NDArray[np.float32]


def lowered_brows_of_clips(folder: Path, clips: Sequence[FaceClip], each: int, seed: int = 0) -> list[FaceClip]:
    """Caches ``each`` frames, evenly spread, of every training clip with brows pressed down, and the frames as they were behind them.

    Returns the new clips, one for each that they were made of.
    """
    made = []
    for clip in clips:
        name = f"{DATASET}_{clip.name}"
        if clip.validation or for_choosing(clip) or clip.originals is not None or (folder / f"{name}.npz").is_file():
            continue
        draw = np.random.default_rng([seed, *name.encode()])
        lowered = [pair for row in _spread(len(clip.points), each) if (pair := _with_lowered_brows(clip, row, draw))]
        if not lowered:
            print(f"{clip.name} is passed over: its brows cannot be lowered without folds.", flush=True)
            continue
        rows = [row for row, _, _ in lowered]
        brows = replace(
            clip,
            name=name,
            dataset=DATASET,
            person=clip.name,  # every clip counts alike: of real people there are many clips and few people
            frames=np.stack([picture for _, picture, _ in lowered] + [np.array(clip.frames[row]) for row in rows]),
            points=np.stack([points for _, _, points in lowered] + [clip.points[row] for row in rows]),
            aus=clip.aus[rows + rows],
            consecutive=False,
            originals=len(rows),
        )
        write_clip(folder, brows)
        made.append(brows)
    return made


def pressed(points: Array, draw: np.random.Generator) -> Array:
    """Landmarks (162, 2) of a face with both brows somewhere between where they are and the lids, and somewhat thinner."""
    across = points[EYE_OUTER_LEFT] - points[EYE_OUTER_RIGHT]
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]], np.float32)
    way, slope, thickness = draw.uniform(*WAY), draw.uniform(-UNEVEN, UNEVEN), draw.uniform(THINNEST, 1.0)
    result = points.copy()
    for lower, upper, lid in _BROWS:
        order = lid[np.argsort(points[lid] @ across)]
        room = np.interp(points[lower] @ across, points[order] @ across, points[order] @ down) - points[lower] @ down
        along = np.linspace(-0.5, 0.5, len(lower))  # outer end to inner end, on both sides
        step = np.maximum(room.mean(), 0.0) * way * (1 + slope * along)
        thinner = (1 - thickness) / 2 * (points[lower] - points[upper])
        result[lower] += step[:, None] * down - thinner
        result[upper] += step[:, None] * down + thinner
    return result.astype(np.float32)


def _spread(count: int, most: int) -> list[int]:
    return [int(row) for row in np.linspace(0, count - 1, min(most, count)).round()]


def _with_lowered_brows(clip: FaceClip, row: int, draw: np.random.Generator) -> tuple[int, NDArray[np.uint8], Array] | None:
    """The row, its picture with brows lowered and the landmarks of that; None where every try would fold."""
    points = clip.points[row]
    for _ in range(TRIES):
        goal = pressed(points, draw)
        warp = landmark_warp(points, goal, led=True)
        if warp.kept >= LEAST_KEPT:
            return row, apply_field(np.array(clip.frames[row]), warp.field), goal
    return None
