# SPDX-License-Identifier: GPL-3.0-or-later
"""How lips follow voices the generator was never trained on: other speakers, synthetic actors, transformed recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_voice import Predictor, correlation, points_of
from backend.evaluation.motion_voices import TRANSFORMS
from backend.motion.measures import lip_gap
from backend.speech.features import log_mel
from backend.training.motion.clips import clip_voice, load_actors, load_tracked
from backend.training.motion.dataset import Clip
from backend.training.prepare.prepared import is_prepared

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class OtherVoice:
    """Gap r with voices of one kind: mean over clips, tenth percentile, and with another clip's voice of the same kind."""

    clips: int
    gap_r: float
    gap_r_p10: float
    wrong_voice_r: float

    @property
    def voice_share(self) -> float:
        """r with the right voice minus r with a wrong one."""
        return self.gap_r - self.wrong_voice_r


def other_voice(predict: Predictor, clips: Sequence[Clip], heard: Sequence[Clip]) -> OtherVoice:
    """Scores of clips that are heard through ``heard`` (the same clips, or with another voice)."""

    def r(clip: Clip, voice: Clip) -> float:
        return correlation(lip_gap(points_of(clip, predict(clip, voice))), lip_gap(points_of(clip, clip.motion)))

    right = np.array([r(clip, voice) for clip, voice in zip(clips, heard, strict=True)])
    wrong = np.array([r(clip, heard[(index + 1) % len(heard)]) for index, clip in enumerate(clips)])
    return OtherVoice(len(clips), float(right.mean()), float(np.percentile(right, 10)), float(wrong.mean()))


def transformed(clip: Clip, transform: Callable[[FloatArray], FloatArray]) -> Clip:
    """The clip with its voice changed, its face as it was."""
    power = log_mel(transform(clip_voice(clip.path)))
    count = len(clip.log_power)
    power = power[:count] if len(power) >= count else np.pad(power, ((0, count - len(power)), (0, 0)), mode="edge")
    return replace(clip, log_power=power)


def transformed_voices(predict: Predictor, clips: Sequence[Clip]) -> dict[str, OtherVoice]:
    """Held-out clips through every transform of ``TRANSFORMS``, and as they are."""
    rows = {"as recorded": other_voice(predict, clips, clips)}
    for name, transform in TRANSFORMS.items():
        rows[name] = other_voice(predict, clips, [transformed(clip, transform) for clip in clips])
    return rows


def other_speakers(predict: Predictor, folders: Sequence[Path], most: int | None) -> OtherVoice | None:
    """Prepared clips of other speakers, one folder for each or folders of folders; None where there are none."""
    clips: list[Clip] = []
    for folder in speaker_folders(folders):
        clips += load_tracked(folder, None, most)
    return other_voice(predict, clips, clips) if clips else None


def speaker_folders(folders: Sequence[Path]) -> list[Path]:
    """Of the given folders and those right inside them, the ones that hold prepared clips."""
    candidates = [place for folder in folders for place in (folder, *sorted(path for path in folder.glob("*") if path.is_dir()))]
    return [place for place in candidates if any(is_prepared(path) for path in place.glob("*.npz"))]


def actors(predict: Predictor, folder: Path, most: int | None) -> OtherVoice | None:
    """Actors who speak with voices that training has not heard, ``most`` clips spread over the folder; None where it holds none."""
    clips = load_actors(folder) if folder.is_dir() else []
    spoken = [clip for clip in clips if clip_voice(clip.path).any()]
    chosen = spoken if most is None else spoken[:: max(1, len(spoken) // most)][:most]
    return other_voice(predict, chosen, chosen) if chosen else None
