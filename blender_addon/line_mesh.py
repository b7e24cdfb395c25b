# SPDX-License-Identifier: GPL-3.0-or-later
"""The line mesh: the face's contours as thin ribbons, each landmark's vertices bound one to one to its bone."""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from .actors import rest_units
from .bridge.landmarks import CONTOUR_EDGES, LANDMARK_COUNT
from .rig_layout import BONE_COLLECTIONS, BONE_NAMES, COLLECTION_COLOURS

HALF_WIDTH = 0.0045
LINE_DEPTH = -0.01
SHARPEST_CORNER = 0.4  # cosine of half the turn beyond which a ribbon's corner is cut off


def make_line_mesh(armature: bpy.types.Object, collection: bpy.types.Collection) -> bpy.types.Object:
    """The mesh object of an armature's contours, with one vertex group per landmark bone."""
    points = rest_units(armature)
    vertices, faces, owners, face_kinds = ribbons(points)
    name = f"{armature.name} Lines"
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(float(x), LINE_DEPTH, float(z)) for x, z in vertices], [], faces.tolist())
    lines = bpy.data.objects.new(name, mesh)
    collection.objects.link(lines)
    kinds = list(COLLECTION_COLOURS)
    for kind in kinds:
        mesh.materials.append(_material(kind))
    mesh.polygons.foreach_set("material_index", np.array([kinds.index(kind) for kind in face_kinds], np.int32))
    for point, bone_name in enumerate(BONE_NAMES):
        group = lines.vertex_groups.new(name=bone_name)
        group.add(np.flatnonzero(owners == point).tolist(), 1.0, "REPLACE")
    lines.modifiers.new("Rig", "ARMATURE").object = armature
    lines.parent = armature
    lines.show_in_front = True
    lines.hide_select = True
    mesh.update()
    return lines


def lines_of(armature: bpy.types.Object) -> bpy.types.Object | None:
    """The line mesh of an armature, whatever it is called; None if it was deleted."""
    for child in armature.children:
        if child.type == "MESH" and any(modifier.type == "ARMATURE" and modifier.object == armature for modifier in child.modifiers):
            return child
    return None


def fit_lines(armature: bpy.types.Object) -> None:
    """Draws the lines through the landmarks' present rest positions."""
    lines = lines_of(armature)
    vertices = ribbons(rest_units(armature))[0]
    if lines is None or len(lines.data.vertices) != len(vertices):
        return
    places = np.full((len(vertices), 3), LINE_DEPTH, np.float32)
    places[:, (0, 2)] = vertices
    lines.data.vertices.foreach_set("co", places.ravel())
    lines.data.update()


def ribbons(
    points: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Vertices (n, 2), quads (m, 4), the landmark that owns each vertex (n,), and each quad's collection.

    Landmarks have two vertices, set apart across the contour, so neighbouring quads join without gaps; a landmark in
    several contours (the nose) gets a pair for each.
    """
    vertices: list[NDArray[np.float32]] = []
    owners: list[int] = []
    faces: list[tuple[int, int, int, int]] = []
    kinds: list[str] = []
    for chain in contour_chains():
        closed = chain[0] == chain[-1]
        own = chain[:-1] if closed else chain
        first = len(vertices)
        for place, point in enumerate(own):
            before = own[place - 1] if place > 0 or closed else point
            after = own[(place + 1) % len(own)] if place + 1 < len(own) or closed else point
            across = _across(points[before], points[point], points[after])
            vertices += [points[point] - across, points[point] + across]
            owners += [point, point]
        for place in range(len(chain) - 1):
            a, b = first + 2 * place, first + 2 * ((place + 1) % len(own))
            faces.append((a, b, b + 1, a + 1))
            kinds.append(BONE_COLLECTIONS[own[place]])
    return np.array(vertices, np.float32), np.array(faces), np.array(owners), kinds


def _across(before: NDArray[np.float32], here: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """From a contour's point to the ribbon's edge: square to the contour, longer in corners so that the width stays."""
    into, out_of = _normal(here - before), _normal(after - here)
    if not into.any():
        into = out_of
    if not out_of.any():
        out_of = into
    middle = into + out_of
    length = float(np.hypot(*middle))
    if length < 1e-6:
        return (into * HALF_WIDTH).astype(np.float32)
    middle /= length
    return (middle * HALF_WIDTH / max(float(middle @ into), SHARPEST_CORNER)).astype(np.float32)


def _normal(along: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unit vector square to ``along``; zeros where it has no length."""
    length = float(np.hypot(*along))
    return np.array([-along[1], along[0]], np.float64) / length if length > 1e-9 else np.zeros(2)


def contour_chains() -> list[list[int]]:
    """CONTOUR_EDGES joined into chains; a chain that ends where it starts is a ring."""
    chains: list[list[int]] = []
    for start, end in CONTOUR_EDGES:
        if chains and chains[-1][-1] == start and chains[-1][0] != chains[-1][-1]:
            chains[-1].append(end)
        else:
            chains.append([start, end])
    covered = {point for chain in chains for point in chain}
    assert covered <= set(range(LANDMARK_COUNT))
    return chains


def _material(kind: str) -> bpy.types.Material:
    name = f"AUtter {kind.split('.')[0]}"
    found = bpy.data.materials.get(name)
    if found is None:
        found = bpy.data.materials.new(name)
        found.diffuse_color = (*COLLECTION_COLOURS[kind], 1.0)
    return found
