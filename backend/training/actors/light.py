# SPDX-License-Identifier: GPL-3.0-or-later
"""Light for a face: a probe as nine spherical-harmonic coefficients and blurred mirror images, and one key lamp.

The irradiance formula is Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps",
SIGGRAPH 2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

_BRIGHTEST = 20.0  # a probe's sun is capped: the key lamp takes its place
_FACE_EXPOSURE = 0.72  # mean irradiance over pi that a face turned to the camera receives


@dataclass(frozen=True)
class Light:
    """``harmonics``: (9, 3) irradiance / pi; ``mirrors``: (levels, 64, 128, 3) blurred probe; ``key_direction``: (3,) unit
    vector towards the lamp; ``key_colour``: (3,) its irradiance / pi."""

    harmonics: Float
    mirrors: Float
    key_direction: Float
    key_colour: Float


def make_light(probe: Float, turn: float, key_direction: Float, key_share: float, warmth: float) -> Light:
    """Light from a probe (64, 128, 3), turned about the vertical by ``turn`` (0..1 of a full turn).

    ``key_share``: 0..1, part of the face's light that comes from the lamp. ``warmth``: -1 cool .. 1 warm lamp. The whole
    is scaled so that a face turned to the camera is well exposed.
    """
    image = np.minimum(np.roll(probe, round(turn * probe.shape[1]), axis=1), _BRIGHTEST * max(float(np.median(probe)), 1e-3))
    grey = image.mean()
    image = image * 0.6 + image.mean(2, keepdims=True) * 0.4  # a camera's white balance takes out most of a cast
    image = image / max(float(grey), 1e-6)
    harmonics = _irradiance(image)
    frontal = float(_evaluate(harmonics, np.array([0.0, 0.2, 0.98])).mean())
    ambient = (1.0 - key_share) * _FACE_EXPOSURE / max(frontal, 1e-3)
    direction = np.asarray(key_direction, np.float64) / np.linalg.norm(key_direction)
    colour = np.array([1.0 + 0.12 * warmth, 1.0, 1.0 - 0.18 * warmth]) * key_share * _FACE_EXPOSURE / max(float(direction[2]), 0.35)
    return Light(
        harmonics=np.asarray(harmonics * ambient, np.float32),
        mirrors=np.stack([_blurred(image, sigma) * ambient for sigma in (1.0, 3.0, 8.0)]).astype(np.float32),
        key_direction=direction.astype(np.float32),
        key_colour=colour.astype(np.float32),
    )


def _directions(height: int, width: int) -> tuple[Float, Float]:
    """Unit vectors (h, w, 3) of an equirectangular image whose middle looks along -z, and solid angles (h, w)."""
    theta = (np.arange(height) + 0.5) / height * np.pi
    phi = (np.arange(width) + 0.5) / width * 2 * np.pi
    vectors = np.stack(
        [
            np.sin(theta)[:, None] * np.sin(phi)[None],
            np.broadcast_to(np.cos(theta)[:, None], (height, width)),
            np.sin(theta)[:, None] * np.cos(phi)[None],
        ],
        -1,
    )
    angles = np.broadcast_to(np.sin(theta)[:, None] * (np.pi / height) * (2 * np.pi / width), (height, width))
    return vectors.astype(np.float32), angles.astype(np.float32)


def basis(vectors: Float) -> Float:
    """(..., 9) real spherical harmonics of unit vectors (..., 3), bands 0 to 2."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    terms = [0.282095 * np.ones_like(x), 0.488603 * y, 0.488603 * z, 0.488603 * x]
    terms += [1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y)]
    return np.stack(terms, -1)


_BAND_GAIN = np.array([1.0] + [2.0 / 3.0] * 3 + [0.25] * 5)


def _irradiance(image: Float) -> Float:
    vectors, angles = _directions(*image.shape[:2])
    return np.asarray(np.einsum("hwk,hwc,hw->kc", basis(vectors), image, angles) * _BAND_GAIN[:, None])


def _evaluate(harmonics: Float, direction: Float) -> Float:
    return np.asarray(basis(direction) @ harmonics)


def _blurred(image: Float, sigma: float) -> Float:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, (sigma, sigma, 0), mode=("nearest", "wrap", "nearest")))
