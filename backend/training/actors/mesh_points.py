# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the 162 landmarks sit on the head mesh."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

_CORNER = 0.215  # decimetres from the middle: there the rims run round the corner of the mouth

MAP_FILE = Path(__file__).with_name("landmark_map.npz")


@lru_cache(maxsize=1)
def landmark_map() -> tuple[NDArray[np.int64], Float]:
    """Vertices (162, 3) of the head mesh that carry each landmark, and their weights (162, 3)."""
    with np.load(MAP_FILE, allow_pickle=False) as stored:
        return stored["index"].astype(np.int64), stored["weights"].astype(np.float32)


def on_mesh(vertices: Float) -> Float:
    """(162, c) values at the landmarks of values (19158, c) at the vertices of the head mesh, e.g. positions."""
    index, weights = landmark_map()
    return np.asarray(np.einsum("nk,nkc->nc", weights, vertices[index]), np.float32)


@lru_cache(maxsize=1)
def mouth_cavity() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertices (k,) of the inside of the mouth, and how many edges (k,) each lies behind the lips' rim."""
    with np.load(MAP_FILE, allow_pickle=False) as stored:
        return stored["cavity"].astype(np.int64), stored["depth"].astype(np.int64)


def seal_lips(head: Float, rest: Float) -> None:
    """Shuts the gaps that a face shape leaves between the lips of ``head`` (19158, 3), in place. ``rest``: the mesh at rest."""
    with np.load(MAP_FILE, allow_pickle=False) as stored:
        lips, shutting, rims = stored["lips"], stored["shutting"], (stored["upper_rim"], stored["lower_rim"])
    spots = rest[lips, 0]
    heights = []
    for rim in rims:
        order = np.argsort(rest[rim, 0], kind="stable")
        heights.append(np.interp(spots, rest[rim[order], 0], head[rim[order], 1]))
    head[lips, 1] += shutting * (heights[0] - heights[1]) / 2
    corner = np.concatenate(rims)
    for side in (-1.0, 1.0):
        cluster = corner[side * rest[corner, 0] > _CORNER]
        head[cluster, 1] = head[cluster, 1].mean()
