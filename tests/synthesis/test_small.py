# SPDX-License-Identifier: GPL-3.0-or-later
"""The network, its runtimes, its stored form, and frames from it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from drawn_faces import drawn_face, drawn_points

from bridge.faults import Fault

pytestmark = pytest.mark.unit
torch = pytest.importorskip("torch")

from backend.synthesis.small.conditions import Conditions, to_picture  # noqa: E402
from backend.synthesis.small.gates import face_gates  # noqa: E402
from backend.synthesis.small.network import NetworkConfig, SmallNetwork  # noqa: E402
from backend.synthesis.small.render import CropRenderer, render_frames, warp_only_frames  # noqa: E402
from backend.synthesis.small.runtime import OnnxRuntime, TorchRuntime  # noqa: E402
from backend.synthesis.small.warp import landmark_warp  # noqa: E402
from backend.synthesis.small.weights import WEIGHTS, load_network, save_network  # noqa: E402

TINY = NetworkConfig(widths=(8, 12, 16), embedding=16)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny network with weights that do something, stored; caches go to the test's folder."""
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    torch.manual_seed(0)
    network = SmallNetwork(TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    save_network(network, tmp_path / "small.safetensors", {"name": "test"})
    return tmp_path / "small.safetensors"


def conditions(side: int) -> Conditions:
    draw = np.random.default_rng(0)
    shapes = ((13, side, side), (3, side // 4, side // 4), (19,))
    return Conditions(*(draw.uniform(-1, 1, shape).astype(np.float32) for shape in shapes))


def test_onnx_and_torch_agree(weights: Path) -> None:
    given = conditions(64)
    results = []
    for runtime in (OnnxRuntime(weights, threads=1, side=64), TorchRuntime(weights)):
        fine, coarse, flow, mask = runtime.trunk(given)
        picture = runtime.denoise(given.images[:3], 0.5, given.images[3:6], mask, fine, coarse)
        results.append([np.asarray(values) for values in (fine, coarse, flow, mask, picture)])
    assert results[0][4].std() > 0.01
    for first, second in zip(*results, strict=True):
        assert np.abs(first - second).max() < 1e-3


def test_untrained_network_shows_the_warp() -> None:
    network = SmallNetwork(TINY).eval()
    given = [torch.from_numpy(array)[None] for array in (conditions(64).images, conditions(64).geometry, conditions(64).aus)]
    with torch.no_grad():
        fine, coarse, flow, mask = network.trunk(*given)
        warped = given[0][:, :3]
        picture = network.denoiser(torch.randn_like(warped), warped, mask, fine, coarse, torch.ones(1))
    assert torch.equal(picture, warped) and not flow.any()


def test_default_network_is_small_enough() -> None:
    count = sum(parameter.numel() for parameter in SmallNetwork().parameters())
    assert count * 2 <= 28 * 2**20


def test_stored_weights_come_back(weights: Path) -> None:
    network = load_network(weights)
    assert network.config == TINY
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["parameters"] == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("damage", ["weights gone", "card gone", "another byte", "card damaged"])
def test_damaged_weights_are_refused(weights: Path, damage: str) -> None:
    card = weights.with_suffix(".json")
    if damage == "weights gone":
        weights.unlink()
    elif damage == "card gone":
        card.unlink()
    elif damage == "card damaged":
        card.write_text("[")
    else:
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    with pytest.raises(Fault) as caught:
        load_network(weights)
    assert caught.value.code in ("weights-missing", "weights-mismatch") and caught.value.hint


def test_shipped_weights_match_their_card() -> None:
    network = load_network(WEIGHTS)
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    assert WEIGHTS.stat().st_size <= 28 * 2**20


def shot(frames: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    size = np.array([320, 240], np.float32)
    points = drawn_points() * 200 + [60, 20]
    track = np.stack([drawn_points(opening=0.05 * row / frames) * 200 + [60, 20] for row in range(frames)]).astype(np.float32)
    portrait = np.zeros((int(size[1]), int(size[0]), 3), np.uint8)
    portrait[20:220, 60:260] = drawn_face(drawn_points(), 200)
    return portrait, points.astype(np.float32), track, np.zeros((frames, 18), np.float32)


def test_frames_stream_at_the_portraits_size(weights: Path) -> None:
    portrait, points, track, aus = shot()
    frames = render_frames(portrait, points, track, aus, steps=1, runtime=TorchRuntime(weights))
    first = next(frames)
    assert first.shape == portrait.shape and first.dtype == np.uint8
    assert sum(1 for _ in frames) == 3


def test_a_range_equals_the_same_frames_of_the_whole(weights: Path) -> None:
    portrait, points, track, aus = shot(8)
    runtime = TorchRuntime(weights)
    whole = list(render_frames(portrait, points, track, aus, steps=1, runtime=runtime))
    part = list(render_frames(portrait, points, track, aus, steps=1, runtime=runtime, first_frame=6, frame_count=2))
    assert len(part) == 2
    error = np.square(np.float64(whole[6]) - part[0]).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > 40


def test_frames_made_side_by_side_are_the_frames_made_one_by_one(weights: Path) -> None:
    portrait, points, track, aus = shot(5)
    films = [list(render_frames(portrait, points, track, aus, runtime=OnnxRuntime(weights, threads=threads))) for threads in (1, 3)]
    assert len(films[0]) == 5 and all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(*films, strict=True))


def test_same_seed_same_frames_and_corners_stand_still(weights: Path) -> None:
    portrait, points, track, aus = shot()
    runs = [list(render_frames(portrait, points, track, aus, seed=3, runtime=TorchRuntime(weights))) for _ in range(2)]
    assert all((first == second).all() for first, second in zip(*runs, strict=True))
    assert all((frame[:8, :8] == portrait[:8, :8]).all() for frame in runs[0])


def test_warp_alone_moves_the_lips() -> None:
    portrait, points, track, _ = shot()
    frames = list(warp_only_frames(portrait, points, track))
    assert np.abs(frames[-1].astype(int) - frames[0]).max() > 20


def test_a_portrait_driven_by_itself_is_not_warped(weights: Path) -> None:
    network = load_network(weights)
    with torch.no_grad():
        network.trunk.heads.bias[:2] = 2.0  # a network that is sure of a flow everywhere
    save_network(network, weights, {"name": "test"})
    points = drawn_points()
    face = drawn_face(points, 256)
    renderer = CropRenderer(face, points, runtime=TorchRuntime(weights), steps=1)
    assert np.abs(renderer.mistake).mean() > 0.01
    still, spoken = renderer.frame(points, None), renderer.frame(drawn_points(opening=0.08), None)
    assert np.abs(still.field).max() < 1e-4
    assert np.abs(to_picture(still.warped).astype(int) - face).max() <= 1
    assert np.abs(spoken.field).max() > 0.01


def test_the_network_moves_and_paints_on_the_face_alone(weights: Path) -> None:
    network = load_network(weights)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for head in (network.trunk.heads, network.denoiser.head):
            head.weight.normal_(0, 0.3, generator=draw)
    save_network(network, weights, {"name": "test"})
    points, goal = drawn_points(), drawn_points(opening=0.08)
    renderer = CropRenderer(drawn_face(points, 256), points, runtime=TorchRuntime(weights), steps=1)
    frame = renderer.frame(goal, None)
    may_paint, may_move = face_gates(goal)
    moved = np.abs(frame.field - landmark_warp(points, goal, led=True).field).max(-1)
    assert moved[may_move == 0].max() == 0 < 1e-3 < moved[may_move > 0.9].mean()
    painted = np.abs(frame.painted - frame.warped).max(0)
    assert painted[cv2.resize(may_paint, (256, 256)) == 0].max() == 0 < 0.01 < painted[cv2.resize(may_paint, (256, 256)) > 0.9].mean()
