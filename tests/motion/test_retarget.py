# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion on a portrait: stillness, scale, turning heads, expressions taken off."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from motion_faces import babble, portrait

from backend.motion.face import reference_face
from backend.motion.measures import lid_opening, lip_gap
from backend.motion.retarget import head_rotation, limited, placed_face, retarget
from bridge.facs import AU_INDEX
from bridge.landmarks import CHIN, EYE_OUTER_LEFT, EYE_OUTER_RIGHT, MEDIAPIPE_INDICES, NOSE_TIP, OF_MEDIAPIPE, REGIONS
from bridge.shot import MotionSettings

pytestmark = pytest.mark.unit
STILL = MotionSettings(idle_head=0.0)


def head(frames: int, **angles: float) -> np.ndarray:
    rows = np.tile(np.array([0, 0, 0, 0, 0, 1], np.float32), (frames, 1))
    for name, value in angles.items():
        rows[:, ("yaw", "pitch", "roll", "x", "y", "scale").index(name)] = value
    return rows


def track(face, motion, rows=None, settings=STILL):
    rows = head(len(motion)) if rows is None else rows
    return retarget(motion, face, rows, np.ones(rows.shape, bool), settings, 0, np.zeros(16000, np.float32), Fraction(25))


def test_a_portrait_at_rest_stays_exactly_itself():
    for angles in ((0.0, 0.0, 0.0), (18.0, -10.0, 7.0)):
        face = portrait(angles)
        np.testing.assert_array_equal(track(face, np.zeros((3, 162, 2), np.float32)), np.repeat(face.landmarks[None], 3, axis=0))


def test_motion_is_scaled_by_the_size_of_the_face():
    jaw = reference_face().fields[AU_INDEX["AU26"]][None, :, :2] * 0.5
    small, large = (track(portrait(unit=unit), jaw)[0] - portrait(unit=unit).landmarks for unit in (60.0, 180.0))
    np.testing.assert_allclose(large, 3 * small, atol=0.2)
    assert np.abs(small).max() > 3


def test_motion_is_added_in_the_face_before_the_head_turns():
    jaw = reference_face().fields[AU_INDEX["AU26"]][None, :, :2] * 0.5
    turned, front = portrait((30.0, 0.0, 20.0)), portrait()
    moved_turned = track(turned, jaw)[0] - turned.landmarks
    moved_front = track(front, jaw)[0] - front.landmarks
    lips = slice(0, 40)
    angle = np.degrees(np.arctan2(-moved_turned[lips].mean(axis=0)[0], moved_turned[lips].mean(axis=0)[1]))
    assert 12 < angle < 28
    assert np.linalg.norm(moved_turned[lips]) == pytest.approx(np.linalg.norm(moved_front[lips]), rel=0.12)


@pytest.mark.parametrize("angles", [(20.0, 0.0, 0.0), (0.0, 15.0, 0.0), (0.0, 0.0, 25.0), (-25.0, 10.0, 5.0)])
def test_a_turned_head_is_the_portrait_seen_turned(angles):
    still = np.zeros((1, 162, 2), np.float32)
    yaw, pitch, roll = angles
    made = track(portrait(), still, head(1, yaw=yaw, pitch=pitch, roll=roll))[0]
    true = portrait(angles).landmarks
    offset = (made - true).mean(axis=0)  # they turn about different points
    assert np.abs(made - true - offset).max() < 1.5


def test_the_ways_of_yaw_pitch_roll_and_shift():
    still = np.zeros((1, 162, 2), np.float32)
    face = portrait()
    centre = (face.landmarks[EYE_OUTER_LEFT] + face.landmarks[EYE_OUTER_RIGHT]) / 2

    def nose(rows):
        points = track(face, still, rows)[0]
        return points[NOSE_TIP] - (points[EYE_OUTER_LEFT] + points[EYE_OUTER_RIGHT]) / 2 - (face.landmarks[NOSE_TIP] - centre)

    assert nose(head(1, yaw=15))[0] > 3
    assert nose(head(1, pitch=15))[1] < -3
    left, right = (track(face, still, head(1, roll=10))[0][point] for point in (EYE_OUTER_LEFT, EYE_OUTER_RIGHT))
    assert left[1] > right[1]
    np.testing.assert_allclose(track(face, still, head(1, x=0.1, y=-0.2))[0] - face.landmarks, np.tile([12.0, -24.0], (162, 1)), atol=0.1)
    wide = track(face, still, head(1, scale=1.5))[0]
    assert np.ptp(wide[:, 0]) == pytest.approx(1.5 * np.ptp(face.landmarks[:, 0]), rel=0.01)


