# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the small renderer: pairs, losses, a run of seconds from pictures to rendered frames."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from drawn_faces import drawn_face, drawn_points

pytestmark = pytest.mark.unit
torch = pytest.importorskip("torch")

from backend.synthesis.small.model_card import read_card  # noqa: E402
from backend.synthesis.small.network import SmallNetwork  # noqa: E402
from backend.synthesis.small.render import render_frames  # noqa: E402
from backend.synthesis.small.runtime import TorchRuntime  # noqa: E402
from backend.synthesis.small.weights import load_network, save_network  # noqa: E402
from backend.training.small.augment import place_picture, place_points, random_look, random_placing  # noqa: E402
from backend.training.small.average import average_weights  # noqa: E402
from backend.training.small.cache import FaceClip, cache_prepared, held_out, load_clips  # noqa: E402
from backend.training.small.config import LossWeights, fine_tuning, tiny_config  # noqa: E402
from backend.training.small.drawn import batches, drawn_batch, first_rows  # noqa: E402
from backend.training.small.export import export_run  # noqa: E402
from backend.training.small.loop import Trainer  # noqa: E402
from backend.training.small.losses import evened, predict, stack_pairs, warp_portrait  # noqa: E402
from backend.training.small.on_device import DeviceFaces  # noqa: E402
from backend.training.small.pack import load_pack, pack_cache  # noqa: E402
from backend.training.small.pairs import PairSampler, build_pair, person_shares, row_likelihoods  # noqa: E402
from bridge.faults import Fault  # noqa: E402


def drawn_clip(name: str, validation: bool = False, frames: int = 6) -> FaceClip:
    points = np.stack([drawn_points(opening=0.02 * row, lids=1 - 0.15 * row) for row in range(frames)])
    pictures = np.stack([drawn_face(rows, 256) for rows in points])
    return FaceClip(name, "drawn", name, pictures, points, np.zeros((frames, 18), np.float32), True, validation)


@pytest.fixture
def clips() -> list[FaceClip]:
    return [drawn_clip("one"), drawn_clip("two"), drawn_clip("three", validation=True)]


def test_a_run_trains_resumes_exports_and_renders(clips: list[FaceClip], tmp_path: Path) -> None:
    config = replace(tiny_config(), minutes=0.03)
    lines: list[str] = []
    first = Trainer(config, clips, tmp_path / "run", report=lines.append)
    result = first.run()
    assert np.isfinite(result["drawn"]["mouth_gain"]) and first.steps > 1
    again = Trainer(replace(config, minutes=0.05), clips, tmp_path / "run", report=lines.append)
    assert again.steps == first.steps and torch.equal(again.network.trunk.stem.weight, first.network.trunk.stem.weight)
    again.run()
    assert again.steps > first.steps
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all({"colour", "edges", "flow", "mask"} <= entry.keys() for entry in logged if "loss" in entry)
    card = export_run(again, clips, tmp_path / "small.safetensors")
    assert card["trained"] and card["data"] == {"drawn": {"training": 2, "validation": 1}}
    portrait, points = drawn_face(drawn_points(), 96), drawn_points() * 96
    frames = list(render_frames(portrait, points, points[None], None, runtime=TorchRuntime(tmp_path / "small.safetensors")))
    assert frames[0].shape == portrait.shape


