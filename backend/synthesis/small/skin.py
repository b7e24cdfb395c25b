# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin between the landmarks, which the spline stretches like rubber where a cheek bulges or a brow folds.

MediaPipe's face mesh has 316 points besides our 162. A linear map, fitted by ``train skin`` on tracked faces, tells them from the 162, so
hand-edited landmarks move skin as well. The spline is corrected by what it misses of them; the landmarks themselves stay where it puts
them. Measured as decibels of the face oval over the led spline alone, fitted without the person or people measured: a real woman .5, a
real man .2, rendered people .3.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.landmarks import LANDMARK_COUNT, MEDIAPIPE_INDICES

Array = NDArray[np.float32]
SKIN_FILE = Path(__file__).resolve().parents[2] / "weights" / "skin.safetensors"
MESH_COUNT = 478
SKIN_INDICES = tuple(index for index in range(MESH_COUNT) if index not in set(MEDIAPIPE_INDICES))
# Width of a point's say in nodes, the size of its kernel, and how much of it must be there for the full correction. Chosen on people
# trained on and spared for choosing; from 1 to 1.5 nodes it makes no difference.
REACH, KERNEL, LEAST = 1.2, 11, 0.05
_REINSTALL = "Install the backend again."


@dataclass(frozen=True)
class SkinMap:
    """From landmarks to skin points, in a frame where the landmarks lie best on ``reference`` (162, 2).

    ``middle``: (324,) landmarks that give ``skin``: (632,) skin points; differences go through ``into`` (324, k) and ``out`` (k, 632).
    """

    reference: Array
    middle: Array
    skin: Array
    into: Array
    out: Array

    def __call__(self, points: Array) -> Array:
        """Skin points (316, 2) of landmarks (162, 2), in their unit."""
        placed, turn, centre = laid_on(points, self.reference)
        told = ((placed.reshape(-1) - self.middle) @ self.into) @ self.out + self.skin
        return np.asarray(told.reshape(-1, 2) @ np.linalg.inv(turn) + centre, np.float32)


def laid_on(points: NDArray, reference: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Landmarks (162, 2) turned, scaled and shifted to lie best on ``reference``; the matrix (2, 2) that stands right of an offset from
    their middle, and that middle."""
    centre, goal = points.mean(0), reference - reference.mean(0)
    offset = points - centre
    norm = max(float((offset * offset).sum()), 1e-12)
    cosine = float((offset * goal).sum()) / norm
    sine = float((offset[:, 0] * goal[:, 1] - offset[:, 1] * goal[:, 0]).sum()) / norm
    turn = np.array([[cosine, sine], [-sine, cosine]], np.float64)
    if abs(float(np.linalg.det(turn))) < 1e-12:  # all landmarks in one place
        turn = np.eye(2)
    return offset @ turn, turn, centre


@lru_cache(maxsize=2)
def skin_map(path: Path = SKIN_FILE) -> SkinMap:
    """The shipped map. Raises Fault ``weights-missing`` or ``weights-mismatch``."""
    from safetensors.numpy import load

    try:
        content, card = path.read_bytes(), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Fault("weights-missing", f"The file {Path(str(error.filename)).name} is missing.", _REINSTALL) from None
    except ValueError:
        raise Fault("weights-mismatch", f"The model card {path.stem}.json is damaged.", _REINSTALL) from None
    if card.get("sha256") != hashlib.sha256(content).hexdigest():
        hint = "Install the backend again; a damaged file is never used."
        raise Fault("weights-mismatch", f"{path.name} does not match the checksum in its model card.", hint)
    tensors = {name: tensor.astype(np.float32) for name, tensor in load(content).items()}
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
