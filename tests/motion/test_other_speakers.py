# SPDX-License-Identifier: GPL-3.0-or-later
"""Training for voices that are not the one real speaker's: the same lips revoiced, and going on from trained weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion_faces import made_up_clips

from backend.motion.config import TINY, MotionConfig
from backend.motion.face import reference_face
from backend.motion.model import MotionModel
from backend.speech.features import log_mel
from backend.training.actors.phones import Phone
from backend.training.motion.dataset import Shares, WindowSource
from backend.training.motion.train import TrainConfig, Trainer
from backend.training.prepare import revoiced
from bridge.faults import Fault

pytestmark = pytest.mark.unit
FIRST = (Phone("SIL", 0.0, 0.4), Phone("B", 0.4, 0.5), Phone("IH", 0.5, 0.6), Phone("N", 0.6, 0.8), Phone("SIL", 0.8, 1.2))
SECOND = (Phone("SIL", 0.0, 0.2), Phone("B", 0.2, 0.25), Phone("SIL", 0.25, 0.3), Phone("IH", 0.3, 0.42), Phone("N", 0.42, 0.6))


def test_moments_of_two_recordings_belong_together_phone_by_phone():
    anchors = revoiced.common_times(FIRST, SECOND, 1.2, 0.9)
    assert anchors is not None and (np.diff(anchors[0]) > 0).all() and (np.diff(anchors[1]) > 0).all()
    assert np.interp([0.0, 0.4, 0.55, 0.8, 1.2], *anchors) == pytest.approx([0.0, 0.2, 0.36, 0.6, 0.9])
    assert revoiced.common_times(FIRST, SECOND[:-1], 1.2, 0.9) is None
    slow = tuple(replace(phone, start=phone.start * 9, end=phone.end * 9) for phone in SECOND)
    assert revoiced.common_times(FIRST, slow, 1.2, 8.0) is None


def test_another_voice_is_laid_on_the_time_of_the_clip(monkeypatch):
    generator = np.random.default_rng(0)

    def sound(phones, length):
        samples = np.zeros(round(length * 16000), np.float32)
        for number, phone in enumerate(phone for phone in phones if phone.name != "SIL"):  # each phone as loud as its number
            place = slice(round(phone.start * 16000), round(phone.end * 16000))
            samples[place] = 0.1 * 3.0**number * generator.standard_normal(place.stop - place.start)
        return samples

    first, second = sound(FIRST, 1.2), 0.3 * sound(SECOND, 0.9)
    monkeypatch.setattr(revoiced, "speak", lambda voice, text: second)
    monkeypatch.setattr(revoiced, "align", lambda samples, text: FIRST if len(samples) == len(first) else SECOND)
    power = revoiced.revoiced(first, ["bin"], "heart")
    assert power is not None and power.shape == log_mel(first).shape
    levels = [float(rows.mean()) for rows in (power[42:48], power[53:58], power[64:78])]
    assert levels[0] + 1.5 < levels[1] < levels[2] - 1.5 and power[:35].mean() < levels[0] - 5
    assert revoiced.revoiced(first, [], "heart") is None


def test_revoiced_clips_take_their_share_of_a_batch_and_none_of_the_recorded():
    clips = made_up_clips()
    others = [replace(clip, motion=clip.motion + 5.0) for clip in clips]
    source = WindowSource(clips, [], reference_face(), 32, 0, others)
    batch = next(source.batches(16, Shares(0.25, 0.5, 0.25, 0.5)))
    assert sum(float(np.median(window.motion)) > 3 for window in batch) == 4  # of 8 tracked windows (actors are not there)
    plain = next(source.batches(16, Shares(0.25, 0.5, 0.25, 0.5), plain=1))
    assert all(float(np.median(window.motion)) < 3 for window in plain)


def test_a_run_goes_on_from_given_weights_of_its_own_size():
    torch.manual_seed(3)
    model = MotionModel(TINY)
    trainer = Trainer.fresh(TrainConfig(model=TINY), reference_face())
    trainer.start_from(model)
    for own in (trainer.model, trainer.averaged):
        assert torch.equal(own.motion_leave.weight, model.motion_leave.weight) and own.au_basis.abs().sum() > 0
    assert trainer.step == 0
    plain = Trainer.fresh(TrainConfig(model=replace(TINY, latent_width=0)), reference_face())
    plain.start_from(model)  # the regressor: what belongs to the latent is left out
    assert torch.equal(plain.model.motion_leave.weight, model.motion_leave.weight)
    with pytest.raises(Fault):
        trainer.start_from(plain.model)
    with pytest.raises(Fault) as fault:
        Trainer.fresh(TrainConfig(model=MotionConfig(width=64)), reference_face()).start_from(model)
    assert fault.value.code == "bad-option"
