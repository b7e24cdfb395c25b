# SPDX-License-Identifier: GPL-3.0-or-later
"""What a motion generator hears: the interface of voice features, and log-mel, its default."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.speech import features

FloatArray = NDArray[np.float32]
LOG_MEL = "log-mel"


class FeatureExtractor(Protocol):
    """Turns a voice (mono, 16 kHz) into rows of features, 25 a second. Weights name the extractor they were trained with."""

    name: str  # unique per kind, model and layer: part of cache keys and of the weights' metadata
    columns_per_row: int  # equal time steps inside a row: the finest shift of the voice

    def features(self, samples: FloatArray) -> FloatArray:
        """Rows of a whole voice (n,) float32 at 16 kHz: (ceil(n / 640) or more, features) float32."""

    def stream(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Rows of a voice that comes in blocks, before ``normalised``. The memory it needs does not grow with the voice."""

    def normalised(self, rows: FloatArray, level: float) -> FloatArray:
        """Final rows from streamed ones. ``level``: what ``level_of`` found in the whole voice."""

    def level_of(self, loudness: FloatArray) -> float:
        """Level of a voice from all its streamed ``loudness``."""

    def loudness(self, rows: FloatArray) -> FloatArray:
        """What ``level_of`` wants to know of streamed rows, (columns,)."""

    def silent_rows(self, frames: int) -> FloatArray:
        """Rows of silence, (frames, features)."""


class LogMel:
    """80 log-mel bands and the energy at 100 Hz, see ``backend.speech.features``."""

    name = LOG_MEL
    columns_per_row = features.COLUMNS_PER_FRAME

    def features(self, samples: FloatArray) -> FloatArray:
        """See ``FeatureExtractor``."""
        return features.speech_features(samples)

    def stream(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """See ``FeatureExtractor``: log power, (frames, 4 x 80)."""
        for columns in features.log_mel_stream(blocks):
            yield columns.reshape(-1, features.COLUMNS_PER_FRAME * features.BANDS)

    def normalised(self, rows: FloatArray, level: float) -> FloatArray:
        """See ``FeatureExtractor``."""
        return features.rows_at_level(rows.reshape(-1, features.BANDS), level)

    def level_of(self, loudness: FloatArray) -> float:
        """See ``FeatureExtractor``."""
        return features.voice_level(loudness)

    def loudness(self, rows: FloatArray) -> FloatArray:
        """See ``FeatureExtractor``."""
        return features.band_energy(rows.reshape(-1, features.BANDS))

    def silent_rows(self, frames: int) -> FloatArray:
        """See ``FeatureExtractor``."""
        return features.silent_rows(frames)


def extractor_of_card(card: Path) -> FeatureExtractor:
    """The extractor that weights were trained with, by the entry ``voice`` of their model card (JSON).

    ``"log-mel"`` or nothing: log-mel. ``{"kind": "transformers", "model": folder or hub name, "layer": number}``: see
    ``backend.speech.transformer``; a relative folder lies beside the card. Raises Fault ``voice-model``.
    """
    from bridge.faults import Fault

    named = json.loads(card.read_text(encoding="utf-8")).get("voice", LOG_MEL)
    if named == LOG_MEL:
        return LogMel()
    if isinstance(named, dict) and named.get("kind") == "transformers" and isinstance(named.get("model"), str):
        from backend.speech.transformer import TransformerFeatures

        return TransformerFeatures.load(named["model"], int(named.get("layer", -1)), beside=card.parent)
    raise Fault(
        "voice-model",
        f"The weights {card.stem} were trained with voice features that AUtter does not know.",
        "Install a newer AUtter.",
    )
