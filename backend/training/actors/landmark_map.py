# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds where on the head mesh each of the 162 landmarks sits, and writes ``landmark_map.npz``.

MediaPipe looks at people rendered from the front; each of its points is carried back to the mesh, and the median over
the people is taken. Lips and lids are then drawn to the mesh's own rims, upper points to the upper one and lower points to
the lower one, so that an opening mouth and a closing eye move them as they move a real rim.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge import landmarks as marks

from .actor import Actor
from .camera import Camera
from .geometry import smooth_normals
from .identity import draw_person
from .light import make_light
from .mesh_points import MAP_FILE
from .parts import Parts, data_folder, load_parts
from .render import Renderer, Scene, open_air

Float = NDArray[np.float32]
Index = NDArray[np.int64]

_IMAGE = 640
_LIP_REACH = 0.1  # decimetres
_LARGEST_CAVITY = 2500  # vertices
# iBUG points (order of ``lm68``) that each rim of the mesh runs through.
_RIMS = {
    "inner_upper": (60, 61, 62, 63, 64),
    "inner_lower": (60, 67, 66, 65, 64),
    "outer_upper": (48, 49, 50, 51, 52, 53, 54),
    "outer_lower": (48, 59, 58, 57, 56, 55, 54),
    "right_upper": (36, 37, 38, 39),
    "right_lower": (36, 41, 40, 39),
    "left_upper": (42, 43, 44, 45),
    "left_lower": (42, 47, 46, 45),
}
_RIM_POINTS: dict[str, tuple[int, ...]] = {
    "inner_lower": marks.LIPS_INNER[:11],
    "inner_upper": (*marks.LIPS_INNER[10:], marks.LIPS_INNER[0]),
    "outer_lower": marks.LIPS_OUTER[:11],
    "outer_upper": (*marks.LIPS_OUTER[10:], marks.LIPS_OUTER[0]),
    "right_lower": marks.EYE_RIGHT[:9],
    "right_upper": (*marks.EYE_RIGHT[8:], marks.EYE_RIGHT[0]),
    "left_lower": marks.EYE_LEFT[:9],
    "left_upper": (*marks.EYE_LEFT[8:], marks.EYE_LEFT[0]),
}
_IRIS = {*marks.IRIS_LEFT, *marks.IRIS_RIGHT, *marks.IRIS_CENTRES}


def _edge_graph(parts: Parts) -> Any:
    """The head mesh's edges with their lengths, as a sparse matrix."""
    from scipy.sparse import coo_matrix

    edges = np.concatenate([parts.quads[:, [k, (k + 1) % 4]] for k in range(4)])
    length = np.linalg.norm(parts.vertices[edges[:, 0]] - parts.vertices[edges[:, 1]], axis=1) + 1e-6
    return coo_matrix((length, (edges[:, 0], edges[:, 1])), shape=(len(parts.vertices),) * 2).tocsr()


def rim(parts: Parts, name: str) -> Index:
    """Vertices of one rim of lips or lids, from corner to corner along the edges of the mesh."""
    from scipy.sparse.csgraph import dijkstra

    graph = _edge_graph(parts)
    stops = parts.ibug[list(_RIMS[name])]
    path = [int(stops[0])]
    for start, end in zip(stops[:-1], stops[1:]):
        _, previous = dijkstra(graph, directed=False, indices=int(start), return_predecessors=True, limit=2.0)
        leg, here = [], int(end)
        while here != start:
            leg.append(here)
            here = int(previous[here])
        path += leg[::-1]
    return np.array(path)


