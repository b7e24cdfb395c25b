# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tracker lets a blink do beside closing the lids, taken off the clips that the generator learns from.

When lids close, the tracked lower lids rise as under AU06 and the brows stir. Learnt as it is, a keyed AU45 keys AU06 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.motion.config import LANDMARK_COUNT
from backend.motion.face import ReferenceFace
from backend.training.motion.commands import BLINK
from backend.training.motion.dataset import Clip
from bridge.facs import MAXIMUM_INTENSITY
from bridge.landmarks import REGIONS

_BLINKING = 50  # frames with closing lids that are needed to tell what they pull along


def without_blink_pull(clips: Sequence[Clip], face: ReferenceFace) -> list[Clip]:
    """The clips with blinks as AU45 alone moves the reference face: what follows the lids (see ``blink_pull``) is taken off and the
    effect of AU45 is put in its place. AU45 of a tracked clip is read off the lid gap, so both rise along with it. Eyes and brows alone:
    people blink where they begin or end a word, so what lips and jaw do meanwhile is speech."""
    pull = blink_pull(clips)
    if not pull.any():
        return list(clips)
    upper = np.zeros((LANDMARK_COUNT, 1), np.float32)
    for name, points in REGIONS.items():
        if name.startswith(("eye", "iris", "brow")):
            upper[list(points)] = 1.0
    change = upper * (face.fields[BLINK, :, :2] / MAXIMUM_INTENSITY - pull)
    return [replace(clip, motion=(clip.motion + clip.aus[:, BLINK, None, None] * change).astype(np.float32)) for clip in clips]


def blink_pull(clips: Sequence[Clip]) -> NDArray[np.float32]:
    """(162, 2) inter-ocular units of the reference face that each landmark moves for every intensity of AU45, by least squares; zero
    where there are too few blinks to tell."""
    together, own, closing = np.zeros((LANDMARK_COUNT, 2)), 0.0, 0
    for clip in clips:
        lids = clip.aus[:, BLINK] - clip.aus[:, BLINK].mean()
        together += np.einsum("f,fpc->pc", lids, clip.motion - clip.motion.mean(axis=0))
        own += float(lids @ lids)
        closing += int((clip.aus[:, BLINK] > 1.0).sum())
    return (together / own if closing >= _BLINKING else together * 0.0).astype(np.float32)
