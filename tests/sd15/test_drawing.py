# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawings of landmarks: the edges, their colours, their pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from backend.synthesis.sd15.drawing import ANIPORTRAIT, BROWS, CONTOUR, EYES, IRISES, LIPS, NOSE_TIP, PUPILS, SIDE, Drawing, draw, echomimic
from bridge.landmarks import LANDMARK_COUNT, OF_MEDIAPIPE

pytestmark = pytest.mark.unit

# How many edges a colour has, from the published description of the drawing.
COLOURS = {
    (10, 200, 10): 26, (180, 200, 10): 16, (180, 220, 10): 8, (10, 200, 180): 16, (10, 220, 180): 8,
    (10, 180, 20): 5, (20, 10, 180): 5, (100, 100, 30): 5, (100, 150, 50): 5,
    (20, 80, 100): 5, (80, 100, 20): 5, (120, 100, 200): 5, (150, 120, 100): 5,
}  # fmt: skip


def outside() -> NDArray[np.float64]:
    """Landmarks that are all outside the picture."""
    return np.full((LANDMARK_COUNT, 2), -1.0)


def all_edges(drawing: Drawing) -> list[tuple[tuple[int, int], tuple[int, int, int]]]:
    return [(edge, group.colour) for group in drawing.groups for edge in group.edges]


def test_there_are_114_edges_over_119_points_in_13_colours() -> None:
    edges = all_edges(ANIPORTRAIT)
    assert len(edges) == 114 and len({frozenset(edge) for edge, _ in edges}) == 114
    assert len({index for edge, _ in edges for index in edge}) == 119
    assert {colour: sum(other == colour for _, other in edges) for _, colour in edges} == COLOURS
    assert {index for edge, _ in edges for index in edge} <= set(OF_MEDIAPIPE)


def test_edges_are_mediapipes_own() -> None:
    connections = pytest.importorskip("mediapipe.tasks.python.vision.face_landmarker").FaceLandmarksConnections
    for group, name in (
        (EYES[0], "LEFT_EYE"), (EYES[1], "RIGHT_EYE"), (BROWS[0], "LEFT_EYEBROW"), (BROWS[1], "RIGHT_EYEBROW"),
        (IRISES[0], "LEFT_IRIS"), (IRISES[1], "RIGHT_IRIS"),
    ):  # fmt: skip
        assert set(group.edges) == {(edge.start, edge.end) for edge in getattr(connections, f"FACE_LANDMARKS_{name}")}
    oval = {(edge.start, edge.end) for edge in connections.FACE_LANDMARKS_FACE_OVAL}
    assert set(CONTOUR.edges) < oval and len(oval) - len(CONTOUR.edges) == 10  # the forehead is left out
    lips = {frozenset((edge.start, edge.end)) for edge in connections.FACE_LANDMARKS_LIPS}
    assert {frozenset(edge) for group in LIPS for edge in group.edges} == lips


@pytest.mark.parametrize("place", range(114))
def test_each_edge_alone(place: int) -> None:
    """With the other points outside, exactly one line stands between the two pixels, two thick, in its colour."""
    (start, end), colour = all_edges(ANIPORTRAIT)[place]
    points = outside()
    ends = np.random.default_rng(place).uniform(0.1, 0.9, (2, 2))
    points[OF_MEDIAPIPE[start]], points[OF_MEDIAPIPE[end]] = ends
    wanted = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels = [(int(x * 512), int(y * 512)) for x, y in ends]
    cv2.line(wanted, pixels[0], pixels[1], colour, 2)
    given = draw(points, ANIPORTRAIT)
    assert np.array_equal(given, wanted)
    assert all(tuple(given[y, x]) == colour for x, y in pixels)


def test_the_border_belongs_to_the_picture_and_what_is_beyond_takes_its_edges_along() -> None:
    points = outside()
    points[OF_MEDIAPIPE[61]], points[OF_MEDIAPIPE[146]] = (1.0, 1.0), (0.0, 0.0)
    given = draw(points, ANIPORTRAIT)
    assert tuple(given[511, 511]) == tuple(given[0, 0]) == (10, 180, 20)
    for bad in ((1.001, 0.5), (0.5, -0.001), (np.nan, 0.5)):
        points[OF_MEDIAPIPE[146]] = bad
        assert not draw(points, ANIPORTRAIT).any()


def test_later_groups_lie_above_earlier_ones() -> None:
    points = outside()
    for index in (389, 251, 78, 95):  # an edge of the contour and one of the inner lip, on the same pixels
        points[OF_MEDIAPIPE[index]] = (0.3, 0.3) if index in (251, 78) else (0.6, 0.3)
    assert tuple(draw(points, ANIPORTRAIT)[int(0.3 * 512), 230]) == (100, 100, 30)


def test_other_sizes_are_drawn_at_512_and_resized() -> None:
    points = np.random.default_rng(1).uniform(0, 1, (LANDMARK_COUNT, 2)).astype(np.float32)
    assert np.array_equal(draw(points, ANIPORTRAIT, 64), cv2.resize(draw(points, ANIPORTRAIT), (64, 64)))


def test_echomimic_leaves_out_contour_iris_and_mouth_and_marks_pupils_and_nose() -> None:
    drawing = echomimic()
    assert len(all_edges(drawing)) == 48 and drawing.marks == (*PUPILS, NOSE_TIP)
    assert not drawing.signed and ANIPORTRAIT.signed
    assert len(all_edges(echomimic(contour=True, irises=True, lips=True))) == 114 + 8
    assert echomimic(pupils=False, nose=False).marks == ()


@pytest.mark.parametrize(("index", "colour"), [*PUPILS, NOSE_TIP])
def test_echomimics_marks_are_squares_of_six_pixels(index: int, colour: tuple[int, int, int]) -> None:
    points = outside()
    points[OF_MEDIAPIPE[index]] = (0.5, 0.25)
    given = draw(points, echomimic())
    wanted = np.zeros((SIDE, SIDE, 3), np.uint8)
    wanted[125:131, 253:259] = colour
    assert np.array_equal(given, wanted)
    points[OF_MEDIAPIPE[index]] = (1.0, 0.5)
    assert not draw(points, echomimic()).any()  # a mark on the very border is left out


def test_a_mark_at_the_corner_is_cut_off() -> None:
    points = outside()
    points[OF_MEDIAPIPE[4]] = (0.001, 0.001)
    given = draw(points, echomimic())
    assert given[:3, :3].all() and np.count_nonzero(given.any(-1)) == 9


def test_the_wrong_number_of_points_is_refused() -> None:
    with pytest.raises(ValueError, match="162"):
        draw(np.zeros((68, 2)), ANIPORTRAIT)
