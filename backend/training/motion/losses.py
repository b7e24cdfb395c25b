# SPDX-License-Identifier: GPL-3.0-or-later
"""What the motion generator is trained for. Every term's weight stands in one dataclass; every term is logged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.motion.config import MOTION_UNIT
from bridge.landmarks import LANDMARK_COUNT, LIPS_INNER, OF_MEDIAPIPE, REGIONS


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms, and of the face's regions inside the reconstruction."""

    reconstruction: float = 1.0
    velocity: float = 0.4
    acceleration: float = 0.1
    closure: float = 0.15
    divergence: float = 0.05
    reading: float = 0.15
    lips: float = 4.0
    eyes: float = 2.0
    brows: float = 1.5
    others: float = 0.7


def point_weights(weights: LossWeights) -> Tensor:
    """(324,) weight of every coordinate, mean 1."""
    values = torch.full((LANDMARK_COUNT, 2), weights.others)
    for name, points in REGIONS.items():
        if name.startswith("lips"):
            values[list(points)] = weights.lips
        elif name.startswith(("eye", "iris")):
            values[list(points)] = weights.eyes
        elif name.startswith("brow"):
            values[list(points)] = weights.brows
    return (values / values.mean()).reshape(-1)


def motion_terms(motion: Tensor, truth: Tensor, closed: Tensor, points: Tensor) -> dict[str, Tensor]:
    """Terms that compare motion (batch, frames, 324) with the truth; ``closed`` (batch, frames), ``points`` (324,)."""
    error = (motion - truth) / MOTION_UNIT
    velocity = error[:, 1:] - error[:, :-1]
    acceleration = velocity[:, 1:] - velocity[:, :-1]
    gap = _inner_gap(error)
    return {
        "reconstruction": (_rounded(error) * points).mean(),
        "velocity": (_rounded(velocity) * points).mean(),
        "acceleration": (_rounded(acceleration) * points).mean(),
        "closure": (gap.square() * closed[..., None]).sum() / (closed.sum() * gap.shape[-1] + 1.0),
    }


def reading_term(read: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean absolute error of the AU reading (batch, frames, 18) where the truth is known."""
    return ((read - truth).abs() * known).sum() / known.sum().clamp(min=1.0)


def _rounded(error: Tensor) -> Tensor:
    """Squared error with a share of the absolute one. Absolute errors alone leave the mouth nearly shut: that is the median of speech."""
    return 0.2 * error.abs() + 0.6 * error.square()


_LOWER = [2 * OF_MEDIAPIPE[point] + 1 for point in LIPS_INNER[3:8]]
_UPPER = [2 * OF_MEDIAPIPE[point] + 1 for point in reversed(LIPS_INNER[13:18])]


def _inner_gap(motion: Tensor) -> Tensor:
    """Opening of the inner lips at five places, (batch, frames, 5)."""
    return motion[..., _LOWER] - motion[..., _UPPER]
