# SPDX-License-Identifier: GPL-3.0-or-later
"""Random changes that a portrait and its target undergo together, so that a few people stand for many.

Both are turned, zoomed and bent alike (``Placing``), so that faces of other proportions are seen, and get the same colours, light
and blur (``Look``). What is smooth over the picture is a sum of a few long sine waves: it costs little and has no edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.synthesis.small.warp import GRID, node_centres
from bridge.landmarks import MIRROR

Matrix = NDArray[np.float32]
Window = tuple[int, int, int, int]
BENDS, SHADES = 4, 3  # waves of a bend and of a shade
_LONGEST_WAVE_VECTOR = 5.5  # radians a side: nothing bends within less than a picture's width
# Logarithms of the least and most zoom: a shot's crop grows to half as much again where the head moves far.
_ZOOM = (-0.4, 0.22)
INVERSIONS = 4  # steps of the fixed point that turns a bend round; its slope is a tenth or so


@dataclass(frozen=True)
class Look:
    """A common colour change: ``mixing`` (3, 4) on RGB, 0..255, then ``curve`` (256,) uint8; and a common blur in pixels.

    ``shade`` (3, 4): waves of light over the picture, rows of wave vector x and y (radians a side), phase, logarithm of the gain.
    """

    mixing: Matrix
    curve: NDArray[np.uint8]
    blur: float
    shade: Matrix

    def apply(self, picture: NDArray[np.uint8], window: Window, side: int) -> NDArray[np.uint8]:
        """``window`` (left, top, width, height) of a picture of ``side`` pixels, (h, w, 3) uint8, with this look."""
        lit = picture * self.light(window, side)[..., None] if self.shade.any() else picture
        mixed = np.clip(np.rint(cv2.transform(lit, self.mixing)), 0, 255).astype(np.uint8)
        changed = cv2.LUT(mixed, self.curve)
        return np.asarray(cv2.GaussianBlur(changed, (0, 0), self.blur) if self.blur > 0 else changed, np.uint8)

    def light(self, window: Window, side: int) -> Matrix:
        """(h, w) gain of the light over a window."""
        left, top, width, height = window
        nodes = node_centres(0, 0, GRID, GRID)
        logarithm = np.sin(nodes @ self.shade[:, :2].T + self.shade[:, 2]) @ self.shade[:, 3]
        gain = cv2.resize(np.exp(logarithm), (side, side), interpolation=cv2.INTER_LINEAR)
        return np.asarray(gain[top : top + height, left : left + width], np.float32)


@dataclass(frozen=True)
class Placing:
    """Where a picture goes: ``matrix`` (2, 3) from old to new pixels, then ``bend`` (4, 5), waves of displacement in crop coordinates:
    rows of wave vector x and y (radians a side), phase, amplitude x and y. ``mirrored``: the matrix swaps left and right."""

    matrix: Matrix
    bend: Matrix
    mirrored: bool


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
    shade = np.zeros((SHADES, 4), np.float32)
    if draw.random() < 0.6:
        shade[:] = np.concatenate([_wave_vectors(draw, SHADES), draw.normal(0, 0.13, (SHADES, 1))], 1)
    return Look(
        np.concatenate([mixing * contrast, np.full((3, 1), offset)], 1).astype(np.float32),
        np.rint(ramp * 255).astype(np.uint8),
        blur,
        shade,
    )


def random_placing(draw: np.random.Generator, side: int) -> Placing:
    """How a square picture of ``side`` pixels is turned, zoomed, stretched, mirrored and bent."""
    angle = np.deg2rad(draw.normal(0, 7))
    zoom = np.exp(draw.uniform(*_ZOOM))
    mirrored = bool(draw.random() < 0.5)
    stretch = np.exp(draw.uniform(-0.07, 0.07))
    flip = np.diag([(-1.0 if mirrored else 1.0) * stretch, 1.0])
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ flip
    middle = np.full(2, side / 2)
    shift = middle + draw.normal(0, 0.03 * side, 2) - turn @ middle
    bend = np.concatenate([_wave_vectors(draw, BENDS), draw.normal(0, draw.choice([0.003, 0.009]), (BENDS, 2))], 1)
    return Placing(np.concatenate([turn, shift[:, None]], 1).astype(np.float32), bend.astype(np.float32), mirrored)


def place_points(points: NDArray[np.float32], placing: Placing, side: int) -> NDArray[np.float32]:
    """Landmarks (162, 2) in crop coordinates under the same change; a mirrored face swaps its halves."""
    moved = ((points * side) @ placing.matrix[:, :2].T + placing.matrix[:, 2]) / side
    moved = moved + bent_by(moved, placing.bend)
    return (moved[list(MIRROR)] if placing.mirrored else moved).astype(np.float32)


def place_picture(picture: NDArray[np.uint8], placing: Placing, window: Window) -> NDArray[np.uint8]:
    """``window`` (left, top, width, height) of the square picture under the change."""
    left, top, width, height = window
    side = picture.shape[0]
    nodes = node_centres(0, 0, GRID, GRID)
    before = nodes
    for _ in range(INVERSIONS):
        before = nodes - bent_by(before, placing.bend)
    dense = cv2.resize(before - nodes, (side, side), interpolation=cv2.INTER_LINEAR)[top : top + height, left : left + width]
    rows, columns = np.mgrid[top : top + height, left : left + width].astype(np.float32) + np.float32(0.5)
    places = np.stack([columns, rows], -1) + dense * side
    sources = (places - placing.matrix[:, 2]) @ np.linalg.inv(placing.matrix[:, :2]).T - 0.5
    # OpenCV counts from pixel centres.
    sources = sources.astype(np.float32)
    border = cv2.BORDER_REFLECT
    return np.asarray(cv2.remap(picture, sources[..., 0], sources[..., 1], cv2.INTER_LINEAR, borderMode=border), np.uint8)


def bent_by(places: NDArray, bend: Matrix) -> NDArray[np.float32]:
    """Displacement of places (..., 2) by the waves of a bend (4, 5), crop coordinates."""
    return np.asarray(np.sin(places @ bend[:, :2].T + bend[:, 2]) @ bend[:, 3:], np.float32)


def _wave_vectors(draw: np.random.Generator, count: int) -> NDArray[np.float64]:
    """(count, 3) wave vectors in radians a side, and phases."""
    vectors = draw.uniform(-_LONGEST_WAVE_VECTOR, _LONGEST_WAVE_VECTOR, (count, 2))
    return np.concatenate([vectors, draw.uniform(0, 2 * np.pi, (count, 1))], 1)


def _hue_rotation(angle: float) -> NDArray[np.float64]:
    """Rotation of RGB about the grey axis (Rodrigues)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    axis = 1 / np.sqrt(3)
    cross = axis * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return cosine * np.eye(3) + sine * cross + (1 - cosine) / 3 * np.ones((3, 3))
