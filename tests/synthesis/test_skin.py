# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin between the landmarks: what the map tells, how it bends the spline, and its fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
torch = pytest.importorskip("torch")
from drawn_faces import drawn_points  # noqa: E402

from backend.synthesis.small.device_skin import skin_corrections  # noqa: E402
from backend.synthesis.small.skin import SKIN_FILE, SKIN_INDICES, SkinMap, skin_correction, skin_map, skin_pairs  # noqa: E402
from backend.synthesis.small.warp import GRID, landmark_warp  # noqa: E402
from backend.training.small.skin import fitted, mean_shape, mirrored, write_map  # noqa: E402
from bridge.faults import Fault  # noqa: E402
from bridge.landmarks import MEDIAPIPE_INDICES, MIRROR, REGIONS  # noqa: E402

pytestmark = pytest.mark.unit


def still(places: np.ndarray) -> np.ndarray:
    """A spline that moves nothing."""
    return np.zeros_like(places)


def test_skin_lies_in_the_face_and_goes_with_it() -> None:
    points = drawn_points()
    told = skin_map()(points)
    oval = points[list(REGIONS["face_oval"])]
    assert told.shape == (len(SKIN_INDICES), 2) and (told > oval.min(0) - 0.1).all() and (told < oval.max(0) + 0.1).all()
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]]) * 1.3
    moved = skin_map()((points @ turn + 0.2).astype(np.float32))
    assert np.abs(moved - (told @ turn + 0.2)).max() < 1e-4


def test_a_face_at_rest_is_left_alone() -> None:
    points = drawn_points()
    assert np.abs(skin_correction(points, points, still, GRID)).max() < 1e-6
    assert np.abs(landmark_warp(points, points, led=True).field).max() < 1e-4


def test_the_warp_follows_the_skin_and_leaves_landmarks_to_the_spline(monkeypatch: pytest.MonkeyPatch) -> None:
    start, goal = drawn_points(), drawn_points(opening=0.06)
    told = landmark_warp(start, goal, led=True).field
    monkeypatch.setattr("backend.synthesis.small.warp.skin_correction", lambda *given: np.zeros((GRID, GRID, 2), np.float32))
    plain = landmark_warp(start, goal, led=True).field
    skin_start, skin_goal = skin_pairs(start, goal)

    def missed(field: np.ndarray) -> float:
        """Mean distance of the skin points from where the field sends them."""
        nodes = np.clip((skin_goal * GRID).astype(int), 0, GRID - 1)
        return float(np.linalg.norm(field[nodes[:, 1], nodes[:, 0]] - (skin_start - skin_goal), axis=-1).mean())

    assert missed(told) < 0.75 * missed(plain)
    landmarks = np.clip((goal * GRID).astype(int), 0, GRID - 1)
    changed = np.linalg.norm(told - plain, axis=-1)
    assert changed[landmarks[:, 1], landmarks[:, 0]].mean() < 0.5 * changed[changed > 1e-5].max()
    assert changed[:3].max() == 0  # nothing where there is no face


def test_a_window_is_corrected_as_the_whole() -> None:
    start, goal = drawn_points(), drawn_points(opening=0.06)
    whole, part = landmark_warp(start, goal, led=True).field, landmark_warp(start, goal, (24, 16, 32, 40), led=True).field
    assert np.abs(whole[26:54, 18:54] - part[2:-2, 2:-2]).max() < 1e-5


def test_places_beyond_the_crop_have_no_say() -> None:
    points = drawn_points()
    for beyond in (points + 3, points - 3, points * np.float32(0)):
        assert np.isfinite(skin_correction(points, beyond.astype(np.float32), still, GRID)).all()
    assert np.abs(skin_correction(points, points + np.float32(3), still, GRID)).max() == 0


def test_the_device_corrects_as_the_processor() -> None:
    faces = [(drawn_points(), drawn_points(opening=opening, lids=lids)) for opening, lids in ((0.0, 1.0), (0.08, 1.0), (0.02, 0.1))]
    wanted = np.stack([skin_correction(*face, lambda places: 0.1 * places, GRID) for face in faces])
    starts, goals = (torch.from_numpy(np.stack(points)) for points in zip(*(skin_pairs(*face) for face in faces), strict=True))
    landmarks = torch.from_numpy(np.stack([goal for _, goal in faces]))
    found = skin_corrections(starts, goals, landmarks, lambda places: 0.1 * places, GRID)
    assert np.abs(found.numpy() - wanted).max() < 1e-6


def made_up_meshes(count: int) -> np.ndarray:
    """Meshes (n, 478, 2) whose every point is a mixture of a few motions, at random places, sizes and turns."""
    draw = np.random.default_rng(0)
    shape, motions = draw.normal(size=(478, 2)), draw.normal(size=(6, 478, 2)) * 0.05
    meshes = []
    for _ in range(count):
        angle, size = draw.normal(0, 0.2), draw.uniform(0.5, 2)
        turn = size * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        meshes.append((shape + np.einsum("k,kpc->pc", draw.normal(size=6), motions)) @ turn + draw.normal(size=2))
    return np.stack(meshes)


def test_the_fit_finds_what_moves_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.training.small.skin.mirrored", lambda meshes, reference: meshes)  # made-up shapes have no halves
    meshes = made_up_meshes(400)
    card = write_map(fitted(meshes[:300]), tmp_path / "skin.safetensors", {"grid": 300})
    told = skin_map(tmp_path / "skin.safetensors")
    assert isinstance(told, SkinMap) and told.into.shape == (324, 48) and card["credits"][0].startswith("GRID")
    errors = []
    for mesh in meshes[300:]:
        skin = mesh[list(SKIN_INDICES)]
        ours = mesh[list(MEDIAPIPE_INDICES)].astype(np.float32)
        errors.append(np.abs(told(ours) - skin).mean() / np.std(skin))
    assert np.mean(errors) < 0.02


def test_mirrored_landmarks_keep_their_names() -> None:
    meshes = made_up_meshes(3)
    back = mirrored(meshes, mean_shape(meshes))
    ours = list(MEDIAPIPE_INDICES)
    assert np.allclose(back[:, ours], (meshes[:, ours] * [-1, 1])[:, list(MIRROR)])


def test_a_damaged_or_missing_map_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "skin.safetensors"
    with pytest.raises(Fault, match="missing"):
        skin_map(copy)
    copy.write_bytes(SKIN_FILE.read_bytes()[:-1] + b"\0\0")
    card = json.loads(SKIN_FILE.with_suffix(".json").read_text(encoding="utf-8"))
    copy.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(Fault) as caught:
        skin_map(copy)
    assert caught.value.code == "weights-mismatch"
    copy.with_suffix(".json").write_text("{", encoding="utf-8")
    with pytest.raises(Fault, match="damaged"):
        skin_map(copy)
