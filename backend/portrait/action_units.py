# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimating FACS Action Units from MediaPipe's 52 blendshapes.

The blendshapes carry ARKit's names, which follow FACS closely for brows, lids, smile and jaw. Their ranges differ from
shape to shape (a full smile reads .9, a full frown .1), so each Action Unit has the reading at which it counts as 5.
It is an estimate: good for smile, blink, brows and jaw, weak for dimpler, lip tightener and nose wrinkler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_COUNT, AU_KEYS, MAXIMUM_INTENSITY

BLENDSHAPE_NAMES: tuple[str, ...] = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip

# A clip's resting face is read from its lower tenth; more than this is an expression, not a resting face.
RESTING_PERCENTILE = 10.0
LARGEST_RESTING = 0.35
LARGEST_RESTING_SQUINT = 0.75  # narrow eyes read as a squint all the time
SHORTEST_CLIP = 25  # frames below which no resting face can be told from the clip

Column = NDArray[np.floating[Any]]
Readings = Callable[[str], Column]


def estimate_aus(blendshapes: NDArray[np.float32], neutral: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Intensities of the eighteen AUs.

    ``blendshapes``: (n, 52) float32 0..1 in MediaPipe's order. ``neutral``: (52,) reading of the resting face; None takes
    the clip's own (``resting_face``). Returns (n, 18) float32 0..5 in the order of ``ACTION_UNITS``.
    """
    blendshapes = np.asarray(blendshapes, np.float32)
    neutral = resting_face(blendshapes) if neutral is None else np.asarray(neutral, np.float32)
    # Where the resting face already reads high, the rest of the range is stretched so that the full expression still reads 5.
    active = np.clip((blendshapes - neutral) / np.maximum(1 - neutral, 0.1), 0, 1)
    columns = {name: active[:, index] for index, name in enumerate(BLENDSHAPE_NAMES)}

    def read(name: str) -> Column:
        if name in columns:
            return columns[name]
        return (columns[name + "Left"] + columns[name + "Right"]) / 2

    aus = np.zeros((len(blendshapes), AU_COUNT), np.float32)
    for index, key in enumerate(AU_KEYS):
        measure, full = _MEASURES[key]
        aus[:, index] = np.clip(measure(read) / full, 0, 1) * MAXIMUM_INTENSITY
    return aus


def resting_face(blendshapes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(52,) float32: the clip's resting reading per shape, zeros where the clip is too short to tell."""
    if len(blendshapes) < SHORTEST_CLIP:
        return np.zeros(len(BLENDSHAPE_NAMES), np.float32)
    largest = [LARGEST_RESTING_SQUINT if name.startswith("eyeSquint") else LARGEST_RESTING for name in BLENDSHAPE_NAMES]
    return np.minimum(np.percentile(blendshapes, RESTING_PERCENTILE, axis=0), largest).astype(np.float32)


def _blink(read: Readings) -> Column:
    """Lid closure without the lowering of the lid that goes with a downward look."""
    return np.maximum(read("eyeBlink") - 0.4 * read("eyeLookDown"), 0)


def _squint(read: Readings) -> Column:
    return np.maximum(read("eyeSquint") - 0.6 * read("eyeBlink"), 0)


def _cheek(read: Readings) -> Column:
    """Cheek raise: MediaPipe's own cheek shape hardly ever fires; a squint beside a smile is what a raised cheek looks like."""
    return np.maximum(read("cheekSquint"), np.sqrt(_squint(read) * read("mouthSmile")))


def _parted(read: Readings) -> Column:
    lips = (read("mouthLowerDown") + read("mouthUpperUp")) / 2
    return np.maximum(lips, read("jawOpen") - read("mouthClose"))


# Measure, and its reading at intensity 5: chosen by eye on real faces, then moved towards what pictures of synthetic actors with exact
# AUs read (balanced between pictures with and without the AU), and for the blink also towards the blinks of a real speaker.
_MEASURES: dict[str, tuple[Callable[[Readings], Column], float]] = {
    "AU01": (lambda read: read("browInnerUp"), 0.6),
    "AU02": (lambda read: read("browOuterUp"), 0.55),
    "AU04": (lambda read: read("browDown"), 0.75),
    "AU05": (lambda read: read("eyeWide"), 0.25),
    "AU06": (_cheek, 0.8),
    "AU07": (_squint, 0.85),
    "AU09": (lambda read: read("noseSneer"), 0.25),
    "AU10": (lambda read: read("mouthUpperUp"), 0.6),
    "AU12": (lambda read: read("mouthSmile"), 0.95),
    "AU14": (lambda read: np.maximum(read("mouthDimple") - 0.15 * read("mouthSmile"), 0), 0.25),
    "AU15": (lambda read: read("mouthFrown"), 0.3),
    "AU17": (lambda read: read("mouthShrugLower"), 0.6),
    "AU20": (lambda read: read("mouthStretch"), 0.6),
    "AU23": (lambda read: read("mouthPress"), 0.5),
    "AU25": (_parted, 0.55),
    "AU26": (lambda read: read("jawOpen"), 0.65),
    "AU28": (lambda read: (read("mouthRollLower") + read("mouthRollUpper")) / 2, 0.6),
    "AU45": (_blink, 0.4),
}
