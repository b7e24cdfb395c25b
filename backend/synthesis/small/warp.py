# SPDX-License-Identifier: GPL-3.0-or-later
"""Warping the portrait along its landmarks with a thin-plate spline.

The warp is a backward field: for every place in the new frame, where in the portrait its colour comes from. Spline:
Bookstein, "Principal Warps", PAMI 1989; kernel r^2 log r, with the regularisation of Wahba 1990 on the diagonal.
All coordinates are crop coordinates, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import LANDMARK_COUNT, REGIONS

from .eyes import crease_points, irises_behind_lids
from .similarity import similarity
from .skin import skin_correction
from .surroundings import surrounding_points

GRID = 64  # nodes a side; finer nodes change nothing that can be seen
ANCHORS_A_SIDE = 8
# Below 1e-5 closing lids tear the brows; the picture hardly depends on it otherwise.
REGULARISATION = 3e-5
LETTING_GO = 0.3  # with so much of it a point has no say
# How softly the led spline is held to landmarks, 0 to 1 of the way (in logarithms) from REGULARISATION to LETTING_GO: a tracker finds
# none of them exactly, and those of the outline slide along it. Chosen on people trained on and spared for choosing: with these two the
# oval gains .2 dB on real people and nothing on rendered ones, which lose beyond them. Eyes are held firmly, or lids would not shut.
LANDMARK_SOFTNESS, OUTLINE_SOFTNESS = 0.3, 0.6
# Area of the source over area of the target. Opening lips stretch a thin line (towards 0), closing lids swallow an eye.
SMALLEST_DETERMINANT, LARGEST_DETERMINANT = 0.02, 16.0
LARGEST_FOLDED_SHARE = 0.02  # of the nodes; beyond it the whole motion fades towards a rigid one
FADE = 0.85
# Rows of the kernel matrix that stay in a core's cache, three times as fast as the whole at once; and few enough for OpenBLAS to see no
# work for several threads in them, whose start costs more than it saves.
_CHUNK = 192
_EDGE = cv2.BORDER_REPLICATE


@dataclass(frozen=True)
class Warp:
    """``field``: (rows, columns, 2) float32, portrait place minus frame place, at the nodes' centres, crop coordinates.

    ``determinant``: (rows, columns) float32, source area per target area. ``kept``: 1 where the motion asked for could be
    shown, less where it had to be faded to keep the picture from folding.
    """

    field: NDArray[np.float32]
    determinant: NDArray[np.float32]
    kept: float


def landmark_warp(
    portrait: NDArray[np.float32],
    frame: NDArray[np.float32],
    window: tuple[int, int, int, int] | None = None,
    *,
    led: bool = False,
) -> Warp:
    """The warp from ``portrait`` (162, 2) to ``frame`` (162, 2), crop coordinates.

    ``window``: (row, column, rows, columns) of the nodes wanted, all of them by default. ``led``: whether lids, skin, hair and chest are
    led by points of their own, as the renderer does; without, it is the plain warp that renderers are measured against.
    """
    row, column, rows, columns = window or (0, 0, GRID, GRID)
    nodes = node_centres(row, column, rows, columns)
    rigid = _similarity_displacement(similarity(frame, portrait), nodes)
    start, goal, softness = led_points(portrait, frame) if led else (portrait, frame, np.zeros(len(portrait), np.float32))
    centres, weights = spline_weights(goal, start, softness)
    spline = _spline_displacement(centres, weights, nodes)
    if led:
        spline += skin_displacement(portrait, frame, centres, weights)[row : row + rows, column : column + columns]
    bend = spline - rigid
    kept = 1.0
    field = spline
    for _ in range(8):
        field, determinant, folded = _unfolded(rigid + kept * bend)
        if folded <= LARGEST_FOLDED_SHARE:
            break
        kept *= FADE
    return Warp(field, determinant, kept)


def node_centres(row: int, column: int, rows: int, columns: int) -> NDArray[np.float32]:
    """(rows, columns, 2) float32: places of the nodes, x then y."""
    y = (np.arange(row, row + rows, dtype=np.float32) + 0.5) / GRID
    x = (np.arange(column, column + columns, dtype=np.float32) + 0.5) / GRID
    return np.stack(np.meshgrid(x, y), -1)


def apply_field(picture: NDArray[np.uint8], field: NDArray[np.float32], side: int | None = None) -> NDArray[np.uint8]:
    """``picture`` (side, side, 3) seen through a whole-crop field, at ``side`` pixels (its own by default)."""
    across, down = _source_pixels(field, side or picture.shape[0], picture.shape[0])
    return np.asarray(cv2.remap(picture, across, down, cv2.INTER_LINEAR, borderMode=_EDGE), np.uint8)


def look_through(planes: NDArray[np.float32], field: NDArray[np.float32]) -> NDArray[np.float32]:
    """``planes`` (c, rows, columns) seen through a whole-crop field, at its own places and without rounding."""
    across, down = _source_pixels(field, planes.shape[-1], planes.shape[-1])
    # One by one: several in one picture OpenCV would look up at whole 32nds of a place only.
    return np.stack([cv2.remap(plane, across, down, cv2.INTER_LINEAR, borderMode=_EDGE) for plane in planes])


def _source_pixels(field: NDArray[np.float32], side: int, source_side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(side, side) columns and rows of a picture of ``source_side`` pixels where the colours of one of ``side`` come from."""
    dense = cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR) if field.shape[0] != side else field
    ramp = (np.arange(side, dtype=np.float32) + 0.5) / side
    across, down = ((dense[..., axis] + places) * source_side - 0.5 for axis, places in enumerate((ramp[None, :], ramp[:, None])))
    return across.astype(np.float32, copy=False), down.astype(np.float32, copy=False)