def find_cavity(parts: Parts) -> tuple[Index, Index]:
    """Vertices (k,) of the inside of the mouth and how many edges (k,) each lies behind the lips' inner rim."""
    edge = {int(vertex) for name in ("inner_upper", "inner_lower") for vertex in rim(parts, name)}
    neighbours: dict[int, set[int]] = {}
    for quad in parts.quads:
        for a, b in zip(quad, np.roll(quad, 1)):
            neighbours.setdefault(int(a), set()).add(int(b))
            neighbours.setdefault(int(b), set()).add(int(a))
    behind = {v for start in edge for v in neighbours[start]} - edge
    start = min(behind, key=lambda v: float(parts.vertices[v, 2] + abs(parts.vertices[v, 0])))
    steps, front, step = {start: 1}, [start], 1
    while front:
        step += 1
        front = [v for v in {n for v in front for n in neighbours[v]} if v not in steps and v not in edge]
        steps.update(dict.fromkeys(front, step))
    if len(steps) > _LARGEST_CAVITY:
        raise RuntimeError(f"the lips' rim leaks: {len(steps)} vertices behind it")
    depth = _steps_from(edge, neighbours, set(steps))
    return np.array(list(depth)), np.array(list(depth.values()))


def find_lips(parts: Parts) -> tuple[Index, Float]:
    """Vertices (k,) near the line where the lips meet, and how each moves to shut a gap (k,): up to -1 the upper, +1 the lower lip.

    A vertex belongs to the lip whose rim is nearer along the mesh; the effect fades over a tenth of a decimetre.
    """
    from scipy.sparse.csgraph import dijkstra

    graph = _edge_graph(parts)
    upper, lower = rim(parts, "inner_upper")[1:-1], rim(parts, "inner_lower")[1:-1]
    far = [dijkstra(graph, directed=False, indices=side, min_only=True, limit=1.0) for side in (upper, lower)]
    near = np.minimum(*far)
    index = np.nonzero(near < _LIP_REACH)[0]
    fade = 1.0 - (near[index] / _LIP_REACH) ** 2
    return index, np.where(far[0][index] <= far[1][index], -fade, fade).astype(np.float32)


def _steps_from(edge: set[int], neighbours: dict[int, set[int]], among: set[int]) -> dict[int, int]:
    result: dict[int, int] = {}
    front, step = set(edge), 0
    while front:
        step += 1
        front = {n for v in front for n in neighbours[v]} & among - result.keys()
        result.update(dict.fromkeys(front, step))
    return result


def find_map(parts: Parts, people: int, first_seed: int = 9000) -> tuple[Index, Float]:
    """Vertices (162, 3) and weights (162, 3) of the landmarks on the head mesh."""
    rest = _median_rest_positions(parts, people, first_seed)
    skin = np.concatenate([parts.quads[:, [0, 1, 2]], parts.quads[:, [0, 2, 3]]])
    skin = skin[(parts.vertices[skin].mean(1)[:, 1] > 5.9)]
    normals = smooth_normals(parts.vertices, skin)
    skin = skin[normals[skin].mean(1)[:, 2] > -0.2]
    index, weights = np.zeros((marks.LANDMARK_COUNT, 3), np.int64), np.zeros((marks.LANDMARK_COUNT, 3), np.float32)
    for mesh, ours in marks.OF_MEDIAPIPE.items():
        if mesh in _IRIS:
            index[ours], weights[ours] = _nearest_in_eye(parts, rest[ours])
        else:
            index[ours], weights[ours] = _nearest_on_triangles(parts.vertices, skin, rest[ours])
    for name, points in _RIM_POINTS.items():
        line = rim(parts, name)
        for mesh in points:
            ours = marks.OF_MEDIAPIPE[mesh]
            index[ours], weights[ours] = _nearest_on_line(parts.vertices, line, rest[ours])
        for mesh, end in ((points[0], line), (points[-1], line)):
            ours = marks.OF_MEDIAPIPE[mesh]
            ends = end[[0, -1]]
            corner = ends[np.argmin(np.abs(parts.vertices[ends, 0] - rest[ours, 0]))]
            index[ours], weights[ours] = corner, (1.0, 0.0, 0.0)
    return index, weights


