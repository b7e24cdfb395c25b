# SPDX-License-Identifier: GPL-3.0-or-later
"""How well predicted lips follow the voice, on tracked clips that were held out of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_phones import BILABIAL, SILENT, Phone
from backend.motion.config import MOTION_RATE
from backend.motion.measures import lip_gap
from backend.speech.features import energy_of_rows, normalised_rows
from backend.training.motion.dataset import CLOSED_SHARE, Clip
from bridge.landmarks import REGIONS

FloatArray = NDArray[np.float32]
# A predictor gives a clip's motion (frames, 162, 2) of the reference face; the second clip is whose voice it hears.
Predictor = Callable[[Clip, Clip], FloatArray]

_LIPS = list(REGIONS["lips_outer"] + REGIONS["lips_inner"])
_MOST_LAG = 6


@dataclass(frozen=True)
class VoiceScores:
    """One predictor's row. r: correlation of the lip gap with the real one."""

    gap_r: float
    gap_r_p10: float
    wrong_voice_r: float
    lip_error_share: float
    best_lag: float
    second_difference: float
    closed_bilabials: float | None
    closed_others: float | None

    @property
    def voice_share(self) -> float:
        """r with the right voice minus r with another clip's voice."""
        return self.gap_r - self.wrong_voice_r


def scores(predict: Predictor, clips: Sequence[Clip], phones: Sequence[list[Phone]], mean: FloatArray, wrong: bool = True) -> VoiceScores:
    """Scores of one predictor over clips; ``mean`` (162, 2) is the mean-face baseline's constant motion."""
    right = [predict(clip, clip) for clip in clips]
    real = [points_of(clip, clip.motion) for clip in clips]
    made = [points_of(clip, motion) for clip, motion in zip(clips, right, strict=True)]
    gap_r = np.array([correlation(lip_gap(a), lip_gap(b)) for a, b in zip(made, real, strict=True)])
    other_r = [0.0]
    if wrong:
        others = [predict(clip, clips[(index + 1) % len(clips)]) for index, clip in enumerate(clips)]
        other_r = [
            correlation(lip_gap(points_of(clip, motion)), lip_gap(points)) for clip, motion, points in zip(clips, others, real, strict=True)
        ]
    error = np.mean([np.linalg.norm((a - b)[:, _LIPS], axis=-1).mean() for a, b in zip(made, real, strict=True)])
    base = np.mean(
        [
            np.linalg.norm((points_of(clip, np.broadcast_to(mean, clip.motion.shape)) - b)[:, _LIPS], axis=-1).mean()
            for clip, b in zip(clips, real, strict=True)
        ]
    )
    shut = [closures(a, b, spoken) for a, b, spoken in zip(made, real, phones, strict=True) if spoken]
    return VoiceScores(
        gap_r=float(gap_r.mean()),
        gap_r_p10=float(np.percentile(gap_r, 10)),
        wrong_voice_r=float(np.mean(other_r)),
        lip_error_share=float(error / base),
        best_lag=float(best_lag(made, real)),
        second_difference=float(roughness(made) / roughness(real)),
        closed_bilabials=_share([part for first, _ in shut for part in first]),
        closed_others=_share([part for _, second in shut for part in second]),
    )


def points_of(clip: Clip, motion: FloatArray) -> FloatArray:
    """Canonical landmarks of the clip's own face under motion of the reference face."""
    return (clip.neutral + motion * clip.scale).astype(np.float32)


def smoothed(curve: FloatArray) -> FloatArray:
    """1-2-1 filter."""
    padded = np.pad(curve, 1, mode="edge")
    return np.asarray((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, np.float32)


def correlation(first: FloatArray, second: FloatArray) -> float:
    """Pearson correlation of two filtered curves; 0 where one is constant."""
    first, second = smoothed(first), smoothed(second)
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size > 1e-9 else 0.0


def best_lag(made: Sequence[FloatArray], real: Sequence[FloatArray]) -> int:
    """Frames by which the prediction comes late (positive) where the mean correlation is highest."""

    def shifted(lag: int) -> float:
        pairs = ((lip_gap(a), lip_gap(b)) for a, b in zip(made, real, strict=True))
        return float(
            np.mean([correlation(a[max(0, lag) : len(a) + min(0, lag)], b[max(0, -lag) : len(b) - max(0, lag)]) for a, b in pairs])
        )

    return max(range(-_MOST_LAG, _MOST_LAG + 1), key=shifted)


def roughness(tracks: Sequence[FloatArray]) -> float:
    """Mean size of the second difference of the lips in time."""
    return float(np.mean([np.linalg.norm(np.diff(track[:, _LIPS], n=2, axis=0), axis=-1).mean() for track in tracks]))


def closures(made: FloatArray, real: FloatArray, phones: Sequence[Phone]) -> tuple[list[bool], list[bool]]:
    """Whether each p, b, m dips under 15 % of the clip's 95th percentile within one frame of its span, and whether each frame of
    another phone lies under it."""
    gap, limit = lip_gap(made), CLOSED_SHARE * float(np.percentile(lip_gap(real), 95))
    lips, others = [], []
    for phone in phones:
        first, last = int(phone.start * MOTION_RATE), int(np.ceil(phone.end * MOTION_RATE))
        if phone.name in BILABIAL:
            lips.append(bool((gap[max(0, first - 1) : last + 1] < limit).any()) if first < len(gap) else False)
        elif phone.name not in SILENT:
            others += [bool(value) for value in gap[first:last] < limit]
    return lips, others


def mean_motion(train: Sequence[Clip]) -> FloatArray:
    """The mean face's motion, (162, 2)."""
    return np.concatenate([clip.motion for clip in train]).mean(axis=0)


def deaf_clock(train: Sequence[Clip]) -> Predictor:
    """Baseline: the mean motion of training clips at the same time after the start; it hears nothing."""
    longest = max(len(clip.motion) for clip in train)
    rows = [np.mean([clip.motion[frame] for clip in train if len(clip.motion) > frame], axis=0) for frame in range(longest)]
    clock = np.stack(rows)
    return lambda clip, _: clock[np.minimum(np.arange(len(clip.motion)), longest - 1)]


def energy_follower(train: Sequence[Clip], reach: int = 6) -> Predictor:
    """Baseline: motion linear in the voice's energy within ``reach`` frames (ridge regression)."""

    def stacked(clip: Clip) -> FloatArray:
        energy = np.pad(energy_of_rows(normalised_rows(clip.log_power)), reach, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(energy, 2 * reach + 1)
        return np.concatenate([windows, np.ones((len(windows), 1))], axis=1)

    inputs = np.concatenate([stacked(clip)[: len(clip.motion)] for clip in train])
    truth = np.concatenate([clip.motion.reshape(len(clip.motion), -1) for clip in train])
    solution = np.linalg.solve(inputs.T @ inputs + 1e-2 * np.eye(inputs.shape[1]), inputs.T @ truth)
    return lambda clip, heard: _fit_length((stacked(heard) @ solution).reshape(-1, *clip.motion.shape[1:]), len(clip.motion))


def _fit_length(motion: FloatArray, frames: int) -> FloatArray:
    return motion[np.minimum(np.arange(frames), len(motion) - 1)].astype(np.float32)


def _share(parts: list[bool]) -> float | None:
    return float(np.mean(parts)) if parts else None
