# SPDX-License-Identifier: GPL-3.0-or-later
"""What an animator might key: acted AU curves, and random choices of which AUs are keyed where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_COUNT, AU_INDEX, MAXIMUM_INTENSITY

FloatArray = NDArray[np.float32]

BLINK = AU_INDEX["AU45"]
# AUs that speech itself uses: in tracked clips their estimates follow the words.
ARTICULATION = tuple(AU_INDEX[key] for key in ("AU10", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26", "AU28"))
# Cheeks, lower lids, nose and smile: a tracker sees them stir with every word, though nobody acted them.
_STIRRED = tuple(AU_INDEX[key] for key in ("AU06", "AU07", "AU09", "AU12"))
# Lips and jaw are what speech moves too: how a key adds to it is learnt from more examples.
_CHANCES = np.array([3.0 if index in (AU_INDEX["AU25"], AU_INDEX["AU26"]) else 1.0 for index in range(AU_COUNT) if index != BLINK])
_CHANCES /= _CHANCES.sum()
_ALL_FREE, _ALL_KEYED = 0.2, 0.25


def acted_curve(frames: int, generator: np.random.Generator) -> FloatArray:
    """One AU's intensity, (frames,) 0..5: constant, a hold between eases, or keys with smooth ways between them."""
    kind = generator.random()
    if kind < 0.3:
        return np.full(frames, generator.uniform(0.0, MAXIMUM_INTENSITY), np.float32)
    if kind < 0.6:
        start, end = np.sort(generator.integers(-10, frames + 10, 2))
        rise, fall = generator.uniform(2, 14, 2)
        times = np.arange(frames)
        level = np.minimum(np.clip((times - start) / rise, 0, 1), np.clip((end - times) / fall, 0, 1))
        return (generator.uniform(1.0, MAXIMUM_INTENSITY) * _eased(level)).astype(np.float32)
    count = int(generator.integers(2, 6))
    places = np.sort(generator.uniform(0, frames, count))
    heights = generator.uniform(0, MAXIMUM_INTENSITY, count) * (generator.random(count) < 0.7)
    position = np.interp(np.arange(frames), places, np.arange(count))
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, count - 1)
    return (heights[low] + (heights[high] - heights[low]) * _eased(position - low)).astype(np.float32)


def acted_aus(frames: int, generator: np.random.Generator, most: int = 5, blinks: bool = True) -> FloatArray:
    """Curves of a few AUs at once, the others at rest, (frames, 18) 0..5."""
    aus = np.zeros((frames, AU_COUNT), np.float32)
    others = [index for index in range(AU_COUNT) if index != BLINK]
    for index in generator.choice(others, int(generator.integers(1, most + 1)), replace=False, p=_CHANCES):
        aus[:, index] = acted_curve(frames, generator)
    if blinks and generator.random() < 0.5:
        aus[:, BLINK] = blinking(frames, generator) if generator.random() < 0.6 else acted_curve(frames, generator)
    return aus


def blinking(frames: int, generator: np.random.Generator) -> FloatArray:
    """AU45 of one to three blinks, (frames,) 0..5."""
    curve = np.zeros(frames, np.float32)
    for centre in generator.uniform(0, frames, int(generator.integers(1, 4))):
        half = generator.uniform(1.5, 4.0)
        curve = np.maximum(curve, generator.uniform(3.5, 5.0) * _eased(np.clip(1.4 - np.abs(np.arange(frames) - centre) / half, 0, 1)))
    return curve.astype(np.float32)


def keyed_mask(frames: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which AUs are keyed where, (frames, 18): all free in a fifth of the draws, all keyed in a quarter, else a random choice of whole
    AUs, some of them for a span only. AU45 is nearly always keyed, as it is when the generator runs."""
    choice = generator.random()
    if choice < _ALL_FREE:
        mask = np.zeros((frames, AU_COUNT), bool)
    elif choice < _ALL_FREE + _ALL_KEYED:
        mask = np.ones((frames, AU_COUNT), bool)
    else:
        mask = np.repeat((generator.random(AU_COUNT) < generator.uniform(0.1, 0.9))[None], frames, axis=0)
        for index in np.flatnonzero(mask[0] & (generator.random(AU_COUNT) < 0.25)):
            start, end = np.sort(generator.integers(0, frames + 1, 2))
            mask[start:end, index] = False
    mask[:, BLINK] = generator.random() < 0.93
    return mask


def commands_of(aus: FloatArray, literal: bool) -> FloatArray:
    """What an animator would have keyed for a tracked clip's AU estimates (frames, 18): brows, lids and blinks as they are. What speech
    does to the face is no command, except in a captured performance (``literal``), where it is keyed as it was seen."""
    commands = aus.copy()
    commands[:, list(_STIRRED)] = 0.0
    if not literal:
        commands[:, list(ARTICULATION)] = 0.0
    return commands


def lids_only(frames: int) -> NDArray[np.bool_]:
    """Every AU free but AU45, (frames, 18): how the generator runs where the animator has keyed nothing."""
    mask = np.zeros((frames, AU_COUNT), bool)
    mask[:, BLINK] = True
    return mask


def span_fade(mask: NDArray[np.bool_], reach: int = 4) -> FloatArray:
    """1 well inside keyed spans, 0 outside, smooth at their inner borders: (frames, 18)."""
    padded = np.pad(mask.astype(np.float32), ((reach, reach), (0, 0)), mode="edge")
    inside = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return (_eased(np.clip(2 * inside.mean(axis=2) - 1, 0, 1)) * mask).astype(np.float32)


def _eased(share: NDArray[np.floating]) -> NDArray[np.floating]:
    return share * share * (3 - 2 * share)