def test_learning_lowers_the_loss(clips: list[FaceClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(tiny_config(), minutes=100, learning_rate=3e-3, losses=LossWeights(square=3.0, even=0.6))
    trainer = Trainer(config, clips[:1], tmp_path, report=lambda _: None)
    examples = trainer._examples(64, 2, rollout=False)
    monkeypatch.setattr(trainer, "_examples", lambda window, count, rollout: examples)
    losses = [sum(trainer.step().values()) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:3])


def test_pairs_that_hardly_move_count_as_much_as_those_that_do(clips: list[FaceClip]) -> None:
    batch = stack_pairs([PairSampler(clips, tiny_config(), seed).pair(64) for seed in range(2)])
    batch.importance.fill_(1.0)
    first = batch.target + torch.tensor([0.01, 0.16])[:, None, None, None]
    even = evened(first, batch, 0.5).flatten()
    assert float(even[0] / even[1]) == pytest.approx(4, rel=1e-3) and torch.all(evened(first, batch, 0.0) == 1)


def test_flow_is_held_still_on_data_sets_of_few_people_alone(
    clips: list[FaceClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(clips[0], name="few", person="few", dataset="few")
    config = replace(tiny_config(), minutes=100, learning_rate=1e-3, held=("few",), losses=LossWeights(held_flow=5.0))
    flows = []
    for clip in (few, clips[0]):
        trainer = Trainer(config, [clip], tmp_path / clip.dataset, report=lambda _: None)
        torch.nn.init.normal_(trainer.network.trunk.heads.weight, 0, 0.05)
        examples = trainer._examples(64, 2, rollout=False)
        assert examples[0].held.tolist() == [float(clip is few)] * 2
        monkeypatch.setattr(trainer, "_examples", lambda window, count, rollout, examples=examples: examples)
        terms = [trainer.step() for _ in range(60)]
        assert (float(terms[0]["held flow"]) > 0) == (clip is few)
        made = predict(trainer.network, *examples, torch.zeros(2, 3, 64, 64), torch.ones(2))
        assert torch.equal(made.warped, made.first) == (clip is few)
        flows.append(float(made.flow.detach().abs().mean()))
    assert flows[0] < 0.3 * flows[1], flows


def test_nothing_is_painted_beside_the_faces_of_data_sets_of_few_people(
    clips: list[FaceClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(clips[0], name="few", person="few", dataset="few")
    config = replace(tiny_config(), minutes=100, learning_rate=5e-3, held=("few",), losses=LossWeights(held_paint=30.0))
    painted = []
    for clip in (few, clips[0]):
        trainer = Trainer(config, [clip], tmp_path / clip.dataset, report=lambda _: None)
        torch.nn.init.normal_(trainer.network.denoiser.head.weight, 0, 0.05)
        examples = trainer._examples(256, 2, rollout=False)
        monkeypatch.setattr(trainer, "_examples", lambda window, count, rollout, examples=examples: examples)
        terms = [trainer.step() for _ in range(40)]
        assert (float(terms[0]["held paint"]) > 0) == (clip is few)
        made = predict(trainer.network, *examples, torch.zeros(2, 3, 256, 256), torch.ones(2))
        beside, face = examples[0].beside[:, 0] == 1, examples[0].beside[:, 0] < 0.01
        assert 0.05 < float(face.float().mean()) < 0.6 and 0.1 < float(beside.float().mean()) < 0.9
        shown = (made.picture - made.warped).detach().abs().mean(1)
        assert (float(shown[beside].max()) == 0) == (clip is few) and float(shown[face].max()) > 0
        painted.append(float(made.paint.detach().abs().mean(1)[beside].mean()))
    assert painted[0] < 0.5 * painted[1], painted


def test_flow_is_shown_on_the_face_alone(clips: list[FaceClip], tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(), clips, tmp_path, report=lambda _: None)
    torch.nn.init.normal_(trainer.network.trunk.heads.weight, 0, 0.3)
    batch, previous = trainer._examples(256, 2, rollout=False)
    made = predict(trainer.network, batch, previous, torch.zeros(2, 3, 256, 256), torch.ones(2))
    moved = (made.warped - made.first).detach().abs().amax(1)
    # A pixel takes its flow from the nodes round it: what lies further than that beside the face stays where the spline puts it.
    beside = -torch.nn.functional.max_pool2d(-batch.beside, 17, 1, 8)[:, 0] == 1
    assert 0.05 < float(beside.float().mean()) and float(moved[beside].max()) == 0
    assert float(moved[batch.beside[:, 0] < 0.01].mean()) > 0.01 and float(made.flow.detach().abs()[:, :, 0].min()) > 0


def test_the_warp_of_training_is_the_warp_of_rendering(clips: list[FaceClip]) -> None:
    from backend.synthesis.small.conditions import to_picture
    from backend.synthesis.small.warp import apply_field

    pair = PairSampler(clips, tiny_config(), 0).pair(256)
    batch = stack_pairs([pair])
    torch_warp = to_picture(warp_portrait(batch.portrait, batch.field, batch.base)[0].numpy())
    rendered = apply_field(to_picture(pair.portrait), pair.field.transpose(1, 2, 0))
    # OpenCV rounds places to 1/32 pixel.
    assert np.abs(torch_warp.astype(int) - rendered).mean() < 0.5


def test_windows_agree_with_whole_pictures(clips: list[FaceClip]) -> None:
    pair = PairSampler(clips, tiny_config(), 0).pair(64)
    left, top, width, height = pair.window
    assert (width, height) == (64, 64) and left % 8 == 0 and top % 8 == 0
    assert (pair.portrait_window == pair.portrait[:, top : top + 64, left : left + 64]).all()
    assert pair.field.shape == (2, 16, 16) and pair.target.shape == (3, 64, 64) and pair.importance.shape == (1, 64, 64)


def test_missing_previous_frames_are_told_to_the_network(clips: list[FaceClip]) -> None:
    trainer_network = __import__("backend.synthesis.small.network", fromlist=["SmallNetwork"]).SmallNetwork(tiny_config().network)
    batch = stack_pairs([PairSampler(clips, tiny_config(), 0).pair(64)])
    seen = []
    trainer_network.trunk.register_forward_pre_hook(lambda module, given: seen.append(given[0][:, 12]))
    for previous in (torch.zeros_like(batch.target), batch.target):
        predict(trainer_network, batch, previous, torch.randn_like(batch.target), torch.ones(1))
    assert not seen[0].any() and bool((seen[1] == 1).all())


def test_mirroring_keeps_left_and_right() -> None:
    points = drawn_points()
    draw = np.random.default_rng(0)
    while True:
        placing = random_placing(draw, 256)
        if placing.mirrored:
            break
    moved = place_points(points, placing, 256)
    from bridge.landmarks import REGIONS

    assert moved[list(REGIONS["eye_left"]), 0].mean() > moved[list(REGIONS["eye_right"]), 0].mean()


def test_looks_keep_pictures_valid() -> None:
    picture = drawn_face(drawn_points(), 64)
    for seed in range(10):
        changed = random_look(np.random.default_rng(seed)).apply(picture, (0, 0, 64, 64), 64)
        assert changed.shape == picture.shape and changed.dtype == np.uint8


def test_data_sets_keep_their_shares_and_people_count_evenly() -> None:
    shares = person_shares(["actors", "actors", "grid"], {"grid": 0.2, "actors": 0.3, "absent": 0.5})
    assert shares.tolist() == pytest.approx([0.3, 0.3, 0.4])


def test_open_mouths_are_drawn_more_often() -> None:
    points = np.stack([drawn_points()] * 9 + [drawn_points(opening=0.1)])
    _, as_target = row_likelihoods(points)
    assert as_target[-1] > 2 * as_target[0]


def test_prepared_pictures_are_cropped_and_cached(tmp_path: Path) -> None:
    points = np.stack([drawn_points(opening=0.02 * row) * 120 + 20 for row in range(4)])
    pictures = np.zeros((4, 160, 180, 3), np.uint8)
    prepared = tmp_path / "someone.npz"
    aus = np.zeros((4, 18), np.float32)
    np.savez(prepared, landmarks=points, images=pictures, aus=aus, validation=np.array(True), segments=np.array([[0, 2], [2, 4]]))
    made = cache_prepared(prepared, "drawn", tmp_path / "cache")
    assert len(made) == 2 and cache_prepared(prepared, "drawn", tmp_path / "cache") == []
    clips = load_clips(tmp_path / "cache")
    assert [clip.validation for clip in clips] == [True, True]
    assert clips[0].frames.shape == (2, 256, 256, 3) and 0 < clips[0].points.min() and clips[0].points.max() < 1


def test_the_split_follows_the_checksum_of_the_name() -> None:
    import hashlib

    for stem in ("bbaf2n", "swwp2s", "lgbe9a", "pwij3p"):
        assert held_out(stem) == (int(hashlib.sha256(stem.encode()).hexdigest(), 16) % 10 == 1)


def test_a_run_goes_on_from_stored_weights(clips: list[FaceClip], tmp_path: Path) -> None:
    first = Trainer(tiny_config(), clips, tmp_path / "first", report=lambda _: None)
    first.step()
    export_run(first, clips, tmp_path / "first.safetensors")
    config = fine_tuning(tiny_config())
    again = Trainer(config, clips, tmp_path / "again", report=lambda _: None, start=load_network(tmp_path / "first.safetensors"))
    assert torch.allclose(again.average.trunk.stem.weight, first.average.trunk.stem.weight, atol=1e-3)
    assert config.learning_rate < tiny_config().learning_rate
    again.step()
    card = export_run(again, clips, tmp_path / "again.safetensors", tmp_path / "first.safetensors")
    assert card["started_from"]["sha256"] == read_card(tmp_path / "first.safetensors")["sha256"]


def test_stored_weights_are_averaged(tmp_path: Path) -> None:
    for name, value in (("one", 1.0), ("two", 3.0)):
        network = SmallNetwork(tiny_config().network)
        with torch.no_grad():
            network.trunk.stem.weight.fill_(value)
        save_network(network, tmp_path / f"{name}.safetensors", {"name": name, "figures": {"groups": {}}})
    sources = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    average_weights(sources, tmp_path / "mean.safetensors")
    assert torch.all(load_network(tmp_path / "mean.safetensors").trunk.stem.weight == 2)
    card = read_card(tmp_path / "mean.safetensors")
    assert [each["sha256"] for each in card["averaged"]] == [read_card(source)["sha256"] for source in sources]
    assert "figures" not in card
    save_network(SmallNetwork(replace(tiny_config().network, embedding=24)), tmp_path / "other.safetensors", {"name": "other"})
    for wrong, target in ((sources[:1], tmp_path / "x"), (sources, None), ([sources[0], tmp_path / "other.safetensors"], tmp_path / "x")):
        with pytest.raises(Fault):
            average_weights(wrong, target)


def test_landmarks_stay_on_what_they_mark_when_faces_are_bent() -> None:
    places = np.array([[0.3, 0.4], [0.7, 0.35], [0.5, 0.7]], np.float32)
    picture = np.zeros((256, 256, 3), np.uint8)
    rows, columns = np.mgrid[0:256, 0:256] + 0.5
    for x, y in places * 256:
        picture[np.hypot(columns - x, rows - y) < 5] = 255
    for seed in range(6):
        placing = replace(random_placing(np.random.default_rng(seed), 256), mirrored=False)
        seen = place_picture(picture, placing, (0, 0, 256, 256))[..., 0] > 127
        for x, y in place_points(places, placing, 256) * 256:
            if not (12 < x < 244 and 12 < y < 244):
                continue
            near = seen & (np.hypot(columns - x, rows - y) < 9)
            assert np.hypot(columns[near].mean() - x, rows[near].mean() - y) < 0.5


def test_pairs_made_on_the_device_are_those_of_the_processor(clips: list[FaceClip]) -> None:
    config = replace(tiny_config(), no_previous=0.3)
    recipes = [PairSampler(clips[:2], config, seed).recipe(64) for seed in range(16)]
    looks = [recipe.view.look for recipe in recipes]
    assert any(recipe.has_previous for recipe in recipes) and any(look.blur for look in looks) and any(look.shade.any() for look in looks)
    made = DeviceFaces(clips[:2], "cpu").batch(drawn_batch(recipes, first_rows(clips[:2]), config.losses))
    wanted = stack_pairs([build_pair(r.clip, r.start, r.goal, config, r.view, r.with_previous) for r in recipes])
    # Both sum large weights of both signs in single precision: a tenth of a pixel is 4e-4.
    near = {"raster": 1e-6, "field": 4e-4, "geometry": 5e-2, "aus": 0, "importance": 5e-3, "beside": 5e-3, "held": 0, "base": 1e-6}
    for name, most in near.items():
        assert (getattr(made, name) - getattr(wanted, name)).abs().max() <= most, name
    assert (made.field - wanted.field).abs().mean() < 3e-5
    # OpenCV rounds places to 1/32 pixel and colours to whole grey levels after each step.
    for name in ("portrait", "portrait_window", "target", "previous"):
        assert (getattr(made, name) - getattr(wanted, name)).abs().mean() < 1.5 / 127.5, name


def test_a_run_keeps_its_data_on_the_device(clips: list[FaceClip], tmp_path: Path) -> None:
    trainer = Trainer(replace(tiny_config(), keep_at=(0.5,)), clips, tmp_path, report=lambda _: None, workers=0)
    assert trainer.faces is None
    trainer.faces = DeviceFaces(clips[:2], "cpu")
    assert np.isfinite(float(sum(trainer.step().values())))
    trainer.run()
    assert load_network(tmp_path / "at-50.safetensors").config == trainer.config.network


def test_other_processes_draw_what_this_one_would(clips: list[FaceClip]) -> None:
    for workers in (0, 1):
        drawn = next(batches(clips[:2], tiny_config(), 64, 3, 5, workers, False))
        assert drawn.raster.shape == (3, 3, 64, 64) and drawn.window == 64 and int(drawn.rows.max()) < 12
    again = next(batches(clips[:2], tiny_config(), 64, 3, 5, 1, False))
    assert torch.equal(again.rows, drawn.rows) and torch.equal(again.points.goals, drawn.points.goals)


def test_a_pack_holds_what_may_be_trained_on(clips: list[FaceClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.training.small.perceptual.imagenet_state", lambda: {"features.0.0.weight": torch.ones(1)})
    counts = pack_cache(clips, tmp_path)
    assert counts["clips"] == 2 and counts["pictures"] == 12
    again = load_pack(tmp_path)
    assert [clip.name for clip in again] == ["one", "two"] and np.abs(again[0].points - clips[0].points).max() < 1e-4
    assert np.abs(again[0].frames.astype(int) - clips[0].frames).mean() < 3
    (tmp_path / "two.mp4").write_bytes((tmp_path / "two.mp4").read_bytes()[:900])
    with pytest.raises(Fault, match="not whole"):
        load_pack(tmp_path)
    with pytest.raises(Fault, match="no packed clip"):
        load_pack(tmp_path / "nowhere")