def _median_rest_positions(parts: Parts, people: int, first_seed: int) -> Float:
    """(162, 3) positions on the mesh at rest of MediaPipe's points, median over people, made symmetric."""
    import mediapipe as mp

    from backend.portrait.landmarker import open_landmarker

    renderer, found = Renderer(parts), []
    light = make_light(parts.probes["studio"], 0.0, np.array([0.3, 0.5, 1.0], np.float32), 0.4, 0.0)
    backdrop = np.full((8, 8, 3), 140, np.uint8)
    with open_landmarker(faces=2) as landmarker:
        for seed in range(first_seed, first_seed + people):
            actor = Actor(parts, draw_person(parts, seed))
            posed = actor.posed(actor.neutral)
            centre = actor.neutral[parts.ibug[[36, 45, 33, 57]]].mean(0)
            camera = Camera((float(centre[0]), float(centre[1]), float(centre[2])), 14.0, _IMAGE / 3.2, _IMAGE, _IMAGE)
            image = renderer.picture(posed, open_air(renderer, actor)[0], Scene(camera, light, backdrop))
            result = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=image))
            if not result.face_landmarks:
                continue
            pixels = np.array([(point.x, point.y) for point in result.face_landmarks[0]])[list(marks.MEDIAPIPE_INDICES)] * _IMAGE
            found.append(_carried_back(parts, actor, camera, pixels))
    renderer.close()
    middle = np.nanmedian(np.stack(found), 0)
    twin = middle[list(marks.MIRROR)] * np.array([-1.0, 1.0, 1.0])
    return np.asarray((middle + twin) / 2, np.float32)


def _carried_back(parts: Parts, actor: Actor, camera: Camera, pixels: Float) -> Float:
    """(162, 3) the points of the mesh at rest that lie under ``pixels`` (162, 2); NaN where none does."""
    triangles = np.concatenate([parts.quads[:, [0, 1, 2]], parts.quads[:, [0, 2, 3]]])
    triangles = triangles[actor.neutral[triangles].mean(1)[:, 1] > 5.8]
    screen = camera.project(actor.neutral)
    eye_share = np.zeros(marks.LANDMARK_COUNT, bool)
    eye_share[[marks.OF_MEDIAPIPE[mesh] for mesh in _IRIS]] = True
    result = np.full((marks.LANDMARK_COUNT, 3), np.nan, np.float32)
    a, b, c = (screen[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    for ours, (x, y) in enumerate(pixels):
        if eye_share[ours]:
            result[ours] = _eye_point(parts, actor, camera, x, y)
            continue
        v = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) / np.where(area == 0, 1, area)
        w = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) / np.where(area == 0, 1, area)
        inside = np.nonzero((v >= -1e-6) & (w >= -1e-6) & (v + w <= 1 + 1e-6) & (area != 0))[0]
        if len(inside):
            depth = (1 - v - w)[inside] * a[inside, 2] + v[inside] * b[inside, 2] + w[inside] * c[inside, 2]
            hit = inside[np.argmin(depth)]
            shares = np.array([1 - v[hit] - w[hit], v[hit], w[hit]])
            result[ours] = shares @ parts.vertices[triangles[hit]]
        else:  # beside the face's outline: the nearest vertex in the picture
            ring = np.unique(triangles)
            near = ring[np.argmin(np.hypot(screen[ring, 0] - x, screen[ring, 1] - y))]
            result[ours] = parts.vertices[near]
    return result


def _eye_vertices(parts: Parts) -> Index:
    return np.concatenate([parts.groups["helper_l_eye"], parts.groups["helper_r_eye"]])


def _eye_point(parts: Parts, actor: Actor, camera: Camera, x: float, y: float) -> Float:
    """Point of the eyeball at rest under a pixel: the picture's plane mapped onto the eyeball's by its vertices."""
    eyes = _eye_vertices(parts)
    front = eyes[parts.vertices[eyes, 2] > 1.3]
    screen = camera.project(actor.neutral[front])[:, :2]
    side = np.sign(parts.vertices[front, 0])
    same = side == (1.0 if x > camera.project(actor.neutral[parts.ibug[27]])[0] else -1.0)
    rows = np.c_[screen[same], np.ones(same.sum())]
    solution, *_ = np.linalg.lstsq(rows, parts.vertices[front][same], rcond=None)
    return np.asarray(np.array([x, y, 1.0]) @ solution, np.float32)


