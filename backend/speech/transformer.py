# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice features of a pretrained speech model (HuBERT, wav2vec 2.0, WavLM, Whisper) through ``transformers``.

For motion weights that were trained with them. The voice goes through the model in overlapping stretches at fixed places, so that
any length fits into memory and the same voice always gives the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.speech.features import FRAME_RATE, SAMPLE_RATE
from bridge.faults import Fault

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = NDArray[np.float32]

_COLUMN = 320  # samples: these models make 50 columns a second
_COLUMNS_PER_ROW = SAMPLE_RATE // FRAME_RATE // _COLUMN
_STRETCH, _MARGIN = 20 * SAMPLE_RATE, 2 * SAMPLE_RATE  # samples that are kept of a pass, and read beyond them on either side
_KINDS = ("hubert", "wav2vec2", "wavlm", "whisper")


class TransformerFeatures:
    """The hidden states of one layer, two columns of 20 ms to each row of 25 frames a second."""

    columns_per_row = _COLUMNS_PER_ROW

    def __init__(self, model: Any, prepare: Any, name: str, layer: int = -1) -> None:
        """``model``: of ``transformers``, one of the kinds above. ``prepare``: its feature extractor. ``layer``: index into the hidden
        states, the last where -1."""
        self.model, self._prepare, self._layer = model.eval(), prepare, layer
        self.name = f"{name} layer {layer}"
        self._is_whisper = model.config.model_type == "whisper"
        self.width = int(model.config.d_model if self._is_whisper else model.config.hidden_size) * _COLUMNS_PER_ROW

    @classmethod
    def load(cls, source: str, layer: int = -1, beside: Path | None = None) -> TransformerFeatures:
        """From a local folder (as given, or relative to ``beside``), or from the hub by name.

        Only safetensors are read, and no code that comes with a model is run. Raises Fault ``voice-model-missing`` where it is not
        there and cannot be fetched, ``voice-model`` where it is none that can be used.
        """
        folder = next((path for path in (Path(source), (beside or Path()) / source) if path.is_dir()), None)
        return _loaded(str(folder.resolve()) if folder else source, layer)

    def features(self, samples: FloatArray) -> FloatArray:
        """See ``FeatureExtractor``."""
        return np.concatenate(list(self.stream([np.asarray(samples, np.float32)])))

    def stream(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """See ``FeatureExtractor``: final rows, (frames, 2 x hidden size)."""
        waiting, lead, heard, made = np.zeros(0, np.float32), 0, 0, 0
        for block in blocks:
            waiting, heard = np.concatenate([waiting, block]), heard + len(block)
            while len(waiting) >= lead + _STRETCH + _MARGIN:
                yield self._rows(waiting[: lead + _STRETCH + _MARGIN], lead, _STRETCH)
                waiting, made = waiting[lead + _STRETCH - _MARGIN :], made + _STRETCH
                lead = _MARGIN
        step = _COLUMN * _COLUMNS_PER_ROW
        left = max(1, -(-heard // step)) * step - made
        for start in range(0, left, _STRETCH):
            end = min(start + _STRETCH, left)
            before = max(0, lead + start - _MARGIN)
            yield self._rows(waiting[before : lead + end + _MARGIN], lead + start - before, end - start)

    def normalised(self, rows: FloatArray, level: float) -> FloatArray:
        """See ``FeatureExtractor``: these models are made for any level."""
        return np.asarray(rows, np.float32)

    def level_of(self, loudness: FloatArray) -> float:
        """See ``FeatureExtractor``."""
        return 0.0

    def loudness(self, rows: FloatArray) -> FloatArray:
        """See ``FeatureExtractor``."""
        return np.zeros(0, np.float32)

    def silent_rows(self, frames: int) -> FloatArray:
        """See ``FeatureExtractor``: the middle row of two seconds of silence."""
        return np.repeat(self._silent_row(), frames, axis=0)

    @lru_cache(maxsize=1)  # noqa: B019 - one extractor lives as long as its weights
    def _silent_row(self) -> FloatArray:
        rows = self._rows(np.zeros(2 * SAMPLE_RATE, np.float32), 0, 2 * SAMPLE_RATE)
        return rows[len(rows) // 2 :][:1]

    def _rows(self, samples: FloatArray, skip: int, count: int) -> FloatArray:
        """Rows of the ``count`` samples after ``skip``; silence follows where ``samples`` end. Both are whole rows."""
        import torch

        wanted = (skip + count) // _COLUMN
        missing = (wanted + 1) * _COLUMN - len(samples)
        padded = np.pad(samples, (0, max(0, missing)))
        with torch.inference_mode():
            hidden = self._hidden(padded)[0].float().numpy()
        if len(hidden) < wanted:
            hidden = np.pad(hidden, ((0, wanted - len(hidden)), (0, 0)), mode="edge")
        return np.ascontiguousarray(hidden[skip // _COLUMN : wanted].reshape(count // _COLUMN // _COLUMNS_PER_ROW, self.width), np.float32)

    def _hidden(self, samples: FloatArray) -> Tensor:
        """Hidden states of the layer, (1, columns, hidden size); column k stands for the samples from 320 k on."""
        if self._is_whisper:
            inputs = self._prepare(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
            result = self.model.get_encoder()(inputs, output_hidden_states=True)
        else:
            # The convolutions look 400 samples far and step by 320: 40 in front centre each column on its samples.
            centred = np.pad(samples, (40, 40))
            inputs = self._prepare(centred, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
            result = self.model(inputs, output_hidden_states=True)
        states: Tensor = result.hidden_states[self._layer]
        return states


@lru_cache(maxsize=1)
def _loaded(source: str, layer: int) -> TransformerFeatures:
    try:
        from transformers import AutoConfig, AutoFeatureExtractor, AutoModel
    except ImportError:
        raise Fault(
            "voice-model-missing",
            "The motion weights need a speech model, and the package transformers is not installed.",
            "Run `pip install transformers` in the backend's environment, or use the weights that come with AUtter.",
        ) from None
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        if config.model_type not in _KINDS:
            raise Fault(
                "voice-model", f"{source} is a {config.model_type}; known are {', '.join(_KINDS)}.", "Name the model that the weights need."
            )
        if not -1 <= layer <= _layers(config):
            raise Fault("voice-model", f"{source} has no layer {layer}.", f"Use one from 0 to {_layers(config)}, or -1 for the last.")
        prepare = AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False)
        model = AutoModel.from_pretrained(source, trust_remote_code=False, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise Fault(
            "voice-model-missing",
            f"The speech model {source}, which the motion weights need, is not there.",
            "Put its folder beside the weights, connect to the internet once, or use the weights that come with AUtter.",
            str(error),
        ) from None
    digest = hashlib.sha256(repr(sorted((name, float(value.double().sum())) for name, value in model.state_dict().items())).encode())
    return TransformerFeatures(model, prepare, f"{config.model_type} {digest.hexdigest()[:12]}", layer)


def _layers(config: Any) -> int:
    return int(getattr(config, "encoder_layers", 0) or config.num_hidden_layers)
