# SPDX-License-Identifier: GPL-3.0-or-later
"""What EchoMimic's weights hear: Whisper's states, the columns round a frame, both forms of the file, and a voice that moves a render."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch.nn import functional  # noqa: E402

from backend.synthesis.sd15 import tier, voice  # noqa: E402
from backend.synthesis.sd15.tiny import write_tiny_voice_encoder  # noqa: E402
from bridge.faults import Fault  # noqa: E402
from bridge.shot import RenderSettings, Voice  # noqa: E402

pytestmark = pytest.mark.unit
RATE, FRAMES = 16_000, 8
SETTINGS = RenderSettings(tier="sd15", preset="standard", sd15_steps=1)


def tone(seconds: float, loud: float = 0.5) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A gliding tone, (n,) float32."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (loud * np.sin(2 * np.pi * (200 + 300 * time) * time)).astype(np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_voice_encoder(tmp_path_factory.mktemp("voice"))


@pytest.fixture(scope="module")
def encoder(file: Path) -> voice.VoiceEncoder:
    return voice.VoiceEncoder.load(file)


def test_the_spectrogram_is_whispers() -> None:
    from transformers import WhisperFeatureExtractor

    samples = tone(2.0) + np.random.default_rng(0).normal(0, 0.01, 2 * RATE).astype(np.float32)
    wanted = WhisperFeatureExtractor(chunk_length=2)(samples, sampling_rate=RATE, return_tensors="pt").input_features[0]
    assert torch.allclose(voice.log_mel(samples), wanted, atol=1e-4)
    long = np.tile(samples, 16)[: 31 * RATE]  # transformed in two parts
    together = WhisperFeatureExtractor(chunk_length=31)(long, sampling_rate=RATE, return_tensors="pt").input_features[0]
    assert torch.allclose(voice.log_mel(long), together, atol=1e-4)


def test_the_states_are_the_input_and_every_blocks_output_before_the_last_normalisation(encoder: voice.VoiceEncoder) -> None:
    network, spectrogram = encoder._network, voice.log_mel(tone(1.0))
    given = encoder.states(spectrogram)
    with torch.inference_mode():
        hidden = functional.gelu(network.conv2(functional.gelu(network.conv1(spectrogram[None])))).transpose(1, 2)
        wanted = [hidden + network.embed_positions.weight]
        for layer in network.layers:
            output = layer(wanted[-1], None)
            wanted.append(output[0] if isinstance(output, tuple) else output)
        last = network(spectrogram[None]).last_hidden_state[0]
    assert given.shape == (50, 5, 64) and torch.allclose(given, torch.stack([state[0] for state in wanted], 1), atol=1e-5)
    assert torch.allclose(network.layer_norm(given[:, -1]), last, atol=1e-4) and not torch.allclose(given[:, -1], last, atol=0.1)
    short = encoder.states(spectrogram[:, :60])  # what is missing is filled up with zeros of the spectrogram
    assert torch.equal(short, encoder.states(functional.pad(spectrogram[:, :60], (0, 40)))[:30])


class Counting:
    """In place of an encoder: every state of a column is the column's number."""

    width, tokens, stretch = 1, 50, 100

    def __init__(self) -> None:
        self.stretches = 0

    def states(self, spectrogram: torch.Tensor) -> torch.Tensor:
        columns = spectrogram[0, ::2][: spectrogram.shape[1] // 2]
        self.stretches += 1
        return columns[:, None, None].expand(-1, 5, 1)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(24), Fraction(24000, 1001), Fraction(60), Fraction(12)], ids=str)