def anchors() -> NDArray[np.float32]:
    """(28, 2) float32: points of the crop's border, which stay where they are."""
    along = np.linspace(0, 1, ANCHORS_A_SIDE, dtype=np.float32)
    zeros, ones = np.zeros_like(along), np.ones_like(along)
    sides = [(along, zeros), (along, ones), (zeros[1:-1], along[1:-1]), (ones[1:-1], along[1:-1])]
    return np.concatenate([np.stack(side, -1) for side in sides])


def led_points(portrait: NDArray[np.float32], frame: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Landmarks and the further points of lids, hair and chest, in both faces (n, 2), and their softness (n,); the portrait decides n."""
    first, second = irises_behind_lids(portrait, frame)
    lids, around = crease_points(portrait, frame), surrounding_points(portrait, frame)
    return (
        np.concatenate([first, lids[0], around[0]]),
        np.concatenate([second, lids[1], around[1]]),
        np.concatenate([_landmark_softness(), lids[2], around[2]]),
    )


@cache
def _landmark_softness() -> NDArray[np.float32]:
    """(162,) softness of the landmarks themselves."""
    softness = np.full(LANDMARK_COUNT, LANDMARK_SOFTNESS, np.float32)
    softness[list(REGIONS["face_oval"])] = OUTLINE_SOFTNESS
    for name in ("eye_left", "eye_right", "iris_left", "iris_right", "iris_centres"):
        softness[list(REGIONS[name])] = 0.0
    return softness


def spline_weights(
    source: NDArray[np.float32], target: NDArray[np.float32], softness: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The spline that takes points ``source`` (n, 2) to ``target`` (n, 2) and leaves the border: its centres (k, 2), the points and the
    anchors, and its weights (k + 3, 2), those of the centres and of the affine part. ``softness``: (n,) 0 firmly to 1 not at all."""
    fixed = anchors()
    centres = np.concatenate([source, fixed]).astype(np.float64)
    values = np.concatenate([target - source, np.zeros_like(fixed)]).astype(np.float64)
    count = len(centres)
    # Coordinates about the middle of the crop keep the system well conditioned.
    affine = np.concatenate([np.ones((count, 1)), centres - 0.5], 1)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(_squared_distances(centres, centres)) + np.diag(_regularisation(softness, len(fixed)))
    system[:count, count:], system[count:, :count] = affine, affine.T
    return centres, np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))


