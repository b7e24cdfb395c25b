# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: shapes, an invertible flow, a tiny training, and the generator that runs it."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from motion_faces import babble, made_up_clips

from backend.motion.config import AU_COUNT, TINY, MotionConfig
from backend.motion.face import reference_face
from backend.motion.generate import MotionGenerator
from backend.motion.model import MotionModel
from backend.motion.weights import load_model, save_model
from backend.training.motion.dataset import Shares, WindowSource, held_out
from backend.training.motion.train import TrainConfig, Trainer, on_device, stacked
from bridge.faults import Fault
from bridge.shot import MotionSettings

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def tiny() -> MotionGenerator:
    """A generator of the tiny configuration after a few seconds of training on made-up clips."""
    trainer = Trainer.fresh(TrainConfig(model=TINY, steps=40, plain_steps=10, batch=6, frames=32, warm_up=5), reference_face())
    source = WindowSource(made_up_clips(), [], reference_face(), 32, 0)
    trainer.run(on_device(source.batches(6, Shares(0.0, 0.5, 0.2), plain=10), trainer.device))
    return MotionGenerator(trainer.averaged)


def free(frames: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((frames, AU_COUNT), np.float32), np.zeros((frames, AU_COUNT), bool)


def test_the_full_configuration_is_small_enough_and_shaped_right():
    model = MotionModel(MotionConfig())
    assert model.parameter_count() <= 5.5e6
    voice, aus, keyed = torch.randn(2, 24, MotionConfig().features), torch.rand(2, 24, 18), torch.ones(2, 24, 18)
    condition = model.condition(voice, aus, keyed)
    posterior = model.encode(torch.randn(2, 24, 324) * 0.03, condition)
    decoded = model.decode(posterior.z, condition, aus, keyed)
    assert posterior.z.shape == (2, 16, 6) and decoded.motion.shape == (2, 24, 324) and decoded.aus.shape == (2, 24, 18)
    assert torch.isfinite(model.divergence(posterior, condition))


def test_the_flow_is_undone_by_its_inverse():
    torch.manual_seed(0)
    model = MotionModel(TINY)
    for parameter in model.flow.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    condition = torch.randn(1, TINY.width, 20)
    z = torch.randn(1, TINY.latent_width, 5)
    there = model.flow(z, model.coarse(condition))
    assert not torch.allclose(there, z.flip(1), atol=1e-2)
    torch.testing.assert_close(model.flow.inverse(there, model.coarse(condition)), z, atol=1e-4, rtol=1e-4)


def test_a_tiny_training_learns_and_resumes(tmp_path):
    config = TrainConfig(model=TINY, steps=50, plain_steps=10, batch=6, frames=32, warm_up=5, seed=1)
    lines: list[dict] = []
    source = WindowSource(made_up_clips(), [], reference_face(), 32, 0)
    trainer = Trainer.fresh(config, reference_face())
    fixed = stacked(next(WindowSource(made_up_clips(), [], reference_face(), 32, 9).batches(12, Shares(0.0, 1.0, 0.0))))

    def error() -> float:
        with torch.no_grad():
            condition = trainer.model.condition(fixed["voice"], fixed["aus"], fixed["keyed"])
            z = trainer.model.draw(condition, torch.zeros(12, TINY.latent_width, 8))
            return float((trainer.model.decode(z, condition, fixed["aus"], fixed["keyed"]).motion - fixed["motion"]).abs().mean())

    before = error()
    trainer.run(on_device(source.batches(6, Shares(0.0, 0.5, 0.2), plain=10), trainer.device), tmp_path, lines.append)
    assert error() < 0.9 * before
    assert {"reconstruction", "velocity", "acceleration", "opening", "closure", "divergence", "reading"} <= set(lines[-1])
    again = Trainer.fresh(TrainConfig(model=TINY, steps=52, batch=6, frames=32), reference_face())
    again.resume(tmp_path)
    assert again.step == 50
    torch.testing.assert_close(again.averaged.state_dict()["join.weight"], trainer.averaged.state_dict()["join.weight"])


def test_the_same_shot_gives_the_same_bits_and_another_seed_another_take(tiny):
    voice, (values, keyed) = babble(2.0), free(50)
    shots = [tiny.generate(voice, 50, Fraction(25), values, keyed, seed, MotionSettings())[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(shots[0], shots[1])
    assert np.abs(shots[0] - shots[2]).max() > 1e-5


@pytest.mark.parametrize("fps, frames", [(Fraction(24000, 1001), 48), (Fraction(60), 121), (Fraction(30), 1), (Fraction(1), 3)])
def test_any_frame_rate(tiny, fps, frames):
    motion, aus = tiny.generate(babble(2.0), frames, fps, *free(frames), 0, MotionSettings())
    assert motion.shape == (frames, 162, 2) and aus.shape == (frames, 18)
    assert np.isfinite(motion).all() and aus.min() >= 0 and aus.max() <= 5


def test_keyed_aus_come_back_as_commanded_and_free_ones_are_filled_in(tiny):
    values, keyed = free(50)
    values[:, 8], keyed[:, 8] = 3.3, True
    values[:, 2] = 4.0  # not keyed: must not be heard
    _, aus = tiny.generate(babble(2.0), 50, Fraction(25), values, keyed, 0, MotionSettings())
    np.testing.assert_array_equal(aus[:, 8], np.float32(3.3))
    assert aus[:, 2].max() < 3.9


def test_values_of_free_aus_are_not_looked_at(tiny):
    values, keyed = free(40)
    first, _ = tiny.generate(babble(1.6), 40, Fraction(25), values, keyed, 0, MotionSettings())
    values[:] = np.nan
    second, _ = tiny.generate(babble(1.6), 40, Fraction(25), values, keyed, 0, MotionSettings())
    np.testing.assert_array_equal(first, second)


def test_au_strength_scales_what_keys_do(tiny):
    values, keyed = free(40)
    values[:, 8], keyed[:, 8] = 4.0, True
    voice = babble(1.6)
    none, one, two = (
        tiny.generate(voice, 40, Fraction(25), values, keyed, 0, MotionSettings(au_strength=s, blinks=False))[0] for s in (0.0, 1.0, 2.0)
    )
    unkeyed, _ = tiny.generate(voice, 40, Fraction(25), *free(40), 0, MotionSettings(blinks=False))
    np.testing.assert_allclose(two - one, one - none, atol=1e-5)
    np.testing.assert_allclose(none, unkeyed, atol=0.02)


def test_pieces_of_a_long_shot_equal_the_whole(tiny, monkeypatch):
    voice, (values, keyed) = babble(12.0), free(300)
    whole, _ = tiny.generate(voice, 300, Fraction(25), values, keyed, 0, MotionSettings())
    monkeypatch.setattr("backend.motion.generate._CHUNK", 100)
    tiny.forget()
    pieces, _ = tiny.generate(voice, 300, Fraction(25), values, keyed, 0, MotionSettings())
    np.testing.assert_allclose(pieces, whole, atol=1e-5)


def test_an_edit_stays_inside_its_reach(tiny):
    voice, (values, keyed) = babble(12.0), free(300)
    keyed[:, 8] = True
    before, _ = tiny.generate(voice, 300, Fraction(25), values, keyed, 0, MotionSettings())
    values[200:210, 8] = 5.0
    after, _ = tiny.generate(voice, 300, Fraction(25), values, keyed, 0, MotionSettings())
    reach = tiny.model.config.receptive_frames
    assert np.abs(after - before)[: 200 - reach].max() < 1e-6
    assert np.abs(after - before)[200:210].max() > 0.01


def test_time_shift_moves_the_voice(tiny):
    voice = babble(3.0)
    now, _ = tiny.generate(voice, 75, Fraction(25), *free(75), 0, MotionSettings(blinks=False, variation=0.0))
    late, _ = tiny.generate(voice, 75, Fraction(25), *free(75), 0, MotionSettings(blinks=False, variation=0.0, time_shift=0.16))
    np.testing.assert_allclose(late[28:52], now[24:48], atol=0.01)


def test_a_voice_shorter_than_the_shot_is_followed_by_silence(tiny):
    motion, _ = tiny.generate(np.zeros(0, np.float32), 40, Fraction(25), *free(40), 0, MotionSettings())
    assert np.isfinite(motion).all()


def test_weights_are_checked_against_their_card(tmp_path, tiny):
    path = tmp_path / "m.safetensors"
    save_model(tiny.model, path, {"name": "trial"})
    loaded = load_model(path)
    torch.testing.assert_close(loaded.state_dict()["join.weight"], tiny.model.state_dict()["join.weight"], atol=1e-3, rtol=1e-2)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Fault) as fault:
        load_model(path)
    assert fault.value.code == "weights-mismatch"
    path.with_suffix(".json").write_text(json.dumps({}))
    for code, missing in (("weights-missing", path), ("weights-missing", tmp_path / "none.safetensors")):
        with pytest.raises(Fault) as fault:
            load_model(missing)
        assert fault.value.code == code


def test_validation_is_a_fixed_tenth():
    stems = [f"clip{number}" for number in range(2000)]
    share = np.mean([held_out(stem) for stem in stems])
    assert 0.07 < share < 0.13 and held_out(stems[0]) == held_out(stems[0])
