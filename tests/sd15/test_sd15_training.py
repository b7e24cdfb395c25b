# SPDX-License-Identifier: GPL-3.0-or-later
"""The two-step recipe on a tiny configuration: both steps train, a run goes on after a stop, and the result renders."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
import torch  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402

from backend.training.sd15 import command, networks  # noqa: E402
from backend.training.sd15.config import recipe, tiny_recipe  # noqa: E402
from backend.training.sd15.data import ExampleSampler, find_clips  # noqa: E402
from backend.training.sd15.loop import Trainer, snr_weights  # noqa: E402
from bridge.faults import Fault  # noqa: E402

pytestmark = pytest.mark.unit
FRAMES = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two prepared clips: pictures that change in time under landmarks that move, and one that is held out."""
    from backend.benchmark.synthesis import synthetic_shot

    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    for number in range(3):
        portrait, _, track = synthetic_shot(96, FRAMES)
        images = np.stack([np.roll(portrait, 3 * row + number, 1) for row in range(FRAMES)])
        fields: dict[str, Any] = {"images": images, "landmarks": track, "found": np.ones(FRAMES, bool)}
        np.savez(folder / "clips" / f"{number}.npz", consecutive=True, validation=number == 2, **fields)
    return folder


@pytest.fixture(autouse=True)
def forget_precision() -> Iterator[None]:
    """accelerate allows one precision a process; here every test is a run of its own."""
    yield
    forget()


def forget() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)


def tiny_models() -> Any:
    from backend.synthesis.sd15.tiny import tiny_models as make

    return make(family="echomimic")


def trainer(step: int, data: Path, work: Path, models: Any = None, **changes: Any) -> Trainer:
    """A trainer of the tiny recipe."""
    from dataclasses import replace

    config = replace(tiny_recipe(step), **changes)
    sampler = ExampleSampler(find_clips(data), "echomimic", 64, config.frames, config.strides)
    return Trainer(config, models or tiny_models(), sampler, work, report=lambda _: None)