def _nearest_in_eye(parts: Parts, point: Float) -> tuple[Index, Float]:
    """Three front vertices of the eyeball and weights that carry a point of its front, in the picture's plane."""
    eyes = _eye_vertices(parts)
    front = eyes[(parts.vertices[eyes, 2] > 1.28) & (np.sign(parts.vertices[eyes, 0]) == np.sign(point[0]))]
    spots = parts.vertices[front, :2]
    best: tuple[float, Index, Float] | None = None
    order = np.argsort(np.linalg.norm(spots - point[:2], axis=1))[:10]
    for i in order:
        for j in order:
            for k in order:
                if not i < j < k:
                    continue
                system = np.vstack([spots[[i, j, k]].T, np.ones(3)])
                if abs(np.linalg.det(system)) < 1e-5:
                    continue
                shares = np.linalg.solve(system, np.append(point[:2], 1.0))
                if shares.min() < -1e-6:
                    continue
                reach = float(np.linalg.norm(spots[[i, j, k]] - point[:2], axis=1).sum())
                if best is None or reach < best[0]:
                    best = reach, front[[i, j, k]], shares.astype(np.float32)
    if best is None:
        return np.repeat(front[order[0]], 3), np.array([1, 0, 0], np.float32)
    return best[1], best[2]


def _nearest_on_triangles(vertices: Float, triangles: Index, point: Float) -> tuple[Index, Float]:
    middle = vertices[triangles].mean(1)
    near = triangles[np.argsort(np.linalg.norm(middle - point, axis=1))[:24]]
    best: tuple[float, Index, Float] | None = None
    for triangle in near:
        shares = _closest_shares(vertices[triangle], point)
        distance = float(np.linalg.norm(shares @ vertices[triangle] - point))
        if best is None or distance < best[0]:
            best = distance, triangle, shares
    assert best is not None
    return best[1], best[2]


def _closest_shares(corners: Float, point: Float) -> Float:
    """Barycentric weights of the point of a triangle nearest to ``point`` (clipped to the triangle and renormalised)."""
    system = np.stack([corners[1] - corners[0], corners[2] - corners[0]], 1)
    (v, w), *_ = np.linalg.lstsq(system, point - corners[0], rcond=None)
    shares = np.maximum(np.array([1 - v - w, v, w]), 0)
    return np.asarray(shares / shares.sum(), np.float32)


def _nearest_on_line(vertices: Float, line: Index, point: Float) -> tuple[Index, Float]:
    """Nearest point of a rim, across its length: rims run from side to side, so x decides first."""
    best: tuple[float, Index, Float] | None = None
    for a, b in zip(line[:-1], line[1:]):
        along = vertices[b] - vertices[a]
        share = float(np.clip(((point[0] - vertices[a][0]) * along[0]) / max(along[0] ** 2, 1e-12), 0, 1))
        reached = vertices[a] + share * along
        distance = abs(reached[0] - point[0]) + 0.01 * float(np.linalg.norm(reached - point))
        if best is None or distance < best[0]:
            best = distance, np.array([a, b, b]), np.array([1 - share, share, 0], np.float32)
    assert best is not None
    return best[1], best[2]


def write_map(parts: Parts, index: Index, weights: Float) -> None:
    """Writes the landmarks, the mouth's lining and the lips to ``landmark_map.npz``."""
    cavity, depth = find_cavity(parts)
    lips, shutting = find_lips(parts)
    np.savez(
        MAP_FILE,
        index=index.astype(np.int32),
        weights=weights.astype(np.float32),
        cavity=cavity.astype(np.int32),
        depth=depth.astype(np.int32),
        lips=lips.astype(np.int32),
        shutting=shutting,
        upper_rim=rim(parts, "inner_upper").astype(np.int32),
        lower_rim=rim(parts, "inner_lower").astype(np.int32),
    )


def main() -> None:
    """Command line: ``python -m backend.training.actors.landmark_map [DATA] --people 24``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="data folder; default: AUTTER_DATA")
    parser.add_argument("--people", type=int, default=24)
    chosen = parser.parse_args()
    parts = load_parts(data_folder(chosen.data))
    index, weights = find_map(parts, chosen.people)
    write_map(parts, index, weights)
    print(f"wrote {MAP_FILE}")


if __name__ == "__main__":
    main()
