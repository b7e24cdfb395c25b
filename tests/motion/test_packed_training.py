# SPDX-License-Identifier: GPL-3.0-or-later
"""Training on another machine: all clips in one file, windows made by other processes, an end by the clock, blinks alone in AU45."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from motion_faces import made_up_clips

from backend.motion.config import AU_COUNT, MOTION_WIDTH, TINY
from backend.motion.face import reference_face
from backend.motion.weights import load_model
from backend.speech.features import BANDS
from backend.training.motion import augment, command
from backend.training.motion.blinks import blink_pull, without_blink_pull
from backend.training.motion.commands import BLINK
from backend.training.motion.dataset import Shares, WindowSource, for_choosing, held_out
from backend.training.motion.packed import PackedClips, read_pack, write_pack
from backend.training.motion.train import TrainConfig, Trainer, on_device, stacked, usable_device
from backend.training.motion.workers import BatchShape, Workers
from bridge.faults import Fault
from bridge.landmarks import REGIONS

pytestmark = pytest.mark.unit


def packed_clips() -> PackedClips:
    """Four tracked clips with curves of AUs, one of them with another's voice, and two actors."""
    draw = np.random.default_rng(0)
    tracked = [replace(clip, aus=draw.uniform(0, 5, (len(clip.motion), AU_COUNT)).astype(np.float32)) for clip in made_up_clips(4)]
    other = replace(tracked[1], path=Path("1@slt.npz"), log_power=tracked[1].log_power[::-1].copy())
    actors = [replace(clip, path=Path(f"actor-{index}.npz"), literal=False) for index, clip in enumerate(made_up_clips(2))]
    return PackedClips(tracked, [other], actors[:1], actors[1:])


def test_a_pack_gives_back_the_clips(tmp_path):
    clips = packed_clips()
    size = write_pack(tmp_path / "pack.npz", clips)
    back = read_pack(tmp_path / "pack.npz")
    raw = sum(clip.log_power.nbytes + clip.motion.nbytes for clip in clips.tracked + clips.revoiced + clips.actors + clips.unseen_actors)
    fixed = 4 * MOTION_WIDTH**2  # the directions of motion, however many clips there are
    assert size == (tmp_path / "pack.npz").stat().st_size < fixed + raw / 4
    for kind in ("tracked", "revoiced", "actors", "unseen_actors"):
        made, read = getattr(clips, kind), getattr(back, kind)
        assert [clip.path.stem for clip in read] == [clip.path.stem for clip in made]
        for one, two in zip(made, read, strict=True):
            assert np.sqrt(np.mean((one.log_power - two.log_power) ** 2)) < 0.25, "nepers"
            assert np.abs(one.motion - two.motion).max() < 0.002 and np.abs(one.aus - two.aus).max() < 0.011
            assert (one.closed == two.closed).all() and one.literal == two.literal
            np.testing.assert_allclose(two.neutral, one.neutral, atol=1e-3)
            np.testing.assert_allclose(two.scale, one.scale, rtol=1e-3)
    assert np.shares_memory(back.revoiced[0].motion, back.tracked[1].motion)


def test_a_missing_or_strange_pack_is_said(tmp_path):
    (tmp_path / "other.npz").write_bytes(b"nothing")
    for name in ("none.npz", "other.npz"):
        with pytest.raises(Fault) as fault:
            read_pack(tmp_path / name)
        assert fault.value.code == "data-missing" and "--layout packed" in fault.value.hint


def test_a_revoiced_clip_stays_in_the_part_of_its_clip():
    for stem in (f"clip{number}" for number in range(200)):
        assert held_out(f"{stem}@slt+3") == held_out(stem) and for_choosing(f"{stem}@kal") == for_choosing(stem)


def test_workers_make_the_same_batches_each_time_and_recorded_speech_first():
    shape, shares = BatchShape(4, 32), Shares(0.0, 0.5, 0.25)

    def drawn() -> list[dict[str, torch.Tensor]]:
        source = WindowSource(made_up_clips(), [], reference_face(), 32, 3)
        with Workers(source, 2, shape, shares, plain=3) as workers:
            return [{name: part.clone() for name, part in batch.items()} for batch in islice(workers.batches(torch.device("cpu")), 8)]

    first, second = drawn(), drawn()
    assert all(torch.equal(one[name], two[name]) for one, two in zip(first, second, strict=True) for name in one)
    free = [not np.delete(batch["keyed"].numpy(), BLINK, axis=2).any() for batch in first]
    assert free[:3] == [True] * 3 and not all(free[3:])
    assert not torch.equal(first[0]["voice"], first[1]["voice"]) and first[0]["motion"].dtype == torch.float32
    reference = stacked(next(WindowSource(made_up_clips(), [], reference_face(), 32, 3).batches(4, shares)))
    assert {name: part.shape for name, part in reference.items()} == {name: part.shape for name, part in first[0].items()}


