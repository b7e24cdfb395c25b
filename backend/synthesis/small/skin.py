# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin between the landmarks, which the spline stretches like rubber where a cheek bulges or a brow folds.

MediaPipe's face mesh has 316 points besides our 162. A linear map, fitted by ``train skin`` on tracked faces, tells them from the 162, so
hand-edited landmarks move skin as well. The spline is corrected by what it misses of them; the landmarks themselves stay where it puts
them. Measured as decibels of the face oval over the led spline alone, fitted without the person or people measured: a real woman .5, a
real man .2, rendered people .3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import LANDMARK_COUNT, MEDIAPIPE_INDICES

from .model_card import checked_digest
from .similarity import similarity

Array = NDArray[np.float32]
SKIN_FILE = Path(__file__).resolve().parents[2] / "weights" / "skin.safetensors"
MESH_COUNT = 478
SKIN_INDICES = tuple(index for index in range(MESH_COUNT) if index not in set(MEDIAPIPE_INDICES))
# Width of a point's say in nodes, the size of its kernel, and how much of it must be there for the full correction. Chosen on people
# trained on and spared for choosing; from 1 to 1.5 nodes it makes no difference.
REACH, KERNEL, LEAST = 1.2, 11, 0.05


@dataclass(frozen=True)
class SkinMap:
    """From landmarks to skin points, in a frame where the landmarks lie best on ``reference`` (162, 2), whose middle is 0.

    ``middle``: (324,) landmarks that give ``skin``: (632,) skin points; differences go through ``into`` (324, k) and ``out`` (k, 632).
    """

    reference: Array
    middle: Array
    skin: Array
    into: Array
    out: Array

    def __call__(self, points: Array) -> Array:
        """Skin points (316, 2) of landmarks (162, 2), in their unit."""
        motion = similarity(points, self.reference)
        turn, middle = motion[:2], motion[2]
        told = ((((points - middle) @ turn).reshape(-1) - self.middle) @ self.into) @ self.out + self.skin
        return np.asarray(told.reshape(-1, 2) @ np.linalg.inv(turn) + middle, np.float32)


@lru_cache(maxsize=2)
def skin_map(path: Path = SKIN_FILE) -> SkinMap:
    """The shipped map. Raises Fault ``weights-missing`` or ``weights-mismatch``."""
    from safetensors.numpy import load_file

    checked_digest(path)
    tensors = {name: tensor.astype(np.float32) for name, tensor in load_file(str(path)).items()}
    return SkinMap(**{name: tensors[name] for name in SkinMap.__dataclass_fields__})


def skin_pairs(portrait: Array, frame: Array) -> tuple[Array, Array]:
    """Skin points (316, 2) of the landmarks (162, 2) of portrait and frame."""
    told = skin_map()
    return told(portrait), told(frame)


def skin_correction(portrait: Array, frame: Array, spline: Callable[[Array], Array], side: int) -> Array:
    """(side, side, 2) to be added to the spline's backward displacement at the nodes of the whole crop, crop coordinates.

    ``portrait``, ``frame``: (162, 2) landmarks. ``spline``: displacement (1, n, 2) at places (1, n, 2) of the frame.
    """
    start, goal = skin_pairs(portrait, frame)
    missed = (start - goal) - spline(goal[None])[0]
    places = np.concatenate([goal, frame])
    values = np.concatenate([missed, np.zeros((LANDMARK_COUNT, 2), np.float32)])
    sums = _splatted(places, np.concatenate([values, np.ones((len(values), 1), np.float32)], 1), side)
    spread = cv2.GaussianBlur(sums, (KERNEL, KERNEL), REACH)
    return np.asarray(spread[..., :2] / (spread[..., 2:] + LEAST), np.float32)


def _splatted(places: Array, values: Array, side: int) -> Array:
    """(side, side, c) sums of values (n, c) shared out among the four nodes about their places (n, 2); places beyond have no say."""
    spots = np.clip(places * side - 0.5, -2.0, side)
    first = np.floor(spots).astype(np.int64)
    rest = (spots - first).astype(np.float32)
    sums = np.zeros((side + 4, side + 4, values.shape[1]), np.float32)  # with two nodes more at every border, cut off below
    for down in (0, 1):
        for across in (0, 1):
            share = np.abs(1 - across - rest[:, 0]) * np.abs(1 - down - rest[:, 1])
            np.add.at(sums, (first[:, 1] + down + 2, first[:, 0] + across + 2), values * share[:, None])
    return np.ascontiguousarray(sums[2:-2, 2:-2])
