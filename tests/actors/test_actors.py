# SPDX-License-Identifier: GPL-3.0-or-later
"""Synthetic actors: Action Units, visemes and landmarks on the mesh. Skipped where their parts are not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.training.actors.expression import VISEME_INDEX, VISEMES, au_matrix, shape_weights
from backend.training.actors.identity import draw_person
from backend.training.actors.landmarks import ActorFace, actor_face, actor_landmarks, au_fields, eye_distance, neutral_landmarks
from backend.training.actors.parts import Parts, load_parts
from bridge import landmarks as marks
from bridge.facs import AU_COUNT, AU_INDEX, AU_KEYS

pytestmark = pytest.mark.unit

# AU: a landmark, the axis it moves along (0 right, 1 down) and the sign of that movement.
_OWN_MOVEMENT = {
    "AU01": (marks.OF_MEDIAPIPE[55], 1, -1),
    "AU02": (marks.OF_MEDIAPIPE[46], 1, -1),
    "AU04": (marks.OF_MEDIAPIPE[55], 1, 1),
    "AU12": (marks.MOUTH_CORNER_LEFT, 1, -1),
    "AU15": (marks.MOUTH_CORNER_LEFT, 1, 1),
    "AU26": (marks.CHIN, 1, 1),
}


@pytest.fixture(scope="module")
def parts(data_folder: Path) -> Parts:
    return load_parts(data_folder)


@pytest.fixture(scope="module")
def faces(parts: Parts) -> list[ActorFace]:
    return [actor_face(parts, draw_person(parts, seed)) for seed in range(500, 512)]


def test_a_person_is_the_same_every_time(parts: Parts) -> None:
    first, second, other = draw_person(parts, 3), draw_person(parts, 3), draw_person(parts, 4)
    assert first.shape == second.shape and first.skin == second.skin
    assert np.array_equal(first.gain, second.gain)
    assert first.shape != other.shape


def test_every_au_has_shapes_and_moves_landmarks(faces: list[ActorFace]) -> None:
    assert (np.abs(au_matrix()).sum(1) > 0).all()
    mean = np.mean([au_fields(face) for face in faces], axis=0)
    assert mean.shape == (AU_COUNT, marks.LANDMARK_COUNT, 2)
    reach = np.linalg.norm(mean, axis=-1).max(1)
    assert (reach > 0.015).all(), dict(zip(AU_KEYS, reach.round(3)))


@pytest.mark.parametrize("key", _OWN_MOVEMENT)
def test_aus_move_their_own_landmarks_the_right_way(faces: list[ActorFace], key: str) -> None:
    point, axis, sign = _OWN_MOVEMENT[key]
    fields = [au_fields(face)[AU_INDEX[key]] for face in faces]
    along = [field[point, axis] * sign for field in fields]
    assert min(along) > 0.01, along
    region = next(points for points in marks.REGIONS.values() if point in points)
    reach = [np.linalg.norm(field[list(region)], axis=1).max() for field in fields]
    assert np.mean(reach) * 0.8 > 0.03, "less than 3 % of the eye distance at intensity 4"


def test_aus_are_symmetric_on_average(faces: list[ActorFace]) -> None:
    mean = np.mean([au_fields(face) for face in faces], axis=0)
    twin = mean[:, list(marks.MIRROR)] * np.array([-1.0, 1.0])
    assert np.abs(mean - twin).max() < 0.03


def test_a_blink_shuts_the_eyes_of_every_face_and_does_not_overshoot(faces: list[ActorFace]) -> None:
    aus = np.zeros((2, AU_COUNT), np.float32)
    aus[1, AU_INDEX["AU45"]] = 5.0
    for face in faces:
        points = actor_landmarks(face, aus, np.zeros((2, len(VISEMES)), np.float32))
        for upper, lower in ((marks.LID_UPPER_LEFT, marks.LID_LOWER_LEFT), (marks.LID_UPPER_RIGHT, marks.LID_LOWER_RIGHT)):
            gap = points[:, lower, 1] - points[:, upper, 1]
            assert 0 < gap[1] < 0.12 * gap[0]


def test_bilabials_shut_the_lips_even_under_a_dropped_jaw(faces: list[ActorFace]) -> None:
    aus = np.zeros((2, AU_COUNT), np.float32)
    aus[:, [AU_INDEX["AU25"], AU_INDEX["AU26"]]] = 5.0
    visemes = np.zeros((2, len(VISEMES)), np.float32)
    visemes[1, VISEME_INDEX["PP"]] = 1.0
    for face in faces:
        points = actor_landmarks(face, aus, visemes)
        gap = (points[:, marks.LIP_INNER_LOWER, 1] - points[:, marks.LIP_INNER_UPPER, 1]) / eye_distance(neutral_landmarks(face))
        assert gap[0] > 0.15
        assert gap[1] < 0.01


def test_lips_of_a_resting_face_are_shut(faces: list[ActorFace]) -> None:
    for face in faces:
        points = neutral_landmarks(face)
        gap = (points[marks.LIP_INNER_LOWER, 1] - points[marks.LIP_INNER_UPPER, 1]) / eye_distance(points)
        assert 0 <= gap < 0.01


def test_head_pose_turns_the_face_as_the_shot_says(faces: list[ActorFace]) -> None:
    face = faces[0]
    head = np.tile(np.array([0, 0, 0, 0, 0, 1], np.float32), (4, 1))
    head[1, 0], head[2, 1], head[3, 2] = 15.0, 15.0, 15.0
    points = actor_landmarks(face, np.zeros((4, AU_COUNT), np.float32), np.zeros((4, len(VISEMES)), np.float32), head)
    nose, chin, brow = marks.NOSE_TIP, marks.CHIN, marks.OF_MEDIAPIPE[10]
    assert points[1, nose, 0] > points[0, nose, 0] + 5, "yaw turns the face to the image's right"
    assert points[2, nose, 1] < points[0, nose, 1] - 5, "pitch lifts the nose"
    tilt = points[3, brow, :2] - points[3, chin, :2]
    assert tilt[0] > 5, "roll tilts the head clockwise"


def test_shape_weights_scale_with_intensity() -> None:
    aus = np.zeros((3, AU_COUNT), np.float32)
    aus[1:, AU_INDEX["AU12"]] = (2.0, 4.0)
    weights = shape_weights(aus, np.zeros((3, len(VISEMES)), np.float32))
    assert np.allclose(weights[2], 2 * weights[1]) and not weights[0].any() and weights[1].any()