def test_a_run_ends_by_the_clock_and_its_rate_falls_with_it():
    config = TrainConfig(model=TINY, steps=1, minutes=0.02, plain_steps=1, batch=4, frames=32, warm_up=2)
    trainer = Trainer.fresh(config, reference_face())
    source = WindowSource(made_up_clips(), [], reference_face(), 32, 0)
    trainer.run(on_device(source.batches(4, Shares(0.0, 0.5, 0.25)), trainer.device))
    assert 1.2 <= trainer.seconds < 6 and trainer.step > 1
    rates = []
    for trainer.seconds in (0.3, 0.8, 1.2):
        rates.append(trainer._learning_rate())
    assert rates[0] > rates[1] > rates[2] == pytest.approx(0.03 * config.learning_rate)


def test_an_update_without_finite_gradients_is_left_out():
    config = TrainConfig(model=TINY, plain_steps=1, batch=4, frames=32)
    trainer = Trainer.fresh(config, reference_face())
    batch = stacked(next(WindowSource(made_up_clips(), [], reference_face(), 32, 0).batches(4, Shares())))
    from backend.training.motion.losses import point_weights

    points = point_weights(config.weights)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer._advance(batch | {"voice": batch["voice"] * torch.nan}, points)
    assert all(torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))
    trainer._advance(batch, points)
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))


def test_a_device_that_is_not_there_is_said():
    assert usable_device("cpu") == "cpu"
    for name in ("tpu", *([] if torch.cuda.is_available() else ["cuda"])):
        with pytest.raises(Fault) as fault:
            usable_device(name)
        assert fault.value.code == "bad-option"


def test_a_blink_moves_what_au45_moves_and_speech_stays():
    face, draw = reference_face(), np.random.default_rng(0)
    pull = draw.normal(0, 0.01, (162, 2)).astype(np.float32)
    clips = []
    for clip in made_up_clips(4):
        aus = np.zeros((len(clip.motion), AU_COUNT), np.float32)
        aus[10::20, BLINK] = aus[11::20, BLINK] = aus[12::20, BLINK] = aus[13::20, BLINK] = aus[14::20, BLINK] = 4.0
        clips.append(replace(clip, aus=aus, motion=clip.motion + aus[:, BLINK, None, None] * pull))
    upper = sorted({point for name, points in REGIONS.items() if name.startswith(("eye", "brow", "iris")) for point in points})
    np.testing.assert_allclose(blink_pull(clips)[upper], pull[upper], atol=2e-3)
    cleaned = without_blink_pull(clips, face)
    np.testing.assert_allclose(blink_pull(cleaned)[upper], face.fields[BLINK, upper, :2] / 5, atol=1e-4)
    lips = list(REGIONS["lips_inner"])
    assert all((one.motion[:, lips] == two.motion[:, lips]).all() for one, two in zip(clips, cleaned, strict=True))
    assert without_blink_pull(clips[:1], face)[0].motion is clips[0].motion, "too few blinks to tell"


def test_masked_voices_keep_their_loud_parts_and_lose_some_bands():
    voice = made_up_clips(1)[0].log_power
    for seed in range(6):
        made = augment.masked(voice, np.random.default_rng(seed))
        changed = (made != voice).mean(axis=0)
        assert made.shape == (len(voice), BANDS) and 0 < (changed > 0.5).mean() < 0.2 and changed.min() < 0.3


def test_the_command_trains_from_a_pack(tmp_path):
    write_pack(tmp_path / "pack.npz", packed_clips())
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = ["--data", str(tmp_path / "pack.npz"), "--variant", "tiny", "--without-experts", "--minutes", "0.03", "--workers", "2"]
    words += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "tiny.safetensors")]
    report = command.run(parser.parse_args(words))
    card = json.loads((tmp_path / "tiny.json").read_text())
    assert report["steps"] > 0 and card["training"]["revoiced_clips"] + card["training"]["tracked_clips"] > 0
    assert "processor" in card["training"]["machine"]
    assert load_model(tmp_path / "tiny.safetensors").config == TINY


def test_training_from_a_pack_needs_no_decoder_and_no_tracker():
    blocked = ("av", "soundfile", "mediapipe", "onnxruntime", "cv2", "PIL")
    code = f"""
import sys
for name in {blocked!r}: sys.modules[name] = None
import argparse
from backend.training.motion import au_regressor, command, lip_expert, packed, workers, train, blinks
parser = argparse.ArgumentParser(); command.add_arguments(parser)
try:
    command.run(parser.parse_args(["--data", "none.npz"]))
except Exception as fault:
    assert fault.code == "data-missing", fault
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[2])
