# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech models as voice features: tiny ones with random weights, made here from their configurations."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from motion_faces import babble

from backend.motion.config import AU_COUNT, TINY
from backend.motion.generate import MotionGenerator
from backend.motion.model import MotionModel
from backend.motion.weights import save_model
from backend.speech import shot_voice, transformer
from backend.speech.extractor import extractor_of_card
from backend.speech.transformer import TransformerFeatures
from bridge.faults import Fault
from bridge.shot import MotionSettings

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.unit
HIDDEN = 32
SMALL = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CONVOLUTIONS = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}


def tiny_model(kind: str, folder: Path) -> Path:
    """A model folder as the hub has them."""
    torch.manual_seed(0)
    if kind == "whisper":
        config = transformers.WhisperConfig(
            d_model=HIDDEN, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=48,
            decoder_ffn_dim=48, vocab_size=64, max_source_positions=1500, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            decoder_start_token_id=1,
        )  # fmt: skip
        model, prepare = transformers.WhisperModel(config), transformers.WhisperFeatureExtractor()
    else:
        names = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM"}
        config = getattr(transformers, f"{names[kind]}Config")(**SMALL, **CONVOLUTIONS)
        model, prepare = getattr(transformers, f"{names[kind]}Model")(config), transformers.Wav2Vec2FeatureExtractor()
    model.save_pretrained(folder)
    prepare.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def nothing_remembered():
    transformer._loaded.cache_clear()
    yield
    transformer._loaded.cache_clear()


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2", "wavlm", "whisper"])
def test_rows_are_shaped_timed_and_repeatable(tmp_path, kind):
    extractor = TransformerFeatures.load(str(tiny_model(kind, tmp_path)), 1)
    voice = babble(2.0)
    rows = extractor.features(voice)
    assert rows.shape == (50, 2 * HIDDEN) and rows.dtype == np.float32 and np.isfinite(rows).all()
    np.testing.assert_array_equal(rows, extractor.features(voice))
    assert kind in extractor.name and extractor.features(np.zeros(0, np.float32)).shape == (1, 2 * HIDDEN)
    assert extractor.silent_rows(3).shape == (3, 2 * HIDDEN)
    other = voice.copy()
    other[16000:] = 0
    late = np.abs(extractor.features(other) - rows).mean(axis=1)
    assert late[30:].mean() > 1.2 * late[:20].mean(), "what is heard late is seen late"


def test_blocks_do_not_matter_and_long_voices_go_in_stretches(tmp_path, monkeypatch):
    monkeypatch.setattr(transformer, "_STRETCH", 16000)
    monkeypatch.setattr(transformer, "_MARGIN", 3200)
    extractor = TransformerFeatures.load(str(tiny_model("wav2vec2", tmp_path)))
    voice = babble(5.1)
    whole = extractor.features(voice)
    assert len(whole) == 128
    for cuts in ((100, 40_000), (16_000, 19_200, 19_201), range(1000, 80_000, 1000)):
        np.testing.assert_array_equal(np.concatenate(list(extractor.stream(np.split(voice, cuts)))), whole)


def test_weights_name_their_speech_model_and_speak_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    tiny_model("hubert", tmp_path / "voice model")
    torch.manual_seed(1)
    path = tmp_path / "trial.safetensors"
    save_model(
        MotionModel(replace(TINY, features=2 * HIDDEN)), path, {"voice": {"kind": "transformers", "model": "voice model", "layer": 1}}
    )
    generator = MotionGenerator.load(path)
    free = (np.zeros((50, AU_COUNT), np.float32), np.zeros((50, AU_COUNT), bool))
    knobs = MotionSettings(blinks=False, variation=0.0)
    motion, aus = generator.generate(babble(2.0), 50, Fraction(25), *free, 0, knobs)
    assert motion.shape == (50, 162, 2) and np.isfinite(motion).all() and aus.shape == (50, 18)
    late, _ = generator.generate(babble(2.0), 50, Fraction(25), *free, 0, replace(knobs, time_shift=0.2))
    np.testing.assert_allclose(late[25:35], motion[20:30], atol=1e-4)
    shot_voice.write_rows(tmp_path / "rows.npy", [babble(1.0)], generator.extractor)
    np.testing.assert_allclose(np.load(tmp_path / "rows.npy"), generator.extractor.features(babble(1.0)), atol=1e-6)


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    def code(voice) -> str:
        card = tmp_path / "card.json"
        card.write_text(json.dumps({"voice": voice}))
        with pytest.raises(Fault) as fault:
            extractor_of_card(card)
        return fault.value.code

    assert code("something new") == code({"kind": "other"}) == "voice-model"
    assert code({"kind": "transformers", "model": "no such folder"}) == "voice-model-missing"
    (tmp_path / "empty").mkdir()
    assert code({"kind": "transformers", "model": "empty"}) == "voice-model-missing"
    tiny_model("hubert", tmp_path / "good")
    assert code({"kind": "transformers", "model": "good", "layer": 9}) == "voice-model"
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    assert code({"kind": "transformers", "model": "bert"}) == "voice-model"
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert code({"kind": "transformers", "model": "good", "layer": 0}) == "voice-model-missing"