def test_an_open_mouth_is_shut_and_a_smile_taken_off():
    face = reference_face()
    gaping = portrait(motion=0.5 * face.fields[AU_INDEX["AU26"], :, :2])
    shut = track(gaping, np.zeros((1, 162, 2), np.float32))[0]
    assert lip_gap(shut) < 0.25 * lip_gap(gaping.landmarks)
    smiling = portrait(motion=0.7 * face.fields[AU_INDEX["AU12"], :, :2], blendshapes={"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9})
    calm = track(smiling, np.zeros((1, 162, 2), np.float32))[0]
    width = lambda points: np.ptp(points[:20, 0])  # noqa: E731
    assert width(calm) < 0.9 * width(smiling.landmarks)
    assert width(calm) > 0.9 * width(portrait().landmarks)


def test_idle_motion_is_there_and_seeded_and_off_at_zero():
    face, still = portrait(), np.zeros((100, 162, 2), np.float32)
    free = np.zeros((100, 6), bool)

    def idle(seed, amount):
        return retarget(still, face, head(100), free, MotionSettings(idle_head=amount), seed, babble(4.0), Fraction(25))

    moving = idle(1, 0.5)
    assert 1.0 < np.abs(moving - face.landmarks).max() < 40
    np.testing.assert_array_equal(moving, idle(1, 0.5))
    assert np.abs(moving - idle(2, 0.5)).max() > 0.3
    np.testing.assert_array_equal(idle(1, 0.0), np.repeat(face.landmarks[None], 100, axis=0))


def test_a_face_is_put_together_again_from_its_parts():
    placed = placed_face(portrait((15.0, -8.0, 12.0)))
    again = placed.frontal @ placed.turn.T * placed.unit
    seen = placed.landmarks
    np.testing.assert_allclose(again[:, :2] - again[0, :2], seen - seen[0], atol=0.05)


def test_an_eye_caught_in_a_blink_is_opened_and_a_narrow_one_is_left_alone():
    blink = reference_face().fields[AU_INDEX["AU45"], :, :2]
    open_height = lid_opening(portrait().landmarks)
    for share, reading in ((0.45, 0.32), (0.85, 0.58)):
        face = portrait(motion=share * blink, blendshapes={"eyeBlinkLeft": reading, "eyeBlinkRight": reading})
        opened = lid_opening(track(face, np.zeros((1, 162, 2), np.float32))[0])
        assert lid_opening(face.landmarks) < 0.65 * open_height and opened == pytest.approx(open_height, rel=0.25)
    narrow = portrait(motion=0.3 * blink, blendshapes={"eyeBlinkLeft": 0.12, "eyeBlinkRight": 0.12})
    np.testing.assert_array_equal(track(narrow, np.zeros((1, 162, 2), np.float32))[0], narrow.landmarks)


def test_frontal_portraits_follow_keys_to_the_letter_and_turned_ones_stay_in_sight():
    poses = np.concatenate([head(1, yaw=yaw, pitch=pitch) for yaw in (-30, 0, 30) for pitch in (-20, 0, 20)])
    for own in ((0.0, 0.0, 0.0), (-18.0, 10.0, 0.0)):
        np.testing.assert_array_equal(limited(poses, head_rotation(np.array([own]))[0]), poses)
    turned = limited(poses, head_rotation(np.array([(45.0, 0.0, 0.0)]))[0])
    assert turned[-1, 0] < 22 and turned[-1, 0] + 45 < 65
    np.testing.assert_array_equal(turned[:6], poses[:6])  # back towards the front, and as it is
    growing = limited(np.concatenate([head(1, yaw=yaw) for yaw in range(-180, 181)]), head_rotation(np.array([(30.0, 0, 0)]))[0])[:, 0]
    assert (np.diff(growing) >= 0).all() and np.abs(growing + 30).max() <= 65


COMMANDS = [
    {"AU45": 5.0},
    {"AU12": 5.0, "AU06": 5.0},
    {"AU23": 5.0, "AU17": 5.0},
    {"AU26": 5.0, "AU25": 5.0},
    {"AU12": 5.0, "AU15": 5.0, "AU20": 5.0, "AU17": 5.0, "AU28": 5.0, "AU45": 5.0},
    {"AU10": 5.0, "AU25": 5.0, "AU45": 4.0},
]


@pytest.mark.parametrize("own", [(0.0, 0.0, 0.0), (45.0, 0.0, 0.0), (-45.0, 8.0, 5.0), (0.0, 20.0, 0.0)])
@pytest.mark.parametrize("shape", ["plain", "child", "long", "cartoon"])
def test_lids_and_lips_never_pass_through_each_other(own, shape):
    turn = head_rotation(np.array([own]))[0]
    points = reference_face().neutral.astype(np.float64) * {"child": [1.15, 0.85, 1.0], "long": [0.8, 1.2, 1.0]}.get(shape, [1, 1, 1])
    if shape == "cartoon":
        for side in ("left", "right"):
            eye = list(REGIONS[f"eye_{side}"])
            points[eye] = points[eye].mean(axis=0) + 1.7 * (points[eye] - points[eye].mean(axis=0))
        lips = list(REGIONS["lips_outer"] + REGIONS["lips_inner"])
        points[lips] = points[lips].mean(axis=0) + 0.6 * (points[lips] - points[lips].mean(axis=0))
    mesh = np.zeros((478, 3))
    mesh[list(MEDIAPIPE_INDICES)] = points @ turn.T * 120.0 + [300.0, 320.0, 0.0]
    face = replace(portrait(own), landmarks=mesh[list(MEDIAPIPE_INDICES), :2].astype(np.float32), mesh=mesh.astype(np.float32))
    poses = np.concatenate([head(1, yaw=yaw, pitch=pitch, roll=10) for yaw in (-30, -15, 0, 15, 30) for pitch in (-20, 0, 20)])
    unit = np.linalg.norm(face.landmarks[EYE_OUTER_LEFT] - face.landmarks[EYE_OUTER_RIGHT])
    for aus in COMMANDS:
        values = np.zeros((len(poses), 18), np.float32)
        for key, value in aus.items():
            values[:, AU_INDEX[key]] = value
        made = track(face, reference_face().displaced(values), poses)
        # Three-quarter portraits that turn further away show half a face: there a little may cross.
        assert deepest_crossing(made, face.landmarks, unit) < (0.12 if abs(own[0]) > 30 else 0.03), aus


def deepest_crossing(points, rest, unit) -> float:
    """How far an upper point lies under the line that it faces, more than in the portrait, in inter-ocular distances."""
    from backend.motion.picture_contact import _FACINGS, _overlaps

    worst = 0.0
    for facing in _FACINGS:
        (under, over, _), allowed = _overlaps(points, facing, unit), _overlaps(rest[None], facing, unit)
        worst = max(worst, float((under - np.maximum(allowed[0], 0)).max()), float((over - np.maximum(allowed[1], 0)).max()))
    return worst / unit


def test_brows_come_down_but_not_onto_the_lids():
    face = portrait()
    brow, lid = list(REGIONS["brow_left"])[:5], [OF_MEDIAPIPE[point] for point in (385, 386, 387)]
    made = [track(face, intensity / 5 * reference_face().fields[AU_INDEX["AU04"]][None, :, :2])[0] for intensity in range(6)]
    room = np.array([points[lid, 1].mean() - points[brow, 1].max() for points in [*made]])
    assert room[-1] > 0.1 * room[0] + 1.0 and (np.diff([points[brow, 1].mean() for points in made]) > 0).all()
    np.testing.assert_allclose(made[1][brow] - made[0][brow], made[2][brow] - made[1][brow], atol=0.2)  # weak ones are as they were


def test_the_chin_comes_up_with_an_open_mouth_that_is_shut():
    face = reference_face()
    opened = 0.3 * face.fields[AU_INDEX["AU26"], :, :2]
    opened[CHIN, 1] = 0.6 * 0.3 * float(lip_gap(face.neutral + face.fields[AU_INDEX["AU26"]]))  # as tracked chins sink
    gaping = portrait(motion=opened)
    shut = track(gaping, np.zeros((1, 162, 2), np.float32))[0]
    sunk, left = (float(points[CHIN, 1] - portrait().landmarks[CHIN, 1]) for points in (gaping.landmarks, shut))
    assert abs(left) < 0.25 * sunk