def skin_displacement(
    portrait: NDArray[np.float32], frame: NDArray[np.float32], centres: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(GRID, GRID, 2) what the spline of ``spline_weights`` misses of the skin between the landmarks (162, 2) of portrait and frame."""
    return skin_correction(portrait, frame, lambda places: _spline_displacement(centres, weights, places), GRID)


def _spline_displacement(centres: NDArray[np.float64], weights: NDArray[np.float64], nodes: NDArray[np.float32]) -> NDArray[np.float32]:
    """In double precision: where lids shut, weights of some hundreds cancel each other."""
    count, flat = len(centres), nodes.reshape(-1, 2).astype(np.float64)
    bent = np.empty_like(flat)
    for start in range(0, len(flat), _CHUNK):
        part = slice(start, start + _CHUNK)
        bent[part] = _kernel(_squared_distances(flat[part], centres)) @ weights[:count]
    bent += weights[count] + (flat - 0.5) @ weights[count + 1 :]
    return bent.reshape(nodes.shape).astype(np.float32)


def _regularisation(softness: NDArray[np.float32], anchored: int) -> NDArray[np.float64]:
    """(n + anchored,) diagonal of the system: the more of it, the less the spline minds a point."""
    return REGULARISATION * (LETTING_GO / REGULARISATION) ** np.concatenate([softness, np.zeros(anchored)]).astype(np.float64)


def _squared_distances(first: NDArray, second: NDArray) -> NDArray:
    """(n, m) by one matrix product, several times faster than differences; rounding is far below the kernel's scale."""
    ones_first, ones_second = np.ones((len(first), 1), first.dtype), np.ones((1, len(second)), second.dtype)
    left = np.concatenate([(first * first).sum(1, keepdims=True), ones_first, first], 1)
    right = np.concatenate([ones_second, (second * second).sum(1)[None], -2 * second.T])
    return left @ right


def _kernel(squared: NDArray) -> NDArray:
    """r^2 log r from r^2, which is overwritten."""
    np.maximum(squared, squared.dtype.type(1e-12), out=squared)
    logarithm = np.log(squared)
    logarithm *= squared
    logarithm *= squared.dtype.type(0.5)
    return logarithm


def _similarity_displacement(motion: NDArray[np.float32], nodes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Displacement of a ``similarity``, fading to nothing at the border as the anchors ask."""
    moved = (nodes - motion[2]) @ motion[:2] + motion[3] - nodes
    border = np.minimum(np.minimum(nodes, 1 - nodes).min(-1, keepdims=True) * 5, 1)
    return (moved * border).astype(np.float32)


def _determinant(field: NDArray[np.float32]) -> NDArray[np.float32]:
    down, across = (np.asarray(slope) for slope in np.gradient(field, 1 / GRID, axis=(0, 1)))
    return ((1 + across[..., 0]) * (1 + down[..., 1]) - across[..., 1] * down[..., 0]).astype(np.float32)


def _unfolded(field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """The field with its folds smoothed out, its determinant, and the share of nodes that still fold."""
    determinant = _determinant(field)
    for _ in range(3):
        bad = (determinant < SMALLEST_DETERMINANT) | (determinant > LARGEST_DETERMINANT)
        if not bad.any():
            break
        near = cv2.GaussianBlur(cv2.dilate(bad.astype(np.float32), np.ones((3, 3), np.uint8)), (5, 5), 0)[..., None]
        field = field * (1 - near) + cv2.GaussianBlur(field, (5, 5), 0) * near
        determinant = _determinant(field)
    return field, determinant, float((determinant < 0).mean())
