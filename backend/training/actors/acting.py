# SPDX-License-Identifier: GPL-3.0-or-later
"""Random acting: Action Unit curves with holds and eases, emotions, blinks, head and gaze, all from a given generator."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_COUNT, AU_INDEX, AU_KEYS, MAXIMUM_INTENSITY

from .speaking import FPS, frame_times

Float = NDArray[np.float32]

# After Ekman and Friesen's emotion predictions (FACS Investigator's Guide), within the eighteen AUs.
EMOTIONS: Final[dict[str, dict[str, float]]] = {
    "joy": {"AU06": 0.8, "AU12": 1.0, "AU25": 0.4},
    "smile": {"AU12": 0.8},
    "sadness": {"AU01": 1.0, "AU04": 0.6, "AU15": 1.0, "AU17": 0.5},
    "anger": {"AU04": 1.0, "AU05": 0.6, "AU07": 0.8, "AU23": 0.9},
    "fear": {"AU01": 0.9, "AU02": 0.7, "AU04": 0.6, "AU05": 0.9, "AU20": 0.8, "AU25": 0.6},
    "surprise": {"AU01": 1.0, "AU02": 1.0, "AU05": 0.8, "AU26": 0.7, "AU25": 0.5},
    "disgust": {"AU09": 1.0, "AU10": 0.7, "AU17": 0.5, "AU15": 0.3},
    "contempt": {"AU14": 1.0, "AU12": 0.2},
    "doubt": {"AU04": 0.5, "AU07": 0.5, "AU17": 0.7, "AU15": 0.4},
    "effort": {"AU04": 0.8, "AU06": 0.6, "AU07": 0.7, "AU20": 0.6},
}
MANNERS: Final = ("single", "emotion", "mixed", "calm")
_MANNER_SHARES: Final = (0.4, 0.25, 0.25, 0.1)
_EMPHASIS: Final = ("AU01", "AU02", "AU04", "AU12", "AU06")


def draw_acting(random: np.random.Generator, frames: int, manner: str | None = None, unit: str | None = None) -> Float:
    """(frames, 18) AU intensities 0..5.

    ``manner``: one of ``MANNERS``; ``single`` moves one AU alone (``unit``, else a random one); every manner blinks.
    """
    chosen = manner or str(random.choice(MANNERS, p=_MANNER_SHARES))
    aus = np.zeros((frames, AU_COUNT), np.float32)
    times = frame_times(frames)
    length = frames / FPS
    if chosen == "single":
        column = AU_INDEX[unit or str(random.choice(AU_KEYS))]
        for _ in range(1 + random.poisson(length / 3.5)):
            _add(aus, column, _event(random, times, float(random.uniform(1.5, 5.0))))
    elif chosen == "emotion":
        for _ in range(1 + random.poisson(length / 5)):
            _feel(aus, random, times, str(random.choice(list(EMOTIONS))))
    elif chosen == "mixed":
        for key in random.choice(AU_KEYS, size=int(random.integers(2, 6)), replace=False):
            for _ in range(1 + random.poisson(length / 6)):
                _add(aus, AU_INDEX[str(key)], _event(random, times, float(random.uniform(0.8, 5.0))))
    for _ in range(random.poisson(length / (2.5 if chosen == "calm" else 8))):
        _add(aus, AU_INDEX[str(random.choice(_EMPHASIS))], _event(random, times, float(random.uniform(0.3, 1.6)), brief=True))
    _add(aus, AU_INDEX["AU45"], blinks(random, times))
    return np.clip(aus, 0.0, MAXIMUM_INTENSITY)


def blinks(random: np.random.Generator, times: Float, per_minute: float = 17.0) -> Float:
    """(frames,) AU45 of spontaneous blinks, 120 to 200 ms, faster down than up."""
    result = np.zeros(len(times), np.float32)
    moment = float(random.exponential(30.0 / per_minute))
    while moment < times[-1]:
        down, up = random.uniform(0.05, 0.08), random.uniform(0.08, 0.13)
        peak = random.uniform(4.2, 5.0)
        shape = np.where(times < moment, 1.0 - (moment - times) / down, 1.0 - (times - moment) / up)
        result = np.maximum(result, peak * np.clip(shape * 1.5, 0.0, 1.0))
        moment += max(float(random.exponential(60.0 / per_minute)), 0.5)
    return result.astype(np.float32)


def draw_head(random: np.random.Generator, frames: int, amount: float = 1.0) -> Float:
    """(frames, 6) quiet head motion: yaw, pitch, roll in degrees, x, y in inter-ocular distances, scale."""
    sizes = np.array([5.0, 3.5, 2.5, 0.05, 0.04, 0.015]) * amount
    head = _wander(random, frames, 6, 0.35) * sizes
    head[:, :3] += random.normal(0.0, 1.0, 3) * sizes[:3]
    head[:, 5] += 1.0
    return head.astype(np.float32)


def draw_gaze(random: np.random.Generator, frames: int) -> Float:
    """(frames, 2) gaze in -1..1: held fixations near the viewer with quick jumps between them."""
    gaze = np.zeros((frames, 2), np.float32)
    frame = 0
    while frame < frames:
        hold = int(random.uniform(0.4, 2.5) * FPS)
        gaze[frame : frame + hold] = np.clip(random.normal(0.0, 0.13, 2), -0.5, 0.5)
        frame += hold
    return gaze


def _feel(aus: Float, random: np.random.Generator, times: Float, emotion: str) -> None:
    """Adds one emotion: its AUs rise and fall nearly together, each in its own time and strength."""
    strength = float(random.uniform(1.5, 5.0))
    span = _Span(random, times)
    for key, share in EMOTIONS[emotion].items():
        peak = strength * share * float(random.uniform(0.75, 1.25))
        _add(aus, AU_INDEX[key], span.shifted(random).curve(random, times, min(peak, MAXIMUM_INTENSITY)))


class _Span:
    """When a movement begins, holds and ends, in seconds."""

    def __init__(self, random: np.random.Generator, times: Float, brief: bool = False) -> None:
        length = float(times[-1])
        self.attack = float(random.uniform(0.12, 0.35 if brief else 0.8))
        self.release = float(random.uniform(0.2, 0.5 if brief else 1.3))
        self.hold = float(random.uniform(0.05, 0.3 if brief else min(3.0, 0.5 * length)))
        self.start = float(random.uniform(-0.1 * length, 0.8 * length))

    def shifted(self, random: np.random.Generator) -> _Span:
        """Nearly the same span, as another muscle would take it."""
        other = object.__new__(_Span)
        other.attack = self.attack * float(random.uniform(0.7, 1.4))
        other.release = self.release * float(random.uniform(0.7, 1.4))
        other.hold = self.hold * float(random.uniform(0.8, 1.2))
        other.start = self.start + float(random.normal(0.0, 0.08))
        return other

    def curve(self, random: np.random.Generator, times: Float, peak: float) -> Float:
        """(frames,) intensity: ease in, a hold that drifts a little, ease out."""
        rise = _ease((times - self.start) / self.attack)
        fall = _ease((times - self.start - self.attack - self.hold) / self.release)
        drift = 1.0 + 0.08 * np.sin(2 * np.pi * (times * random.uniform(0.3, 0.9) + random.random()))
        return np.asarray(peak * rise * (1.0 - fall) * drift, np.float32)


def _event(random: np.random.Generator, times: Float, peak: float, brief: bool = False) -> Float:
    return _Span(random, times, brief).curve(random, times, peak)


def _add(aus: Float, column: int, curve: Float) -> None:
    """The stronger of two movements of one AU wins; they do not pile up."""
    aus[:, column] = np.maximum(aus[:, column], curve)


def _wander(random: np.random.Generator, frames: int, channels: int, hertz: float) -> Float:
    """(frames, channels) smooth noise of unit spread."""
    times = frame_times(frames)[:, None]
    result = np.zeros((frames, channels))
    for octave in (0.4, 1.0, 2.2):
        phase = random.random((1, channels)) * 2 * np.pi
        result += np.sin(2 * np.pi * hertz * octave * random.uniform(0.7, 1.3, (1, channels)) * times + phase) / octave**0.8
    return np.asarray(result / 1.9, np.float32)


def _ease(share: Float) -> Float:
    share = np.clip(share, 0.0, 1.0)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
