# SPDX-License-Identifier: GPL-3.0-or-later
"""From phones to visemes, acting curves and camera: no data needed."""

from __future__ import annotations

import numpy as np
import pytest

from backend.training.actors.acting import MANNERS, blinks, draw_acting, draw_head
from backend.training.actors.camera import Camera
from backend.training.actors.expression import VISEME_INDEX
from backend.training.actors.geometry import Surface, neck_share, rotation, smooth_normals
from backend.training.actors.light import make_light
from backend.training.actors.phones import Phone
from backend.training.actors.speaking import frame_times, lip_closure, viseme_weights
from bridge.facs import AU_INDEX

pytestmark = pytest.mark.unit

_ABBA = (Phone("SIL", 0.0, 0.3), Phone("AA", 0.3, 0.5), Phone("B", 0.5, 0.56), Phone("AA", 0.56, 0.8), Phone("SIL", 0.8, 1.2))


def test_every_bilabial_is_shut_in_some_frame_wherever_it_falls() -> None:
    times = frame_times(30)
    for shift in np.linspace(0.0, 0.04, 9):
        phones = [Phone(phone.name, phone.start + shift, phone.end + shift) for phone in _ABBA]
        assert lip_closure(phones, times).max() > 0.99


def test_vowels_open_and_closures_win_over_them() -> None:
    weights = viseme_weights(_ABBA, np.array([0.4, 0.53, 0.68, 1.15], np.float32))
    aa, pp = weights[:, VISEME_INDEX["aa"]], weights[:, VISEME_INDEX["PP"]]
    assert aa[0] > 0.5 and aa[2] > 0.5 and aa[1] < 0.05 and aa[3] < 0.1
    assert pp[1] > 0.99 and pp[0] < 0.01


def test_every_phone_of_the_aligner_has_a_viseme() -> None:
    arpabet = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH SIL".split()
    for name in arpabet:
        assert np.isfinite(viseme_weights([Phone(name, 0.1, 0.2)], frame_times(10))).all()


@pytest.mark.parametrize("manner", MANNERS)
def test_acting_stays_in_range_and_comes_from_its_generator(manner: str) -> None:
    first = draw_acting(np.random.default_rng(7), 200, manner, "AU12")
    again = draw_acting(np.random.default_rng(7), 200, manner, "AU12")
    assert np.array_equal(first, again)
    assert first.min() >= 0 and first.max() <= 5
    if manner == "single":
        assert first[:, AU_INDEX["AU12"]].max() > 1.0


def test_blinks_are_short_and_about_seventeen_a_minute() -> None:
    curve = blinks(np.random.default_rng(0), frame_times(25 * 600))
    starts = ((curve[1:] > 2) & (curve[:-1] <= 2)).sum()
    assert 11 <= starts / 10 <= 23
    assert (curve > 2).mean() < 0.08


def test_head_motion_is_smooth() -> None:
    head = draw_head(np.random.default_rng(1), 250)
    assert head.shape == (250, 6)
    assert np.abs(np.diff(head[:, :3], axis=0)).max() < 2.0
    assert np.allclose(head[:, 5], 1.0, atol=0.1)


def test_camera_matrix_and_projection_agree() -> None:
    camera = Camera((0.1, 6.9, 0.8), 11.0, 80.0, 256, 320)
    points = np.random.default_rng(2).normal((0.0, 7.0, 0.5), 0.8, (50, 3)).astype(np.float32)
    clip = np.c_[points, np.ones(50)] @ camera.matrix().T
    device = clip[:, :2] / clip[:, 3:]
    pixels = np.stack([(device[:, 0] + 1) / 2 * 256, (1 - device[:, 1]) / 2 * 320], 1)
    assert np.allclose(pixels, camera.project(points)[:, :2], atol=1e-2)
    assert np.allclose(camera.scaled(3).project(points)[:, :2], 3 * camera.project(points)[:, :2], atol=1e-2)


def test_rotation_follows_the_shot() -> None:
    ahead = np.array([0.0, 0.0, 1.0])
    assert (rotation(20, 0, 0) @ ahead)[0] > 0.3
    assert (rotation(0, 20, 0) @ ahead)[1] > 0.3
    assert (rotation(0, 0, 20) @ np.array([0.0, 1.0, 0.0]))[0] > 0.3
    assert np.allclose(rotation(10, 20, 30) @ rotation(10, 20, 30).T, np.eye(3), atol=1e-6)


def test_neck_share_runs_from_shoulders_to_face() -> None:
    share = neck_share(np.array([[0, 4.5, 0.3], [0, 6.2, 0.4], [0, 7.2, 1.3]], np.float32))
    assert share[0] == 0 and 0 < share[1] < 1 and share[2] == 1


def test_splitting_keeps_the_surface_whole() -> None:
    quads = np.array([[0, 1, 2, 3], [3, 2, 4, -1]])
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 2, 0]], np.float32)
    surface = Surface.from_quads(quads, quads, vertices[:, :2])
    assert len(surface.triangles) == 3
    finer, places, weights = surface.split()
    assert len(finer.triangles) == 12
    points = np.einsum("nk,nkc->nc", weights, vertices[places])
    assert np.allclose(points[finer.source][:, :2], finer.uv), "positions and UVs are the same here and must be split alike"
    assert np.allclose(smooth_normals(points, finer.vertex_triangles()), (0, 0, 1))


def test_a_face_turned_to_the_camera_is_well_exposed_under_any_probe() -> None:
    random = np.random.default_rng(3)
    for _ in range(5):
        probe = random.gamma(0.5, 2.0, (64, 128, 3)).astype(np.float32)
        light = make_light(probe, float(random.random()), np.array([0.3, 0.5, 1.0], np.float32), 0.4, 0.0)
        assert 0.3 < float(light.key_colour.mean()) + 0.282 * float(light.harmonics[0].mean()) < 1.5
