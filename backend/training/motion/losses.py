# SPDX-License-Identifier: GPL-3.0-or-later
"""What the motion generator is trained for. Every term's weight stands in one dataclass; every term is logged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.motion.config import MOTION_UNIT
from bridge.landmarks import LANDMARK_COUNT, LIPS_INNER, OF_MEDIAPIPE, REGIONS


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms, and of the face's regions inside the reconstruction."""

    reconstruction: float = 1.0
    velocity: float = 0.4
    acceleration: float = 0.1
    opening: float = 0.2
    closure: float = 0.05
    divergence: float = 0.05
    reading: float = 0.15
    agreement: float = 1.0  # what the frozen AU regressor reads, and
    sync: float = 1.0  # how the frozen lip expert finds lips and voice together: `experts.py`
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


def motion_terms(motion: Tensor, truth: Tensor, lips: Tensor, points: Tensor) -> dict[str, Tensor]:
    """Terms that compare motion (batch, frames, 324) with the truth; ``lips`` (batch, 2): see ``closure_term``; ``points`` (324,)."""
    error = (motion - truth) / MOTION_UNIT
    velocity = error[:, 1:] - error[:, :-1]
    acceleration = velocity[:, 1:] - velocity[:, :-1]
    return {
        "reconstruction": (_rounded(error) * points).mean(),
        "velocity": (_rounded(velocity) * points).mean(),
        "acceleration": (_rounded(acceleration) * points).mean(),
        "opening": _rounded(_inner_gap(error)).mean(),
        "closure": closure_term(_inner_gap(motion)[..., 2], _inner_gap(truth)[..., 2], lips),
    }


def closure_term(gap: Tensor, truth: Tensor, lips: Tensor) -> Tensor:
    """Whether lips are shut where they should be and open where they should be: the divergence of two soft yes-or-noes, which asks as
    much of one side as of the other.

    ``gap`` and ``truth`` (batch, frames): change of the lips' opening. ``lips`` (batch, 2): the change under which they count as
    shut, and the opening of the clip's widest mouth (0: this window does not count).
    """
    limit, widest = lips[:, :1], lips[:, 1:]
    soft = (_SOFTNESS * widest).clamp(min=1e-4)
    wanted, made = torch.sigmoid((limit - truth) / soft), (limit - gap) / soft
    missed = nn.functional.binary_cross_entropy_with_logits(made, wanted, reduction="none")
    missed = missed - nn.functional.binary_cross_entropy(wanted, wanted, reduction="none")
    counts = (widest > 0).float().expand_as(missed)
    return (missed * counts).sum() / counts.sum().clamp(min=1.0)


def reading_term(read: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean absolute error of the AU reading (batch, frames, 18) where the truth is known."""
    return ((read - truth).abs() * known).sum() / known.sum().clamp(min=1.0)


def _rounded(error: Tensor) -> Tensor:
    """Squared error with a share of the absolute one. Absolute errors alone leave the mouth nearly shut: that is the median of speech."""
    return 0.2 * error.abs() + 0.6 * error.square()


_SOFTNESS = 0.05  # of the widest mouth: how blurred the border between shut and open is
_LOWER = [2 * OF_MEDIAPIPE[point] + 1 for point in LIPS_INNER[3:8]]
_UPPER = [2 * OF_MEDIAPIPE[point] + 1 for point in reversed(LIPS_INNER[13:18])]


def _inner_gap(motion: Tensor) -> Tensor:
    """Opening of the inner lips at five places, (batch, frames, 5)."""
    return motion[..., _LOWER] - motion[..., _UPPER]