def arguments(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(list(map(str, words)))


def test_the_recipe_is_the_published_one() -> None:
    first, second = recipe(1), recipe(2)
    assert (first.steps, first.batch, first.frames, first.learning_rate, first.weight_decay) == (300_000, 2, 1, 1e-5, 1e-2)
    assert (second.steps, second.batch, second.frames, second.strides) == (40_000, 1, 16, (1, 4))
    assert (first.unconditional, first.noise_offset, first.snr_gamma) == (0.1, 0.05, 5.0)


def test_weights_of_the_loss_are_one_where_there_is_no_signal_and_fall_where_there_is_much() -> None:
    signal = torch.tensor([0.0, 0.5, 0.8, 0.99])  # SNR 0, 1, 4, 99
    assert torch.allclose(snr_weights(signal, 5.0), torch.tensor([1.0, 1.0, 1.0, 0.05]), atol=1e-6)


def test_each_step_trains_its_own_weights() -> None:
    names = [name for name, _ in networks.Trainee(tiny_models(), 1).named_parameters()]
    first, second = ([name for name in names if networks.is_trained(name, step)] for step in (1, 2))
    assert second and all(".motion_modules." in name for name in second) and not set(first) & set(second)
    assert {name.split(".")[0] for name in first} == {"denoiser", "reference", "pose"}
    assert not [name for name in first if name.startswith("reference.up_blocks.3")]


def test_held_out_clips_and_short_ones_are_left_out(data: Path, tmp_path: Path) -> None:
    clips = find_clips(data)
    assert [clip.path.stem for clip in clips] == ["0", "1"]
    with pytest.raises(Fault) as caught:
        ExampleSampler(clips, "echomimic", 64, 16, (1, 4))
    assert caught.value.code == "data-missing"
    with pytest.raises(Fault):
        find_clips(tmp_path)
    example = ExampleSampler(clips, "aniportrait", 64, 3, (1, 2)).example(np.random.default_rng(0))
    assert example.frames.shape == example.drawings.shape == (3, 64, 64, 3) and example.portrait.shape == (64, 64, 3)
    assert example.drawings.any()


def test_step_1_learns_what_it_is_shown_and_leaves_motion_alone(data: Path, tmp_path: Path) -> None:
    models = tiny_models()
    before = {name: weight.clone() for name, weight in models.denoising_unet.named_parameters()}
    run = trainer(1, data, tmp_path, models, steps=2, save_every=100)
    run.run()
    changed = {name for name, weight in models.denoising_unet.named_parameters() if not torch.equal(weight, before[name])}
    assert changed and not [name for name in changed if ".motion_modules." in name]
    same = [run._loss(0).item() for _ in range(2)]
    assert same[0] == same[1]  # what is drawn depends on the seed and the step alone
    optimizer = torch.optim.AdamW(run.trainee.trained().values(), lr=2e-3)
    for _ in range(4):
        run._loss(0).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert run._loss(0).item() < same[0]


def test_a_run_that_was_stopped_ends_as_one_that_was_not(data: Path, tmp_path: Path) -> None:
    whole = trainer(2, data, tmp_path / "whole", steps=2)
    whole.run()
    trainer(2, data, tmp_path / "parts", steps=1).run()
    resumed = trainer(2, data, tmp_path / "parts", steps=2)
    assert resumed.steps == 1
    resumed.run()
    for (name, one), other in zip(whole.trainee.trained().items(), resumed.trainee.trained().values()):
        assert torch.allclose(one, other, atol=1e-6), name
    with pytest.raises(Fault) as caught:
        (tmp_path / "parts" / "step1").mkdir()
        (tmp_path / "parts" / "step2" / "state.safetensors").rename(tmp_path / "parts" / "step1" / "state.safetensors")
        trainer(1, data, tmp_path / "parts")
    assert caught.value.code == "training-differs"


def test_both_steps_train_from_the_command_line_and_the_result_renders(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.benchmark.synthesis import synthetic_shot
    from backend.synthesis.sd15 import tier
    from bridge.shot import RenderSettings

    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AUTTER_SD15", raising=False)
    common = ("--tiny", "--data", data, "--work", tmp_path / "work", "--device", "cpu", "--steps", 1)
    first = command.run(arguments("--step", 1, *common, "--precision", "bf16"))
    forget()
    second = command.run(arguments("--step", 2, *common))
    assert np.isfinite([first["loss"], second["loss"]]).all() and first["out"] == second["out"]
    monkeypatch.setenv("AUTTER_SD15", second["out"])
    try:
        settings = RenderSettings(tier="sd15", preset="draft", sd15_steps=1)
        frames = list(tier.render_rows(*synthetic_shot(96, 3), tier.Rendering(tier.outlook(settings))))
    finally:
        tier.free()
    assert len(frames) == 3 and frames[0].shape == (96, 96, 3)


def test_stable_diffusion_as_a_start_gives_both_networks_its_weights(tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    models = tiny_models()
    config = models.config
    sizes = {"block_out_channels": config.block_out_channels, "cross_attention_dim": config.cross_attention_dim}
    unet = UNet2DConditionModel(layers_per_block=1, attention_head_dim=8, **sizes)
    unet.save_pretrained(str(tmp_path / "unet"))
    networks.start_from_stable_diffusion(models, tmp_path / "unet")
    wanted = unet.state_dict()["conv_in.weight"]
    assert torch.equal(models.denoising_unet.unet.conv_in.weight, wanted) and torch.equal(models.reference_unet.conv_in.weight, wanted)
    motion = [w for name, w in models.denoising_unet.named_parameters() if ".motion_modules." in name and ".proj_out." in name]
    assert motion and not any(weight.any() for weight in motion)
    with pytest.raises(Fault) as caught:
        networks.start_from_stable_diffusion(models, tmp_path / "nowhere")
    assert caught.value.code == "weights-missing"
