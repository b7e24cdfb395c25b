# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables: counts, maps, mirror and contour edges, compared with MediaPipe's own where it is installed."""

from __future__ import annotations

import pytest

from bridge import landmarks as table
from bridge.facs import ACTION_UNITS, AU_COUNT, AU_INDEX, AU_KEYS, intensity_letter

pytestmark = pytest.mark.unit


def edges_of(*names: str) -> set[frozenset[int]]:
    """Our contour edges inside the named regions, as MediaPipe indices."""
    points = {point for name in names for point in table.REGIONS[name]}
    return {frozenset(table.MEDIAPIPE_INDICES[i] for i in edge) for edge in table.CONTOUR_EDGES if set(edge) <= points}


def test_the_regions_follow_each_other() -> None:
    sizes = {"lips_outer": 20, "lips_inner": 20, "eye_left": 16, "eye_right": 16, "brow_left": 10, "brow_right": 10}
    sizes |= {"face_oval": 36, "nose": 24, "iris_left": 4, "iris_right": 4, "iris_centres": 2}
    assert {name: len(points) for name, points in table.REGIONS.items()} == sizes
    assert [point for points in table.REGIONS.values() for point in points] == list(
        range(table.LANDMARK_COUNT)
    ) and table.LANDMARK_COUNT == 162
    assert len(set(table.MEDIAPIPE_INDICES)) == 162 and set(table.MEDIAPIPE_INDICES) <= set(range(478))
    assert all(table.MEDIAPIPE_INDICES[ours] == mesh for mesh, ours in table.OF_MEDIAPIPE.items())


def test_the_mirror_is_its_own_inverse_and_keeps_regions() -> None:
    assert sorted(table.MIRROR) == list(range(162))
    assert all(table.MIRROR[table.MIRROR[point]] == point for point in range(162))
    swapped = {"left": "right", "right": "left"}
    for name, points in table.REGIONS.items():
        head, _, side = name.rpartition("_")
        twin = f"{head}_{swapped[side]}" if side in swapped else name
        assert {table.MIRROR[point] for point in points} == set(table.REGIONS[twin])


def test_the_mirror_keeps_contours() -> None:
    edges = {frozenset(edge) for edge in table.CONTOUR_EDGES}
    assert {frozenset(table.MIRROR[i] for i in edge) for edge in edges} == edges


def test_named_points_are_where_they_should_be() -> None:
    regions = table.REGIONS
    assert {table.EYE_OUTER_LEFT, table.EYE_INNER_LEFT, table.LID_UPPER_LEFT, table.LID_LOWER_LEFT} <= set(regions["eye_left"])
    assert {table.EYE_OUTER_RIGHT, table.EYE_INNER_RIGHT, table.LID_UPPER_RIGHT, table.LID_LOWER_RIGHT} <= set(regions["eye_right"])
    assert table.MIRROR[table.EYE_OUTER_LEFT] == table.EYE_OUTER_RIGHT and table.MIRROR[table.LID_UPPER_LEFT] == table.LID_UPPER_RIGHT
    assert table.MIRROR[table.MOUTH_CORNER_LEFT] == table.MOUTH_CORNER_RIGHT
    for middle in (table.CHIN, table.NOSE_TIP, table.LIP_INNER_UPPER, table.LIP_INNER_LOWER):
        assert table.MIRROR[middle] == middle


def test_the_map_to_ibug() -> None:
    ibug = table.IBUG_68
    assert len(ibug) == 68 and len(set(ibug)) == 68
    mirrored = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
    mirrored += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    mirrored += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    assert [table.MIRROR[ibug[i]] for i in range(68)] == [ibug[i] for i in mirrored]  # iBUG's own symmetry
    for points, regions in ((range(17, 22), ("brow_right",)), (range(36, 42), ("eye_right",)), (range(42, 48), ("eye_left",)),
                            (range(48, 60), ("lips_outer",)), (range(60, 68), ("lips_inner",)), (range(27, 36), ("nose",))):  # fmt: skip
        assert all(any(ibug[point] in table.REGIONS[region] for region in regions) for point in points)


def test_the_contours_are_mediapipes() -> None:
    connections = pytest.importorskip("mediapipe.tasks.python.vision.face_landmarker").FaceLandmarksConnections

    def theirs(*names: str) -> set[frozenset[int]]:
        return {frozenset((line.start, line.end)) for name in names for line in getattr(connections, name)}

    assert edges_of("lips_outer", "lips_inner") == theirs("FACE_LANDMARKS_LIPS")
    assert edges_of("eye_left") == theirs("FACE_LANDMARKS_LEFT_EYE")
    assert edges_of("eye_right") == theirs("FACE_LANDMARKS_RIGHT_EYE")
    assert edges_of("face_oval") == theirs("FACE_LANDMARKS_FACE_OVAL")
    # MediaPipe draws a brow as two lines with open ends; ours are closed into a ring.
    for ours, name in (("brow_left", "FACE_LANDMARKS_LEFT_EYEBROW"), ("brow_right", "FACE_LANDMARKS_RIGHT_EYEBROW")):
        assert theirs(name) <= edges_of(ours) and {p for edge in theirs(name) for p in edge} == {p for edge in edges_of(ours) for p in edge}
    assert edges_of("iris_left") == theirs("FACE_LANDMARKS_LEFT_IRIS")
    assert edges_of("iris_right") == theirs("FACE_LANDMARKS_RIGHT_IRIS")
    assert set(table.NOSE) <= {p for line in connections.FACE_LANDMARKS_TESSELATION for p in (line.start, line.end)}


def test_the_action_units_are_openfaces() -> None:
    assert [unit.number for unit in ACTION_UNITS] == [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45]
    assert AU_COUNT == 18 and AU_KEYS[0] == "AU01" and AU_KEYS[-1] == "AU45" and AU_INDEX["AU12"] == 8
    for unit in ACTION_UNITS:
        assert unit.name and unit.muscle and unit.effect and unit.region in ("upper", "lower")
    assert {unit.number for unit in ACTION_UNITS if unit.region == "upper"} == {1, 2, 4, 5, 6, 7, 45}


def test_intensity_letters() -> None:
    assert "".join(intensity_letter(value) for value in (0, 0.4, 0.5, 1, 2, 3, 4, 5)) == "--AABCDE"
