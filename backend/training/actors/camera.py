# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera: a pinhole that looks along -z, with pixels as in an image (x to the right, y down)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

_NEAR, _FAR = 1.0, 60.0


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from.

    ``target``: point (3,) decimetres at the middle of the picture. ``distance``: from it, decimetres.
    ``pixels_per_decimetre``: at the target's depth. ``width``, ``height``: pixels.
    """

    target: tuple[float, float, float]
    distance: float
    pixels_per_decimetre: float
    width: int
    height: int

    def project(self, points: Float) -> Float:
        """Pixels (..., 2) and depth before the camera in decimetres (..., 1), as one (..., 3) array."""
        local = points - np.asarray(self.target, np.float32)
        depth = self.distance - local[..., 2]
        scale = self.pixels_per_decimetre * self.distance / depth
        x = self.width / 2 + local[..., 0] * scale
        y = self.height / 2 - local[..., 1] * scale
        return np.stack([x, y, depth], -1)

    def matrix(self) -> Float:
        """(4, 4) world to clip space, for column vectors."""
        tx, ty, tz = self.target
        view = np.eye(4)
        view[:3, 3] = -tx, -ty, -tz - self.distance
        focal = self.pixels_per_decimetre * self.distance
        clip = np.zeros((4, 4))
        clip[0, 0], clip[1, 1] = 2 * focal / self.width, 2 * focal / self.height
        clip[2, 2], clip[2, 3] = -(_FAR + _NEAR) / (_FAR - _NEAR), -2 * _FAR * _NEAR / (_FAR - _NEAR)
        clip[3, 2] = -1.0
        return np.asarray(clip @ view, np.float32)

    def scaled(self, factor: int) -> Camera:
        """The same picture with ``factor`` times as many pixels a side."""
        return Camera(self.target, self.distance, self.pixels_per_decimetre * factor, self.width * factor, self.height * factor)

    @property
    def eye(self) -> Float:
        """(3,) position of the camera, decimetres."""
        return np.array([self.target[0], self.target[1], self.target[2] + self.distance], np.float32)