def test_a_frame_hears_ten_columns_from_80_ms_before_it(fps: Fraction, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = 300  # three seconds at 50 Hz lie in three stretches
    monkeypatch.setattr(voice, "log_mel", lambda samples: torch.arange(columns, dtype=torch.float32).repeat(80, 1) // 2)
    count = int(3 * fps)
    heard = voice.ShotVoice(Counting(), tone(3.0), fps, count)  # type: ignore[arg-type]
    for frame in (0, 1, count // 2, count - 1, count + 5):
        centre = int(min(frame, count - 1) * 50 / float(fps))
        wanted = [min(max(column, 0), 149) for column in range(centre - 4, centre + 6)]  # as the published get_sliced_feature has it
        given = heard([frame])[0, :, 0]
        assert given.tolist() == [column for column in wanted for _ in range(5)]


def test_a_range_hears_what_the_whole_hears_and_no_stretch_is_heard_twice_in_a_row(encoder: voice.VoiceEncoder) -> None:
    samples = tone(3.0)
    whole = voice.ShotVoice(encoder, samples, Fraction(25), 75)(range(75))
    assert whole.shape == (75, 50, 64) and bool(whole.isfinite().all())
    assert torch.equal(voice.ShotVoice(encoder, samples, Fraction(25), 75)(range(20, 31)), whole[20:31])
    counting = Counting()
    voice.ShotVoice(counting, samples, Fraction(25), 75)(range(75))  # type: ignore[arg-type]
    assert counting.stretches == 3


def test_shots_of_a_frame_and_shots_without_a_voice_hear_silence(encoder: voice.VoiceEncoder) -> None:
    single = voice.ShotVoice.of(encoder, (), Fraction(120), 1)([0, 1])
    assert single.shape == (2, 50, 64) and torch.equal(single[0], single[1])
    assert float(voice.log_mel(np.zeros(3200, np.float32)).max()) == -1.5  # Whisper's floor


def test_both_published_forms_are_the_same_weights(file: Path, encoder: voice.VoiceEncoder, tmp_path: Path) -> None:
    """``whisper_tiny.pt`` has the first release's names, beside numbers of its sizes."""
    state = {}
    for name, tensor in load_file(file).items():
        first = name.removeprefix("model.")
        for old, new in voice._FIRST_RELEASE:
            first = first.replace(new, old) if first.startswith("encoder.") else first
        state[first] = tensor
    assert "encoder.blocks.0.attn.query.weight" in state and "encoder.ln_post.bias" in state and "encoder.positional_embedding" in state
    torch.save({"dims": {"n_mels": 80}, "model_state_dict": state}, tmp_path / "whisper_tiny.pt")
    other = voice.VoiceEncoder.load(tmp_path / "whisper_tiny.pt", tmp_path / "cache")
    assert torch.equal(other.states(voice.log_mel(tone(1.0))), encoder.states(voice.log_mel(tone(1.0))))


def test_the_full_size_is_whisper_tinys() -> None:
    """As published: 384 wide, six heads, four blocks, 30 seconds; 50 tokens a frame."""
    shapes = {"conv1.weight": (384, 80, 3), "embed_positions.weight": (1500, 384)}
    shapes |= {f"layers.{number}.fc1.weight": (1536, 384) for number in range(4)}
    opened = voice.Checkpoint(Path("x"), Path("x"), {f"model.encoder.{name}": shape for name, shape in shapes.items()})
    sizes = voice._sizes(opened)
    assert (sizes["encoder_attention_heads"], sizes["encoder_layers"], sizes["max_source_positions"]) == (6, 4, 1500)


def test_a_file_that_is_no_voice_encoder_is_a_sentence(file: Path, tmp_path: Path) -> None:
    state = load_file(file)
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    name = "model.encoder.layers.1.fc2.weight"
    save_file({key: tensor for key, tensor in state.items() if key != name}, tmp_path / "less.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:5000])
    for broken, code, said in (
        ("other", "sd15-keys", "no encoder of Whisper"),
        ("less", "sd15-keys", "layers.1.fc2"),
        ("cut", "sd15-file", "cut"),
    ):
        with pytest.raises(Fault) as caught:
            voice.VoiceEncoder.load(tmp_path / f"{broken}.safetensors")
        assert caught.value.code == code and said in caught.value.sentence


@pytest.fixture
def weights(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the tiny weights as the user's own, still without a voice encoder."""
    folder = Path(shutil.copytree(tiny_weights, tmp_path / "own"))
    monkeypatch.setenv("AUTTER_SD15", str(folder))
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    yield folder
    tier.free()


def rendered(pieces: tuple[Voice, ...], **choices: Any) -> list[Any]:
    from backend.benchmark.synthesis import synthetic_shot

    hearing = tier.Hearing(pieces, Fraction(25))
    return list(tier.render_rows(*synthetic_shot(96, FRAMES), tier.Rendering(tier.outlook(SETTINGS)), hearing=hearing, **choices))


def test_the_shots_voice_moves_the_render_and_a_range_is_the_wholes(weights: Path, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "line.wav", tone(1.0), RATE)
    spoken = (Voice(str(tmp_path / "line.wav")),)
    deaf = rendered(spoken)
    assert any("stay near silence" in remark and "0.2 GB" in remark for remark in tier.outlook(SETTINGS).remarks)
    assert "stay near silence" in tier.tell(SETTINGS)["hint"]
    write_tiny_voice_encoder(weights)
    assert not [remark for remark in tier.outlook(SETTINGS).remarks if "stay near silence" in remark]
    hearing, silent = rendered(spoken), rendered(())
    for other in (deaf, silent):
        assert not any(np.array_equal(one, two) for one, two in zip(hearing, other))
    part = rendered(spoken, first_frame=3, frame_count=3)
    assert all(np.array_equal(one, two) for one, two in zip(part, hearing[3:6], strict=True))


def test_a_voice_encoder_of_another_width_is_a_sentence(weights: Path) -> None:
    write_tiny_voice_encoder(weights, width=128)
    with pytest.raises(Fault) as caught:
        rendered(())
    assert caught.value.code == "sd15-keys" and "128" in caught.value.sentence and "64" in caught.value.sentence
