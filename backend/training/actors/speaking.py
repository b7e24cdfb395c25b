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

# Target per phone, and how strongly it insists (alpha). Two targets: a diphthong's first and second half. How far each phone opens
# the lips, how strongly it insists and how fast dominances fall was fitted to the lip gap of fifty tracked GRID training clips with
# their phones aligned; on fifty others the gap follows the real one with r = .83 (.74 with targets set by hand). Phones that the corpus
# has less than eight times keep what was set by hand; one with less than thirty lies between.
_TARGETS: Final[dict[str, tuple[tuple[dict[str, float], ...], float]]] = {
    "SIL": (({},), 0.4),
    "AA": (({"aa": 1.0},), 1.0),
    "AE": (({"aa": 0.57, "E": 0.33},), 0.35),
    "AH": (({"aa": 0.6, "E": 0.2},), 0.35),
    "AO": (({"O": 0.71, "aa": 0.31},), 0.81),
    "AW": (
        (
            {"aa": 1.03},
            {"U": 0.42, "O": 0.12},
        ),
        1.06,
    ),
    "AY": (
        (
            {"aa": 0.87},
            {"I": 0.8, "aa": 0.5},
        ),
        0.39,
    ),
    "EH": (({"E": 0.95, "aa": 0.5},), 2.28),
    "ER": (({"RR": 0.7, "E": 0.2},), 0.8),
    "EY": (
        (
            {"E": 0.95, "aa": 0.5},
            {"I": 0.8, "aa": 0.5},
        ),
        1.69,
    ),
    "IH": (({"I": 0.75, "E": 0.1, "aa": 0.5},), 0.75),
    "IY": (({"I": 1.0, "aa": 0.5},), 1.43),
    "OW": (
        (
            {"O": 1.0, "aa": 0.2},
            {"U": 0.9, "aa": 0.17},
        ),
        1.06,
    ),
    "OY": (
        (
            {"O": 1.0},
            {"I": 0.8},
        ),
        1.0,
    ),
    "UH": (({"U": 0.6, "O": 0.3},), 0.8),
    "UW": (({"U": 1.0},), 2.5),
    "P": (({"PP": 1.0},), 2.01),
    "B": (({"PP": 1.0},), 2.5),
    "M": (({"PP": 1.0},), 1.2),
    "F": (({"FF": 0.6},), 1.56),
    "V": (({"FF": 0.54},), 1.27),
    "TH": (({"TH": 0.54},), 1.86),
    "DH": (({"TH": 0.53},), 0.87),
    "T": (({"DD": 0.35, "aa": 0.5},), 0.35),
    "D": (({"DD": 0.35},), 0.5),
    "N": (({"nn": 0.17},), 0.35),
    "L": (({"nn": 0.24},), 2.5),
    "S": (({"SS": 0.55, "aa": 0.5},), 0.82),
    "Z": (({"SS": 0.5, "aa": 0.21},), 0.35),
    "SH": (({"CH": 1.0},), 0.95),
    "ZH": (({"CH": 0.9},), 0.9),
    "CH": (({"CH": 1.0, "aa": 0.11},), 1.03),
    "JH": (({"CH": 0.85},), 0.65),
    "K": (({"kk": 0.4, "aa": 0.24},), 0.51),
    "G": (({"kk": 0.4, "aa": 0.49},), 1.31),
    "NG": (({"kk": 0.35},), 0.4),
    "HH": (({"aa": 0.25},), 0.35),
    "R": (({"RR": 0.54},), 2.31),
    "W": (({"U": 1.0},), 2.46),
    "Y": (({"I": 0.8, "aa": 0.15},), 0.81),
}
BILABIALS: Final = ("P", "B", "M")
_FALL_BEFORE, _FALL_AFTER = 0.085, 0.04  # seconds in which a dominance falls to 1/e
_CORE = 0.65  # share of a phone's length over which its dominance is whole
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
