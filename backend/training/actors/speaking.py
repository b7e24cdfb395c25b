# SPDX-License-Identifier: GPL-3.0-or-later
"""From phones with times to viseme weights: dominance blending, with forced closure on p, b and m.

Cohen and Massaro, "Modeling Coarticulation in Synthetic Visual Speech", 1993: each phone pulls towards its target with a
dominance that falls off exponentially with the distance in time; the weights are the dominance-weighted mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .expression import VISEME_INDEX, VISEMES
from .phones import Phone

Float = NDArray[np.float32]

FPS: Final = 25.0

# Target per phone, and how strongly it insists (alpha). Two targets: a diphthong's first and second half.
_TARGETS: Final[dict[str, tuple[tuple[dict[str, float], ...], float]]] = {
    "SIL": (({},), 0.55),
    "AA": (({"aa": 1.0},), 1.0),
    "AE": (({"aa": 0.7, "E": 0.4},), 1.0),
    "AH": (({"aa": 0.5, "E": 0.2},), 0.7),
    "AO": (({"O": 0.8, "aa": 0.35},), 1.0),
    "AW": (({"aa": 0.95}, {"U": 0.7, "O": 0.2}), 1.0),
    "AY": (({"aa": 0.95}, {"I": 0.8}), 1.0),
    "EH": (({"E": 0.95},), 0.95),
    "ER": (({"RR": 0.7, "E": 0.2},), 0.8),
    "EY": (({"E": 0.95}, {"I": 0.8}), 0.95),
    "IH": (({"I": 0.75, "E": 0.1},), 0.7),
    "IY": (({"I": 1.0},), 0.9),
    "OW": (({"O": 1.0}, {"U": 0.9}), 1.0),
    "OY": (({"O": 1.0}, {"I": 0.8}), 1.0),
    "UH": (({"U": 0.6, "O": 0.3},), 0.8),
    "UW": (({"U": 1.0},), 1.0),
    "P": (({"PP": 1.0},), 1.2),
    "B": (({"PP": 1.0},), 1.2),
    "M": (({"PP": 1.0},), 1.2),
    "F": (({"FF": 1.0},), 1.1),
    "V": (({"FF": 0.9},), 1.0),
    "TH": (({"TH": 0.9},), 0.7),
    "DH": (({"TH": 0.7},), 0.55),
    "T": (({"DD": 0.35},), 0.5),
    "D": (({"DD": 0.35},), 0.5),
    "N": (({"nn": 0.28},), 0.5),
    "L": (({"nn": 0.4},), 0.6),
    "S": (({"SS": 0.55},), 0.75),
    "Z": (({"SS": 0.5},), 0.7),
    "SH": (({"CH": 1.0},), 0.95),
    "ZH": (({"CH": 0.9},), 0.9),
    "CH": (({"CH": 1.0},), 0.95),
    "JH": (({"CH": 0.9},), 0.9),
    "K": (({"kk": 0.4},), 0.4),
    "G": (({"kk": 0.4},), 0.4),
    "NG": (({"kk": 0.35},), 0.4),
    "HH": (({"aa": 0.25},), 0.2),
    "R": (({"RR": 0.9},), 0.8),
    "W": (({"U": 1.0},), 1.0),
    "Y": (({"I": 0.8},), 0.7),
}
BILABIALS: Final = ("P", "B", "M")
_FALL_BEFORE, _FALL_AFTER = 0.055, 0.065  # seconds in which a dominance falls to 1/e
_CORE = 0.4  # share of a phone's length over which its dominance is whole
_SHORTEST_CLOSURE = 0.046  # seconds: longer than a frame, so that no closure falls between two
_CLOSURE_EASE = 0.06  # seconds


def frame_times(frames: int, fps: float = FPS) -> Float:
    """(frames,) seconds of the middle of each frame."""
    return np.asarray((np.arange(frames) + 0.5) / fps, np.float32)


def viseme_weights(phones: Sequence[Phone], times: Float, strength: float = 1.0) -> Float:
    """(frames, 15) viseme weights at ``times`` (frames,) seconds.

    ``strength``: how widely this speaker articulates; closures stay whole. The column of PP is the lips' closure, 1 in
    every p, b and m.
    """
    total = np.full(len(times), 1e-4)
    blend = np.zeros((len(times), len(VISEMES)))
    for phone in phones:
        targets, insistence = _TARGETS[phone.name]
        edges = np.linspace(phone.start, phone.end, len(targets) + 1)
        for target, start, end in zip(targets, edges[:-1], edges[1:]):
            dominance = insistence * _dominance(times, float(start), float(end))
            total += dominance
            for name, weight in target.items():
                blend[:, VISEME_INDEX[name]] += dominance * weight * strength
    weights = blend / total[:, None]
    closure = lip_closure(phones, times)
    weights *= (1.0 - closure)[:, None]
    weights[:, VISEME_INDEX["PP"]] = closure
    return weights.astype(np.float32)


def lip_closure(phones: Sequence[Phone], times: Float) -> Float:
    """(frames,) 0..1: 1 while p, b or m holds the lips shut, with short eases before and after."""
    closure = np.zeros(len(times), np.float32)
    for phone in phones:
        if phone.name not in BILABIALS:
            continue
        length = phone.end - phone.start
        # p and b are shut until the burst near their end; m to its end.
        start, end = phone.start + 0.1 * length, phone.end - (0.1 if phone.name == "M" else 0.3) * length
        missing = max(_SHORTEST_CLOSURE - (end - start), 0.0) / 2
        outside = np.maximum(start - missing - times, times - end - missing)
        closure = np.maximum(closure, _ease(1.0 - outside / _CLOSURE_EASE))
    return closure


def _dominance(times: Float, start: float, end: float) -> Float:
    margin = (1.0 - _CORE) / 2 * (end - start)
    before = np.maximum(start + margin - times, 0.0) / _FALL_BEFORE
    after = np.maximum(times - (end - margin), 0.0) / _FALL_AFTER
    return np.exp(-(before + after))


def _ease(share: Float) -> Float:
    share = np.clip(share, 0.0, 1.0)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
