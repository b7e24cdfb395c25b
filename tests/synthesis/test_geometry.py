# SPDX-License-Identifier: GPL-3.0-or-later
"""Crop, warp, raster, sampler and paste-back."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from drawn_faces import drawn_face, drawn_points

from backend.synthesis.small import teeth
from backend.synthesis.small.conditions import to_picture, to_signed
from backend.synthesis.small.crop import Crop, resized, shot_crop
from backend.synthesis.small.gates import face_gates
from backend.synthesis.small.mouth import MouthInterior
from backend.synthesis.small.paste import Paste
from backend.synthesis.small.raster import landmark_raster
from backend.synthesis.small.sampler import sample, shot_noise, step_times
from backend.synthesis.small.warp import GRID, apply_field, landmark_warp, node_centres
from bridge.landmarks import CHIN, REGIONS

pytestmark = pytest.mark.unit


def test_crop_holds_the_whole_track() -> None:
    points = drawn_points() * 300 + 50
    track = points[None] + np.linspace(-20, 20, 5, dtype=np.float32)[:, None, None]
    crop = shot_crop(points, track)
    assert crop.to_unit(track).min() > 0.05 and crop.to_unit(track).max() < 0.95


def test_crop_beyond_the_picture_repeats_its_border() -> None:
    picture = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    cut = Crop(-2, -1, 8).cut(picture)
    assert cut.shape == (8, 8, 3)
    assert (cut[1:6, 2:6] == picture).all()
    assert (cut[0, 0] == picture[0, 0]).all() and (cut[-1, -1] == picture[-1, -1]).all()


def test_warp_to_the_same_landmarks_changes_nothing() -> None:
    picture = drawn_face(drawn_points(), 128)
    warp = landmark_warp(drawn_points(), drawn_points())
    assert np.abs(warp.field).max() < 1e-6 and warp.kept == 1
    assert (apply_field(picture, warp.field) == picture).all()


def test_warp_takes_landmarks_where_they_belong() -> None:
    start, goal = drawn_points(), drawn_points(opening=0.05) + np.float32(0.01)
    warp = landmark_warp(start, goal)
    nodes = node_centres(0, 0, GRID, GRID).reshape(-1, 2)
    nearest = np.linalg.norm(nodes[:, None] - goal[None], axis=-1).argmin(0)
    source = nodes[nearest] + warp.field.reshape(-1, 2)[nearest]
    errors = np.linalg.norm(source + goal - nodes[nearest] - start, axis=-1)
    assert np.median(errors) < 0.004 and errors.max() < 0.03  # the nearest node is up to .01 away, lips move .05


def test_warp_leaves_the_border_alone() -> None:
    field = landmark_warp(drawn_points(), drawn_points(opening=0.08)).field
    assert np.abs(field[[0, -1]]).max() < 0.004 and np.abs(field[:, [0, -1]]).max() < 0.004


def test_windows_of_the_warp_equal_the_whole() -> None:
    start, goal = drawn_points(), drawn_points(opening=0.03)
    whole, part = landmark_warp(start, goal), landmark_warp(start, goal, (16, 24, 32, 32))
    assert np.allclose(whole.field[18:46, 26:54], part.field[2:-2, 2:-2], atol=1e-4)


def test_impossible_landmarks_fade_instead_of_folding() -> None:
    start = drawn_points()
    goal = start.copy()
    goal[:, 0] = 0.5 + (goal[:, 0] - 0.5) * np.where(goal[:, 1] > 0.5, -1.2, 1.0)  # the lower half mirrored
    warp = landmark_warp(start, goal)
    assert warp.kept < 1
    assert (warp.determinant < 0).mean() < 0.05
    assert np.isfinite(warp.field).all()


def test_raster_shows_the_opening_of_the_mouth() -> None:
    shut, wide = landmark_raster(drawn_points(), 256), landmark_raster(drawn_points(opening=0.08), 256)
    assert shut.shape == (256, 256, 3) and shut.dtype == np.uint8
    assert (wide[..., 0] == 255).sum() > 2 * (shut[..., 0] == 255).sum() > 0
    assert landmark_raster(drawn_points(lids=0.2), 256)[..., 1].sum() < 0.6 * int(shut[..., 1].sum())


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_sampler_follows_the_straight_path(steps: int) -> None:
    clean, seen = np.full((3, 8, 8), 0.25, np.float32), []
    noise = shot_noise(3, 8)

    def denoise(noisy: np.ndarray, time: float) -> np.ndarray:
        assert np.allclose(noisy, (1 - time) * clean + time * noise, atol=1e-5)
        seen.append(time)
        return clean

    assert np.allclose(sample(denoise, noise, steps), clean)
    assert seen == pytest.approx(step_times(steps))


def test_noise_depends_on_the_seed_alone() -> None:
    assert (shot_noise(5, 16) == shot_noise(5, 16)).all()
    assert not (shot_noise(5, 16) == shot_noise(6, 16)).all()


def test_steps_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        step_times(0)


@pytest.mark.parametrize("size", [(90, 130), (257, 201), (600, 500)])
def test_paste_of_an_unchanged_crop_is_the_portrait(size: tuple[int, int]) -> None:
    portrait = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    crop = Crop(-10, 20, min(size))
    whole = crop.cut(portrait)
    paste = Paste(portrait, crop, whole)
    small = to_signed(resized(whole, 64))
    frame = paste(np.zeros((GRID, GRID, 2), np.float32), small, small)
    assert frame.shape == portrait.shape
    assert np.abs(frame.astype(int) - portrait).max() <= 1


def test_paste_changes_nothing_outside_the_crop() -> None:
    portrait = np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    crop = Crop(100, 40, 100)
    paste = Paste(portrait, crop, crop.cut(portrait))
    black = np.full((3, 64, 64), -1, np.float32)
    frame = paste(np.zeros((GRID, GRID, 2), np.float32), to_signed(resized(crop.cut(portrait), 64)), black)
    outside = np.ones((200, 300), bool)
    outside[40:140, 100:200] = False
    assert (frame[outside] == portrait[outside]).all()
    assert frame[80:100, 140:160].mean() < 20


def test_colours_survive_the_way_there_and_back() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert (to_picture(to_signed(picture)) == picture).all()


def test_parted_lips_get_a_dark_interior_and_shut_ones_nothing() -> None:
    portrait = drawn_face(drawn_points(), 256)
    picture = to_signed(portrait)
    mouth = MouthInterior(portrait, drawn_points(), 1.0)
    assert mouth(picture, drawn_points()) is picture
    parted = drawn_points(opening=0.06)
    drawn = mouth(picture, parted)
    inner = parted[list(REGIONS["lips_inner"])] * 256
    x, low, high = int(inner[:, 0].mean()), inner[:, 1].min(), inner[:, 1].max()
    assert mouth.light.min() > 150  # the whites of the drawn eyes are 250
    rows = to_picture(drawn)[int(low) + 1 : int(high), x].mean(-1)
    assert rows.min() < 0.5 * mouth.light.mean()
    outside = np.ones((256, 256), bool)
    outside[int(low) - 6 : int(high) + 7, int(inner[:, 0].min()) - 6 : int(inner[:, 0].max()) + 7] = False
    assert (to_picture(drawn)[outside] == portrait[outside]).all()


def test_upper_teeth_hang_on_the_skull_and_lower_ones_on_the_jaw() -> None:
    portrait = drawn_face(drawn_points(), 256)
    mouth = MouthInterior(portrait, drawn_points(), 1.0)
    edges = []
    for opening in (0.10, 0.16):
        points = drawn_points(opening=opening)
        points[CHIN, 1] += opening
        points[list(REGIONS["lips_inner"]), 1] += opening / 2  # the upper lip stays, the lower one goes down
        picture = to_picture(mouth(to_signed(portrait), points))
        inner = points[list(REGIONS["lips_inner"])] * 256
        column = picture[int(inner[:, 1].min()) : int(inner[:, 1].max()), int(inner[:, 0].mean()) + 4].mean(-1)
        first = int(np.argmax(column > 0.4 * mouth.light.mean()))
        biting = first + int(np.argmax(column[first:] < 0.3 * mouth.light.mean()))
        assert biting > first > 0
        edges.append((int(inner[:, 1].min()) + biting, int(inner[:, 1].min()) + int(np.flatnonzero(column < 0.3 * mouth.light.mean())[-1])))
    assert abs(edges[0][0] - edges[1][0]) <= 1
    assert edges[1][1] > edges[0][1] + 6


def test_a_lip_that_rises_over_the_teeth_bares_them_in_a_narrow_gap() -> None:
    portrait = drawn_face(drawn_points(), 256)
    mouth = MouthInterior(portrait, drawn_points(), 1.0)
    low, raised = drawn_points(opening=0.02), drawn_points(opening=0.02)
    lips = list(REGIONS["lips_inner"]) + list(REGIONS["lips_outer"])
    low[lips, 1] += 0.0175  # the upper lip stays, the lower one sinks
    raised[lips, 1] -= 0.0175  # the other way round
    shy, broad = (mouth.patch(points, 256) for points in (low, raised))
    assert broad.weight.max() > 2 * shy.weight.max()
    inner = raised[list(REGIONS["lips_inner"])] * 256
    row, column = int(inner[:, 1].mean()) - broad.window[0].start, int(inner[:, 0].mean()) + 4 - broad.window[1].start
    assert (broad.colour[:, row, column] + 1).mean() * 127.5 > 0.5 * mouth.light.mean()  # enamel, not dark


def test_rows_of_teeth_are_even_and_their_edges_face_each_other() -> None:
    upper, lower = teeth.row(True), teeth.row(False)
    for drawing in (upper, lower):
        assert np.abs(drawing - drawing[:, ::-1]).max() < 1e-4 and 0 <= drawing.min() and drawing.max() <= 1
    assert upper[-1, :, 3].max() < 0.05 and lower[0, :, 3].max() < 0.05
    assert upper[:, :, 3].sum() > lower[:, :, 3].sum() * 0.8


def test_a_portrait_with_an_open_mouth_keeps_its_own() -> None:
    parted = drawn_points(opening=0.06)
    portrait = drawn_face(parted, 256)
    picture = to_signed(portrait)
    assert MouthInterior(portrait, parted, 1.0)(picture, parted) is picture
    assert MouthInterior(portrait, drawn_points(), 0.0)(picture, parted) is picture


def test_the_gates_open_on_the_face_alone() -> None:
    paint, flow = face_gates(drawn_points())
    inside = np.rint(drawn_points()[list(REGIONS["lips_outer"])] * 64).astype(int)
    for gate in (paint, flow):
        assert gate[inside[:, 1], inside[:, 0]].min() > 0.99
        assert max(gate[0].max(), gate[:, :5].max(), gate[:, -5:].max()) < 0.01
    assert (flow <= paint).all() and flow.sum() < 0.9 * paint.sum()
    oval = drawn_points()[list(REGIONS["face_oval"])]
    grown = np.rint((oval + 0.06 * (oval - oval.mean(0)) / np.linalg.norm(oval - oval.mean(0), axis=1, keepdims=True)) * 64).astype(int)
    assert flow[grown[:, 1], grown[:, 0]].max() < 0.2
    beside = paint[grown[:, 1], grown[:, 0]]
    high, low = oval[:, 1] < 0.55, oval[:, 1] > 0.65  # the chin is at .83, the forehead at .21
    assert beside[high].min() > 0.4 and beside[low].max() < 0.2


@pytest.mark.parametrize("degrees", [30.0, -50.0])
def test_the_gates_tilt_with_the_head(degrees: float) -> None:
    points, angle = drawn_points(), np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    tilted = face_gates(((points - 0.5) @ turn.T + 0.5).astype(np.float32))
    matrix = cv2.getRotationMatrix2D((31.5, 31.5), -degrees, 1)
    for gate, expected in zip(tilted, face_gates(points), strict=True):
        assert np.abs(gate - cv2.warpAffine(expected, matrix, (64, 64))).mean() < 0.03
