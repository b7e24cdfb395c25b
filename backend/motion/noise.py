# SPDX-License-Identifier: GPL-3.0-or-later
"""Random draws that belong to a time in the shot: any window of it draws what the whole shot draws there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64  # steps that are drawn together


def latent_noise(first: int, end: int, width: int, seed: int) -> NDArray[np.float32]:
    """Standard normal draws of the latent steps ``first`` to ``end`` (not included), (end - first, width) float32."""
    blocks = range(first // _BLOCK, -(-end // _BLOCK))
    drawn = [np.random.default_rng([seed & 0xFFFFFFFF, 1, block]).standard_normal((_BLOCK, width)) for block in blocks]
    if not drawn:
        return np.zeros((0, width), np.float32)
    start = first - blocks[0] * _BLOCK
    return np.concatenate(drawn)[start : start + end - first].astype(np.float32)
