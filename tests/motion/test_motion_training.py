# SPDX-License-Identifier: GPL-3.0-or-later
"""What the motion generator is trained on and for: masks, windows, the closure term, and the frozen experts."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from motion_faces import made_up_clips

from backend.motion.config import AU_COUNT, MOTION_WIDTH, TINY
from backend.motion.face import reference_face
from backend.motion.weights import EXPERTS_FOLDER
from backend.training.motion import au_regressor, lip_expert
from backend.training.motion.commands import BLINK, keyed_mask
from backend.training.motion.dataset import Shares, WindowSource, for_choosing, held_out, lip_limits
from backend.training.motion.experts import AuReader, ExpertConfig, Experts, LipExpert, agreement_term, load_expert, sync_term, train_expert
from backend.training.motion.losses import LossWeights, closure_term
from backend.training.motion.train import TrainConfig, Trainer, on_device, stacked
from bridge.facs import AU_INDEX
from bridge.faults import Fault

pytestmark = pytest.mark.unit


def test_masks_leave_all_free_in_a_fifth_and_cover_whole_aus_and_spans():
    generator = np.random.default_rng(0)
    masks = [np.delete(keyed_mask(40, generator), BLINK, axis=1) for _ in range(1500)]
    assert np.mean([not mask.any() for mask in masks]) == pytest.approx(0.2, abs=0.04)
    assert np.mean([mask.all() for mask in masks]) == pytest.approx(0.25, abs=0.05)
    whole = [mask for mask in masks if mask.any() and not mask.all() and (mask.all(axis=0) | ~mask.any(axis=0)).all()]
    spans = [mask for mask in masks if (mask.any(axis=0) & ~mask.all(axis=0)).any()]
    assert len(whole) > 100 and len(spans) > 200


def test_the_parts_of_the_data_do_not_overlap():
    stems = [f"clip{number}" for number in range(3000)]
    assert not any(held_out(stem) and for_choosing(stem) for stem in stems)
    assert 0.07 < np.mean([for_choosing(stem) for stem in stems]) < 0.13


def test_the_first_batches_are_speech_as_it_was_recorded():
    clips = made_up_clips()
    source = WindowSource(clips, [], reference_face(), 32, 0)
    batches = source.batches(8, Shares(0.0, 0.5, 0.25), plain=2)
    for _ in range(2):
        for window in next(batches):
            assert window.keyed[:, BLINK].all() and not np.delete(window.keyed, BLINK, axis=1).any() and window.lips[1] > 0
            assert np.abs(window.motion).max() <= max(np.abs(clip.motion).max() for clip in clips) + 1e-6
    later = next(batches)
    assert any(np.delete(window.keyed, BLINK, axis=1).any() for window in later) and any(window.lips[1] == 0 for window in later)


def test_lip_limits_are_those_of_the_clip():
    clip = made_up_clips(1)[0]
    limit, widest = lip_limits(clip)
    bigger = replace(clip, scale=np.full((162, 2), 2.0, np.float32), motion=clip.motion / 2)
    assert 0 < limit < widest and lip_limits(bigger)[1] == pytest.approx(widest / 2, rel=1e-4)
    assert (lip_limits(replace(clip, closed=np.zeros_like(clip.closed))) == 0).all()


def test_closure_blames_lips_that_shut_wrongly_as_much_as_lips_that_stay_open():
    lips = torch.tensor([[0.15, 1.0]])
    shut, wide = torch.tensor([[0.05]]), torch.tensor([[0.25]])
    right = closure_term(shut, shut, lips)
    assert right < 1e-6 and closure_term(wide, wide, lips) < 1e-6
    torch.testing.assert_close(closure_term(shut, wide, lips), closure_term(wide, shut, lips), rtol=1e-4, atol=1e-6)
    assert closure_term(shut, wide, lips) > 0.5
    assert closure_term(shut, wide, torch.zeros(1, 2)) == 0


@pytest.fixture(scope="module")
def experts() -> Experts:
    """Both experts after a few seconds on made-up clips."""
    torch.manual_seed(0)
    config = ExpertConfig(width=24, embedding=8, steps=120, batch=6, frames=32, learning_rate=8e-3)
    made = AuReader(config), LipExpert(config)
    for expert in made:
        source = WindowSource(made_up_clips(), [], reference_face(), 32, 0)
        train_expert(expert, (stacked(windows) for windows in source.batches(6, Shares(0.0, 0.5, 0.17))))
        expert.eval().requires_grad_(False)
    return Experts(*made)


def test_the_au_regressor_learns_to_read_keyed_aus(experts):
    fields = reference_face().fields[..., :2].reshape(AU_COUNT, 1, MOTION_WIDTH)
    keyed = torch.from_numpy(np.repeat(fields, 16, axis=1)).float()

    def own_and_others(reader: AuReader) -> tuple[float, float]:
        with torch.no_grad():
            read = (reader(keyed) - reader(torch.zeros_like(keyed))).mean(dim=1)
        own = float(read.diagonal().mean())
        return own, (float(read.mean()) * AU_COUNT - own) / (AU_COUNT - 1)

    own, others = own_and_others(experts.reader)
    untaught, _ = own_and_others(AuReader(experts.reader.config))
    assert own > 0.1 > abs(untaught) and own > 4 * others


@pytest.mark.parametrize("index", range(AU_COUNT))
def test_the_au_regressor_beside_the_weights_tells_every_au(index):
    reader = load_expert("au-regressor", EXPERTS_FOLDER)
    field = np.tile(0.8 * reference_face().fields[index, :, :2].reshape(1, 1, -1), (1, 16, 1))
    read = reader(torch.from_numpy(field).float())[0, 4:12].mean(dim=0)
    if index == AU_INDEX["AU26"]:  # a jaw that sinks parts the lips
        read[AU_INDEX["AU25"]] = 0.0
    assert read[index] > 0.4 and int(read.argmax()) == index


def test_the_lip_expert_prefers_lips_in_step(experts):
    source = WindowSource(made_up_clips(6), [], reference_face(), 32, 5)
    batch = stacked(next(source.batches(24, Shares(0.0, 1.0, 0.0), plain=1)))
    right = sync_term(experts.lips, batch["voice"], batch["motion"], batch["motion"])
    late = sync_term(experts.lips, batch["voice"], batch["motion"].roll(6, dims=1), batch["motion"])
    assert float(right) == 0.0 and float(late) > 0.02
    assert float(agreement_term(experts.reader, batch["motion"], batch["motion"])) == 0.0
    assert float(agreement_term(experts.reader, batch["motion"] + 0.05, batch["motion"])) > 0.01


def test_experts_judge_in_training_and_stay_frozen(experts):
    config = TrainConfig(model=TINY, steps=4, plain_steps=1, experts_from=2, batch=4, frames=32, warm_up=2)
    before = [parameter.clone() for parameter in experts.lips.parameters()]
    trainer = Trainer.fresh(config, reference_face(), experts)
    source = WindowSource(made_up_clips(), [], reference_face(), 32, 0)
    lines: list[dict] = []
    trainer.run(on_device(source.batches(4, Shares(0.0, 0.5, 0.25), plain=1), trainer.device), None, lines.append)
    assert {"agreement", "sync", "divergence"} <= set(lines[-1]) and lines[-1]["sync"] > 0
    assert all(torch.equal(old, new) for old, new in zip(before, experts.lips.parameters(), strict=True))
    assert {"agreement", "sync"} <= set(LossWeights.__dataclass_fields__)


@pytest.mark.parametrize("command", [au_regressor, lip_expert])
def test_each_expert_has_a_command_that_writes_weights_and_a_card(command, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.training.motion.clips.load_tracked", lambda *_: made_up_clips(12))
    monkeypatch.setattr("backend.training.motion.clips.load_actors", lambda *_: [])
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    report = command.run(parser.parse_args(["--variant", "tiny", "--steps", "5", "--out", str(tmp_path)]))
    kind = command.__name__.rsplit(".")[-1].replace("_", "-")
    card = json.loads((tmp_path / f"{kind}.json").read_text())
    assert report["weights"].endswith(f"{kind}.safetensors") and card["figures"] and card["data"] and card["training"]["command"]
    expert = load_expert(kind, tmp_path)
    assert not any(parameter.requires_grad for parameter in expert.parameters())
    motion = torch.zeros(1, 8, MOTION_WIDTH)
    assert (expert(motion) if isinstance(expert, AuReader) else expert.see(motion)).shape[1] == 8
    (tmp_path / f"{kind}.safetensors").write_bytes(b"x")
    with pytest.raises(Fault) as fault:
        load_expert(kind, tmp_path)
    assert fault.value.code == "weights-mismatch"
    with pytest.raises(Fault) as fault:
        load_expert(kind, tmp_path / "nowhere")
    assert fault.value.code == "data-missing"
