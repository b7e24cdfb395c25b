# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processor finds of a frame for a device that draws it: whatever is done on few points, or drawn with OpenCV's pen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .conditions import au_vector
from .gates import face_gates
from .mouth import MouthInterior, Patch
from .raster import landmark_raster
from .similarity import similarity
from .turn import SafePoints, within_limits
from .warp import led_points, skin_displacement, spline_weights

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Prepared:
    """One frame. ``centres`` (k, 2), ``weights`` (k + 3, 2): see ``spline_weights``; k is the same in all frames of a portrait.

    ``skin``: (64, 64, 2), see ``skin_displacement``. ``motion``: (4, 2), see ``similarity``. ``raster``: (s, s, 3) uint8. ``gates``:
    (2, 64, 64), see ``face_gates``. ``aus``: (19,).
    """

    turn: SafePoints
    centres: NDArray[np.float64]
    weights: NDArray[np.float64]
    skin: Array
    motion: Array
    raster: NDArray[np.uint8]
    gates: Array
    aus: Array
    mouth: Patch | None


class Preparation:
    """Prepares the frames of one shot; safe in several threads."""

    def __init__(self, portrait: NDArray[np.uint8], points: Array) -> None:
        """``portrait``: (s, s, 3) uint8 crop; ``points``: (162, 2) its landmarks, crop coordinates."""
        self.points, self.side = points, portrait.shape[0]
        self.mouth = MouthInterior(portrait, points)

    def __call__(self, points: Array, intensities: Array | None) -> Prepared:
        """The frame at landmarks ``points`` (162, 2), crop coordinates, and AU ``intensities`` (18,) 0..5 or None."""
        turn = within_limits(self.points, points)
        start, goal, softness = led_points(self.points, turn.points)
        centres, weights = spline_weights(goal, start, softness)
        return Prepared(
            turn,
            centres,
            weights,
            skin_displacement(self.points, turn.points, centres, weights),
            similarity(turn.points, self.points),
            landmark_raster(turn.points, self.side),
            face_gates(turn.points),
            au_vector(intensities),
            self.mouth.patch(turn.points, self.side),
        )
