# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the 162 landmarks sit on the head mesh."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

MAP_FILE = Path(__file__).with_name("landmark_map.npz")


@lru_cache(maxsize=1)
def landmark_map() -> tuple[NDArray[np.int64], Float]:
    """Vertices (162, 3) of the head mesh that carry each landmark, and their weights (162, 3)."""
    with np.load(MAP_FILE) as stored:
        return stored["index"].astype(np.int64), stored["weights"].astype(np.float32)


def on_mesh(vertices: Float) -> Float:
    """(162, c) values at the landmarks of values (19158, c) at the vertices of the head mesh, e.g. positions."""
    index, weights = landmark_map()
    return np.asarray(np.einsum("nk,nkc->nc", weights, vertices[index]), np.float32)


@lru_cache(maxsize=1)
def mouth_cavity() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertices (k,) of the inside of the mouth, and how many edges (k,) each lies behind the lips' rim."""
    with np.load(MAP_FILE) as stored:
        return stored["cavity"].astype(np.int64), stored["depth"].astype(np.int64)
