# SPDX-License-Identifier: GPL-3.0-or-later
"""How bones look, and that they stay in the portrait's plane. Shapes are shared by all actors and kept out of every scene."""

from __future__ import annotations

import bpy
import numpy as np

from .rig_layout import Frame2D

DOT_CORNERS = 16
RING_CORNERS = 24
RING_INNER = 0.72


def lock_to_plane(bone: bpy.types.PoseBone) -> None:
    """The bone can be moved right, left, up and down, and nothing else."""
    bone.lock_location = (False, True, False)
    bone.lock_rotation = bone.lock_scale = (True, True, True)
    bone.lock_rotation_w = True
    bone.rotation_mode = "XYZ"


def dot() -> bpy.types.Object:
    """A disc of radius 1 in the XZ plane."""
    return _shared("AUtter Dot", _circle(DOT_CORNERS), [], [tuple(range(DOT_CORNERS))])


def ring() -> bpy.types.Object:
    """A thin ring of radius 1 in the XZ plane."""
    n = RING_CORNERS
    circle = _circle(n)
    inner = [(RING_INNER * x, y, RING_INNER * z) for x, y, z in circle]
    return _shared("AUtter Ring", circle + inner, [], [(i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)])


def border(name: str, frame: Frame2D, size: tuple[int, int]) -> bpy.types.Object:
    """The portrait's edge, of one actor. ``size``: width and height in pixels."""
    width, height = size
    corners = frame.to_units(np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)) * 1.02
    mesh = bpy.data.meshes.new(f"{name} Border")
    mesh.from_pydata([(float(x), 0.0, float(z)) for x, z in corners], [(0, 1), (1, 2), (2, 3), (3, 0)], [])
    return bpy.data.objects.new(f"{name} Border", mesh)


def _circle(corners: int) -> list[tuple[float, float, float]]:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return [(float(np.cos(angle)), 0.0, float(np.sin(angle))) for angle in angles]


def _shared(name: str, vertices: list, edges: list, faces: list) -> bpy.types.Object:
    found = bpy.data.objects.get(name)
    if found is not None and found.type == "MESH":
        return found
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, edges, faces)
    return bpy.data.objects.new(name, mesh)
