# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's face mesh in torch, and the training loss that asks it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytestmark = pytest.mark.unit
torch = pytest.importorskip("torch")
pytest.importorskip("tflite")

from test_training import drawn_clip  # noqa: E402

from backend.portrait.cache import load_portrait  # noqa: E402
from backend.portrait.landmarker import landmarker_model  # noqa: E402
from backend.synthesis.small.conditions import to_signed  # noqa: E402
from backend.synthesis.small.crop import resized, shot_crop  # noqa: E402
from backend.training.small.config import tiny_config  # noqa: E402
from backend.training.small.landmark_judge import LandmarkJudge, face_squares  # noqa: E402
from backend.training.small.loop import Trainer  # noqa: E402
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT  # noqa: E402

SAMPLE = next((Path(__file__).resolve().parents[2] / "backend" / "sample").glob("portrait.*"))


@pytest.fixture(scope="module")
def judge() -> LandmarkJudge:
    return LandmarkJudge(landmarker_model())


@pytest.fixture(scope="module")
def face() -> tuple[torch.Tensor, torch.Tensor]:
    """The sample's crop (1, 3, 256, 256) -1..1 and its landmarks (1, 162, 2)."""
    picture, found = load_portrait(SAMPLE)
    crop = shot_crop(found.landmarks, found.landmarks[None])
    signed, points = to_signed(resized(crop.cut(picture), 256)), crop.to_unit(found.landmarks)
    return torch.from_numpy(signed)[None], torch.from_numpy(points)[None]


def turned(picture: torch.Tensor, points: torch.Tensor, angle: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Both turned about the middle of the crop."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = torch.tensor([[[cosine, -sine, 0], [sine, cosine, 0]]]).float()
    grid = torch.nn.functional.affine_grid(turn, list(picture.shape), align_corners=False)
    seen = torch.nn.functional.grid_sample(picture, grid, padding_mode="border", align_corners=False)
    return seen, (points - 0.5) @ torch.tensor([[cosine, -sine], [sine, cosine]]).float() + 0.5


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_the_mesh_finds_the_landmarks_that_mediapipe_finds(
    judge: LandmarkJudge, face: tuple[torch.Tensor, torch.Tensor], angle: float
) -> None:
    picture, points = turned(*face, angle)
    grids, scale = face_squares(points)
    square = torch.nn.functional.grid_sample((picture + 1) / 2, grids, padding_mode="border", align_corners=False)
    found = judge.mesh(square)
    # Where the landmarks that are known lie in the square: its middle and axes come from them.
    eyes = points[:, EYE_OUTER_LEFT] - points[:, EYE_OUTER_RIGHT]
    direction = eyes / eyes.norm()
    across = torch.stack([direction[0], torch.stack([-direction[0, 1], direction[0, 0]])], 1)
    middle = (points.amin(1) + points.amax(1)) / 2
    expected = ((points - middle) @ across) / (eyes.norm() * scale) + 0.5
    apart = (found - expected).norm(dim=-1) * scale
    assert float(apart.mean()) < 0.02  # eye distances; MediaPipe cuts its square by its own first guess of the face
    assert float((found - expected.flip(1)).norm(dim=-1).mean()) > 0.1


def test_what_moves_is_seen_and_what_is_the_same_is_not(judge: LandmarkJudge, face: tuple[torch.Tensor, torch.Tensor]) -> None:
    picture, points = face
    same, shifted, further = judge([picture, picture.roll(2, 3), picture.roll(5, 3)], picture, points)
    distance = float((points[:, EYE_OUTER_LEFT] - points[:, EYE_OUTER_RIGHT]).norm()) * 256
    assert float(same) == 0
    assert float(shifted) == pytest.approx(2 / distance, rel=0.35) and float(further) == pytest.approx(5 / distance, rel=0.35)


def test_descending_moves_the_picture_towards_its_target(judge: LandmarkJudge, face: tuple[torch.Tensor, torch.Tensor]) -> None:
    picture, points = face
    flow = torch.zeros(1, 2, 1, 1, requires_grad=True)
    optimizer = torch.optim.Adam([flow], 0.004)
    plain = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], list(picture.shape), align_corners=False)
    values = []
    for _ in range(8):
        grid = plain + flow.permute(0, 2, 3, 1)
        seen = torch.nn.functional.grid_sample(picture.roll(4, 3), grid, padding_mode="border", align_corners=False)
        value = judge([seen], picture, points)[0]
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.5 * values[0] and float(flow.detach()[0, 0]) > 0


def test_a_run_judges_whole_pictures_only_and_in_its_turns(tmp_path: Path) -> None:
    config = replace(tiny_config(), minutes=100, judged_every=3, judged_batch=1)
    trainer = Trainer(config, [drawn_clip("one")], tmp_path, report=lambda _: None)
    names = [set(trainer.step()) for _ in range(4)]
    assert ["landmarks" in step for step in names] == [True, False, False, True] and trainer.images == 1 + 2 + 2 + 1
    assert {"landmarks", "landmark flow"} == names[0] - names[1]
