# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes ready to draw: triangles with one UV per corner, smooth normals, and the pose of head and eyes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Index = NDArray[np.int64]

# The neck bends between these heights (decimetres, on the mesh at rest), measured along a line that rises to the back.
_NECK_LOW, _NECK_HIGH, _NECK_SLOPE = 5.5, 6.7, 0.6
_NECK_PIVOT = np.array([0.0, 6.35, 0.05], np.float32)


@dataclass(frozen=True)
class Surface:
    """Triangles over a vertex array: ``source`` (n,) vertex of each drawn corner, ``uv`` (n, 2), ``triangles`` (t, 3)."""

    source: Index
    uv: Float
    triangles: Index

    @classmethod
    def from_quads(cls, quads: Index, quad_uv: Index, uv: Float) -> Surface:
        """Splits quads (-1 in the last column: a triangle) and makes one corner for each pair of vertex and UV."""
        corners, texture = _triangles(quads), _triangles(quad_uv)
        pairs = np.stack([corners.ravel(), texture.ravel()], 1)
        unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
        return cls(unique[:, 0], uv[unique[:, 1]].astype(np.float32), inverse.reshape(-1, 3))

    def vertex_triangles(self) -> Index:
        """Triangles (t, 3) in vertices of the source array."""
        return self.source[self.triangles]

    def split_corners(self) -> tuple[Surface, Index]:
        """Each triangle in four. Also the two old corners (n, 2) that each new corner lies between (twice the same for an
        old one). In the finer surface every corner is a vertex of its own."""
        edges = np.sort(np.concatenate([self.triangles[:, [0, 1]], self.triangles[:, [1, 2]], self.triangles[:, [2, 0]]]), axis=1)
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        count, triangles = len(self.source), len(self.triangles)
        ab, bc, ca = (count + inverse.reshape(-1)[k * triangles : (k + 1) * triangles] for k in range(3))
        a, b, c = self.triangles.T
        finer = np.concatenate([np.stack(corner, 1) for corner in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
        between = np.concatenate([np.repeat(np.arange(count)[:, None], 2, 1), unique])
        uv = self.uv[between].mean(1).astype(np.float32)
        return Surface(np.arange(len(between)), uv, finer), between

    def split(self) -> tuple[Surface, Index, Float]:
        """Each triangle in four. Also the old vertices (n, 2) and weights (n, 2) that each new vertex lies between."""
        finer, between = self.split_corners()
        # Corners that share a place (a seam in the texture) stay one vertex, or the normals would break there.
        places, source = np.unique(np.sort(self.source[between], axis=1), axis=0, return_inverse=True)
        return Surface(source.reshape(-1), finer.uv, finer.triangles), places, np.full(places.shape, 0.5, np.float32)


def compose(index: Index, weights: Float, next_index: Index, next_weights: Float) -> tuple[Index, Float]:
    """Vertices and weights of a grid that hangs on a grid (``index``, ``weights``) that hangs on the mesh."""
    joined = index[next_index].reshape(len(next_index), -1)
    return joined, (weights[next_index] * next_weights[..., None]).reshape(len(next_index), -1)


def _triangles(quads: Index) -> Index:
    whole = quads[:, 3] >= 0
    return np.concatenate([quads[:, [0, 1, 2]], quads[whole][:, [0, 2, 3]]])


def smooth_normals(vertices: Float, triangles: Index) -> Float:
    """(n, 3) unit normals, area weighted. ``triangles`` index ``vertices``."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.stack([_scatter(faces[:, axis], triangles, len(vertices)) for axis in range(3)], 1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.maximum(length, 1e-12), np.float32)


def _scatter(values: Float, triangles: Index, count: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(triangles.T.ravel(), np.tile(values, 3), count), np.float64)


def rotation(yaw: float, pitch: float, roll: float) -> Float:
    """(3, 3) head rotation from degrees: yaw turns the face to the image's right, pitch lifts the chin, roll tilts clockwise."""
    y, p, r = np.radians([yaw, -pitch, -roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, np.float32)


def neck_share(rest: Float) -> Float:
    """(n,) how far each vertex of the mesh at rest (n, 3) follows the head: 0 the shoulders, 1 the face."""
    height = rest[:, 1] + _NECK_SLOPE * (rest[:, 2] - 0.5)
    share = np.clip((height - _NECK_LOW) / (_NECK_HIGH - _NECK_LOW), 0.0, 1.0)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def neck_pivot(rest: Float, neutral: Float) -> Float:
    """(3,) point that a person's head turns about: where the mesh at rest has it, moved as the vertices round it are."""
    near = np.argsort(np.linalg.norm(rest[:13380] - _NECK_PIVOT, axis=1))[:200]
    return np.asarray(_NECK_PIVOT + (neutral[near] - rest[near]).mean(0), np.float32)


def turn_head(vertices: Float, share: Float, pivot: Float, yaw: float, pitch: float, roll: float) -> Float:
    """Vertices (n, 3) with the head turned on the neck by degrees; ``share`` (n,) as of ``neck_share``."""
    if not (yaw or pitch or roll):
        return vertices
    turned = (vertices - pivot) @ rotation(yaw, pitch, roll).T + pivot
    return np.asarray(vertices + share[:, None] * (turned - vertices), np.float32)
