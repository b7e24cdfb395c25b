# SPDX-License-Identifier: GPL-3.0-or-later
"""Random changes that a portrait and its target undergo together, so that a few people stand for many."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import MIRROR

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """A common colour change: ``mixing`` (3, 4) on RGB 0..1, then ``curve`` (256,) uint8; and a common blur in pixels."""

    mixing: Matrix
    curve: NDArray[np.uint8]
    blur: float

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture (h, w, 3) uint8 with this look."""
        changed = cv2.LUT(cv2.transform(picture, self.mixing), self.curve)
        return np.asarray(cv2.GaussianBlur(changed, (0, 0), self.blur) if self.blur > 0 else changed, np.uint8)


def random_look(draw: np.random.Generator) -> Look:
    """Hue, saturation, channel gains, brightness, contrast and gamma far beyond what one camera gives."""
    angle = draw.uniform(-0.3, 0.3) if draw.random() < 0.9 else draw.uniform(-np.pi, np.pi)
    saturation = draw.uniform(0.5, 1.4) if draw.random() < 0.9 else 0.0
    mixing = _hue_rotation(angle) * saturation + (1 - saturation) / 3
    mixing = np.diag(draw.uniform(0.8, 1.2, 3)) @ mixing
    contrast = draw.uniform(0.75, 1.25)
    offset = 255 * (draw.uniform(-0.1, 0.1) + (1 - contrast) / 2)
    ramp = np.linspace(0, 1, 256) ** np.exp(draw.uniform(-0.45, 0.45))
    blur = draw.uniform(0.4, 1.1) if draw.random() < 0.2 else 0.0
    return Look(
        np.concatenate([mixing * contrast, np.full((3, 1), offset)], 1).astype(np.float32), np.rint(ramp * 255).astype(np.uint8), blur
    )


def random_placing(draw: np.random.Generator, side: int) -> tuple[Matrix, bool]:
    """A (2, 3) matrix from old to new pixels of a square picture, and whether it mirrors the face."""
    angle = np.deg2rad(draw.normal(0, 7))
    zoom = np.exp(draw.uniform(-0.08, 0.22))
    mirrored = bool(draw.random() < 0.5)
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0])
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ flip
    middle = np.full(2, side / 2)
    shift = middle + draw.normal(0, 0.03 * side, 2) - turn @ middle
    return np.concatenate([turn, shift[:, None]], 1).astype(np.float32), mirrored


def place_points(points: NDArray[np.float32], placing: Matrix, mirrored: bool, side: int) -> NDArray[np.float32]:
    """Landmarks (162, 2) in crop coordinates under the same change; a mirrored face swaps its halves."""
    moved = (points * side) @ placing[:, :2].T + placing[:, 2]
    moved = moved[list(MIRROR)] if mirrored else moved
    return (moved / side).astype(np.float32)


def place_picture(picture: NDArray[np.uint8], placing: Matrix, window: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """``window`` (left, top, width, height) of the picture under the change."""
    left, top, width, height = window
    # OpenCV counts from pixel centres, the matrix from the corner.
    shifted = placing.astype(np.float64).copy()
    shifted[:, 2] += shifted[:, :2] @ [0.5, 0.5] - 0.5 - np.array([left, top])
    method = cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(picture, shifted, (width, height), flags=method, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def _hue_rotation(angle: float) -> NDArray[np.float64]:
    """Rotation of RGB about the grey axis (Rodrigues)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    axis = 1 / np.sqrt(3)
    cross = axis * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return cosine * np.eye(3) + sine * cross + (1 - cosine) / 3 * np.ones((3, 3))
