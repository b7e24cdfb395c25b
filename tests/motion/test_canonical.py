# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical frame: head pose comes out, expression stays."""

from __future__ import annotations

import numpy as np
import pytest

from backend.motion import canonical as frame
from backend.motion.contact import uncrossed
from backend.motion.face import geometric_aus, reference_face
from backend.motion.measures import lid_opening, lip_gap
from backend.motion.retarget import head_rotation
from bridge.facs import AU_INDEX
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, MEDIAPIPE_INDICES, OF_MEDIAPIPE

pytestmark = pytest.mark.unit


def tracked(motion: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Meshes and MediaPipe poses of the reference face under motion (frames, 162, 2) and head angles (frames, 3)."""
    face = reference_face().neutral
    generator = np.random.default_rng(3)
    mesh = np.repeat(
        np.concatenate([generator.uniform(-0.8, 0.8, (478, 2)), generator.uniform(-0.2, 0.6, (478, 1))], axis=1)[None], len(motion), axis=0
    )
    mesh[:, list(MEDIAPIPE_INDICES)] = face
    mesh[:, list(MEDIAPIPE_INDICES), :2] += motion
    turns = head_rotation(angles).astype(np.float64)
    flip = np.diag([1.0, -1.0, -1.0])
    pose = np.repeat(np.eye(4)[None], len(motion), axis=0)
    pose[:, :3, :3] = flip @ turns @ flip
    return (np.einsum("fij,fpj->fpi", turns, mesh) * 90 + [200, 150, 0]).astype(np.float32), pose.astype(np.float32)


def test_head_motion_leaves_no_trace():
    still = np.zeros((30, 162, 2), np.float32)
    angles = np.stack([np.linspace(-25, 25, 30), np.linspace(10, -15, 30), np.linspace(-8, 8, 30)], axis=1)
    taken = frame.clip_motion(*tracked(still, angles))
    assert np.abs(taken.motion).max() < 2e-3
    np.testing.assert_allclose(taken.neutral[[EYE_OUTER_LEFT, EYE_OUTER_RIGHT], :2], [[0.5, 0], [-0.5, 0]], atol=1e-3)


def test_expression_survives_a_turning_head():
    jaw = reference_face().fields[AU_INDEX["AU26"], :, :2]
    level = np.concatenate([np.zeros(10), np.linspace(0, 1, 20)])
    angles = np.stack([20 * np.sin(np.arange(30) / 5)] + [np.zeros(30)] * 2, axis=1)
    taken = frame.clip_motion(*tracked(level[:, None, None] * jaw, angles))
    lips = OF_MEDIAPIPE[14]
    np.testing.assert_allclose(taken.motion[:, lips, 1], level * jaw[lips, 1], atol=0.01)


def test_region_scale_is_one_for_the_reference_measures_and_limited_elsewhere():
    face = reference_face().neutral
    scale = frame.region_scale(face)
    assert 0.3 <= scale.min() and scale.max() <= 2.0
    wide = face.copy()
    wide[:, 0] *= 5
    assert frame.region_scale(wide).max() <= 2.0


def test_lids_and_lips_never_cross_and_open_ones_are_untouched():
    face = reference_face()
    blink = face.neutral + 1.6 * face.fields[AU_INDEX["AU45"]]
    assert lid_opening(uncrossed(blink)) >= 0
    pressed = face.neutral.copy()
    pressed[OF_MEDIAPIPE[13], 1] += 0.2
    mended = uncrossed(pressed)
    assert mended[OF_MEDIAPIPE[14], 1] >= mended[OF_MEDIAPIPE[13], 1] - 1e-6
    wide = face.neutral + face.fields[AU_INDEX["AU26"]]
    np.testing.assert_array_equal(uncrossed(wide), wide.astype(np.float32))


def test_aus_are_read_back_from_lips_chin_and_lids():
    face = reference_face()
    for key in ("AU25", "AU26", "AU45"):
        motion = np.stack([level / 5 * face.fields[AU_INDEX[key], :, :2] for level in range(6)])
        read = geometric_aus(motion, face.neutral)[key]
        assert np.all(np.diff(read) >= -1e-6) and read[5] > 3.8 and read[0] < 0.3
    assert lip_gap(face.neutral) < 0.03
