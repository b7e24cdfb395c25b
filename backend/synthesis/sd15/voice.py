# SPDX-License-Identifier: GPL-3.0-or-later
"""What EchoMimic's weights hear: the states of whisper-tiny's encoder round every frame.

As the published code has it: the log-mel spectrogram of the whole voice goes through the encoder in stretches of 30 seconds, the last
one filled up with zeros; of every 20 ms the encoder's input and what each of its four blocks puts out are kept, before the last
normalisation. A frame hears the ten of them from 80 ms before it on, in the order of time, (50, 384).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from backend.speech.load import load_voice
from bridge.faults import Fault
from bridge.shot import Voice

from .checkpoints import Checkpoint, open_checkpoint

SAMPLE_RATE = 16_000
COLUMN_RATE = 50  # states a second
BEFORE, AFTER = 4, 6  # columns from before a frame's moment to after it
_BANDS, _WINDOW, _HOP = 80, 400, 160
_LEAST_SAMPLES = (BEFORE + AFTER) * SAMPLE_RATE // COLUMN_RATE
_HEAD_WIDTH = 64  # of Whisper's attention in all its sizes
_STRETCHES_KEPT = 2
# From the names of the first release (whisper_tiny.pt) to those of transformers.
_FIRST_RELEASE = (
    ("positional_embedding", "embed_positions.weight"), ("blocks.", "layers."), (".attn.query.", ".self_attn.q_proj."),
    (".attn.key.", ".self_attn.k_proj."), (".attn.value.", ".self_attn.v_proj."), (".attn.out.", ".self_attn.out_proj."),
    (".attn_ln.", ".self_attn_layer_norm."), (".mlp.0.", ".fc1."), (".mlp.2.", ".fc2."), (".mlp_ln.", ".final_layer_norm."),
    ("ln_post.", "layer_norm."),
)  # fmt: skip


class VoiceEncoder:
    """Whisper's encoder with all its states, in float32 on the processor: a second of it takes some ten milliseconds."""

    def __init__(self, network: Any) -> None:
        """``network``: transformers' ``WhisperEncoder``."""
        self._network = network.eval().requires_grad_(False)
        self.width = int(network.config.d_model)
        self.tokens = (BEFORE + AFTER) * (int(network.config.encoder_layers) + 1)
        self.stretch = 2 * int(network.config.max_source_positions)  # columns of the spectrogram that go in together

    @classmethod
    def load(cls, file: Path, cache: Path | None = None) -> VoiceEncoder:
        """From ``model.safetensors`` of openai/whisper-tiny, or from ``whisper_tiny.pt``. Raises Fault ``sd15-keys`` or ``sd15-file``."""
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        from .models import fill

        opened = open_checkpoint(file, torch.float32, cache)
        with torch.device("meta"):
            network = WhisperEncoder(WhisperConfig(**_sizes(opened)))
        fill(network, [opened], encoder_key, torch.float32, "cpu")
        return cls(network)

    @torch.inference_mode()
    def states(self, spectrogram: Tensor) -> Tensor:
        """(columns // 2, states, width) of a stretch (80, columns); ``columns`` up to ``stretch``."""
        inside: list[Tensor] = []
        hooks = [self._network.layers[0].register_forward_pre_hook(lambda _, inputs: inside.append(inputs[0]))]
        hooks += [layer.register_forward_hook(lambda _, __, output: inside.append(_first(output))) for layer in self._network.layers]
        try:
            self._network(functional.pad(spectrogram, (0, self.stretch - spectrogram.shape[1]))[None])
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([state[0] for state in inside], 1)[: spectrogram.shape[1] // 2].float()


class ShotVoice:
    """The voice of a shot for the pipeline. Every frame hears the same whatever range is rendered."""

    def __init__(self, encoder: VoiceEncoder, samples: NDArray[np.float32], fps: Fraction, count: int) -> None:
        """``samples``: mono at 16 kHz, from the shot's first frame on. ``count``: frames of the shot."""
        self._encoder, self._fps, self._count = encoder, fps, count
        self._spectrogram = log_mel(samples)
        self._kept: dict[int, Tensor] = {}

    @classmethod
    def of(cls, encoder: VoiceEncoder, pieces: Sequence[Voice], fps: Fraction, count: int) -> ShotVoice:
        """Of a shot's pieces of voice; silence where there are none. Raises the faults of ``load.probe_audio``."""
        return cls(encoder, load_voice(pieces, float(count / fps)), fps, count)

    def __call__(self, frames: Sequence[int]) -> Tensor:
        """(frames, tokens, width) float32. Beyond the shot the last frame is heard on, beyond the voice its first or last moment."""
        last = self._spectrogram.shape[1] // 2 - 1
        heard = []
        for frame in frames:
            centre = int(min(frame, self._count - 1) * COLUMN_RATE / self._fps)
            columns = [min(max(column, 0), last) for column in range(centre - BEFORE, centre + AFTER)]
            heard.append(torch.cat([self._column(column) for column in columns]))
        return torch.stack(heard)

    def _column(self, column: int) -> Tensor:
        """(states, width) of 20 ms."""
        length = self._encoder.stretch // 2
        number = column // length
        if number not in self._kept:
            start = number * self._encoder.stretch
            self._kept[number] = self._encoder.states(self._spectrogram[:, start : start + self._encoder.stretch])
            for old in sorted(self._kept, key=lambda other: abs(other - number))[_STRETCHES_KEPT:]:
                del self._kept[old]
        return self._kept[number][column - number * length]


def log_mel(samples: NDArray[np.float32]) -> Tensor:
    """Whisper's spectrogram (80, columns), 100 columns a second, levelled by the loudest of the whole voice (n,) at 16 kHz."""
    from transformers.audio_utils import mel_filter_bank

    sizes = {"num_frequency_bins": 1 + _WINDOW // 2, "num_mel_filters": _BANDS, "sampling_rate": SAMPLE_RATE}
    bank = mel_filter_bank(**sizes, min_frequency=0.0, max_frequency=SAMPLE_RATE / 2, norm="slaney", mel_scale="slaney")
    filters = torch.from_numpy(bank.T.astype(np.float32))
    voice = torch.from_numpy(np.pad(samples, (0, max(0, _LEAST_SAMPLES - len(samples)))).astype(np.float32))
    padded = functional.pad(voice[None], (_WINDOW // 2, _WINDOW // 2), mode="reflect")[0]
    columns, window, parts = len(voice) // _HOP, torch.hann_window(_WINDOW), []
    for start in range(0, columns, 3000):  # a long voice is not transformed at once
        end = min(start + 3000, columns)
        part = padded[start * _HOP : (end - 1) * _HOP + _WINDOW]
        power = torch.stft(part, _WINDOW, _HOP, window=window, center=False, return_complex=True).abs() ** 2
        parts.append((filters @ power).clamp(min=1e-10).log10())
    spectrum = torch.cat(parts, 1)
    return (torch.maximum(spectrum, spectrum.max() - 8.0) + 4.0) / 4.0


def encoder_key(published: str) -> str | None:
    """The encoder's name of a weight in either form of the file; None for the decoder's."""
    name = published.removeprefix("model.")
    if not name.startswith("encoder."):
        return None
    name = name.removeprefix("encoder.")
    for old, new in _FIRST_RELEASE:
        name = name.replace(old, new, 1)
    return name


def _first(output: Any) -> Tensor:
    """What a layer puts out; older versions of transformers hand on a tuple."""
    tensor: Tensor = output[0] if isinstance(output, tuple) else output
    return tensor


def _sizes(opened: Checkpoint) -> dict[str, Any]:
    """What the shapes of a file say about its encoder. Raises Fault ``sd15-keys``."""
    shapes = {own: shape for name, shape in opened.shapes.items() if (own := encoder_key(name)) is not None}
    wanted = ("conv1.weight", "embed_positions.weight", "layers.0.fc1.weight")
    if any(name not in shapes for name in wanted) or shapes["conv1.weight"][1] != _BANDS:
        raise Fault(
            "sd15-keys",
            f"{opened.path.name} holds no encoder of Whisper with {_BANDS} bands.",
            "Use model.safetensors of openai/whisper-tiny, or whisper_tiny.pt of EchoMimic.",
        )
    width = shapes["conv1.weight"][0]
    return {
        "d_model": width,
        "num_mel_bins": _BANDS,
        "max_source_positions": shapes["embed_positions.weight"][0],
        "encoder_layers": 1 + max(int(found[1]) for name in shapes if (found := re.match(r"layers\.(\d+)\.", name))),
        "encoder_attention_heads": max(width // _HEAD_WIDTH, 1),
        "encoder_ffn_dim": shapes["layers.0.fc1.weight"][0],
    }
