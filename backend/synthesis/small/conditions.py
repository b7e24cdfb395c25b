# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network is shown for one frame, as arrays; the same code serves training and rendering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.facs import MAXIMUM_INTENSITY

from .raster import landmark_raster
from .warp import Warp

IMAGE_CHANNELS = 13  # warped portrait 3, portrait 3, landmark raster 3, previous output 3, whether there is one 1
GEOMETRY_CHANNELS = 3  # displacement x, y, logarithm of the area change
DISPLACEMENT_SCALE = 8.0  # crop coordinates to network units
_SMALLEST_AREA = 0.02


@dataclass(frozen=True)
class Conditions:
    """``images``: (13, side, side) float32, colours -1..1. ``geometry``: (3, nodes, nodes) float32. ``aus``: (19,) float32.

    ``aus`` holds intensities / 5 and a last 1 where they are known, or only zeros.
    """

    images: NDArray[np.float32]
    geometry: NDArray[np.float32]
    aus: NDArray[np.float32]


def to_signed(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 3) uint8 to (3, h, w) float32, -1..1."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)


def to_picture(signed: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(3, h, w) float32 -1..1 to (h, w, 3) uint8, clipped and rounded."""
    scaled = np.rint((signed + 1) * np.float32(127.5))
    return np.ascontiguousarray(np.clip(scaled, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def image_stack(
    warped: NDArray[np.float32],
    portrait: NDArray[np.float32],
    raster: NDArray[np.uint8],
    previous: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """(13, side, side) float32 from colours (3, side, side) -1..1 and a raster (side, side, 3) uint8.

    ``previous``: the frame before as it was put out, None at a start.
    """
    side = warped.shape[-1]
    stack = np.zeros((IMAGE_CHANNELS, side, side), np.float32)
    stack[0:3] = warped
    stack[3:6] = portrait
    stack[6:9] = raster.transpose(2, 0, 1)
    stack[6:9] *= np.float32(1 / 255)
    if previous is not None:
        stack[9:12] = previous
        stack[12] = 1
    return stack


def geometry_stack(warp: Warp) -> NDArray[np.float32]:
    """(3, nodes, nodes) float32: where the portrait's pixels come from, and how much the skin is stretched there."""
    area = np.clip(warp.determinant, _SMALLEST_AREA, 1 / _SMALLEST_AREA)
    return np.concatenate([warp.field.transpose(2, 0, 1) * np.float32(DISPLACEMENT_SCALE), np.log(area)[None] / 4]).astype(np.float32)


def au_vector(intensities: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """(19,) float32 from (18,) intensities 0..5, or None where they are not known."""
    if intensities is None:
        return np.zeros(19, np.float32)
    known = np.clip(np.nan_to_num(intensities), 0, MAXIMUM_INTENSITY) / MAXIMUM_INTENSITY
    return np.concatenate([known, [1]]).astype(np.float32)


def frame_conditions(
    warp: Warp,
    warped: NDArray[np.float32],
    portrait: NDArray[np.float32],
    points: NDArray[np.float32],
    intensities: NDArray[np.float32] | None,
    previous: NDArray[np.float32] | None,
) -> Conditions:
    """The conditions of one whole-crop frame; ``points``: (162, 2) crop coordinates."""
    raster = landmark_raster(points, warped.shape[-1])
    return Conditions(image_stack(warped, portrait, raster, previous), geometry_stack(warp), au_vector(intensities))
