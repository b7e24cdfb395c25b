# SPDX-License-Identifier: GPL-3.0-or-later
"""From Action Units and visemes to the morph targets of the head mesh.

``face/*`` are ARKit-named shapes made for this mesh, ``ict/*`` ICT-FaceKit's shapes carried over to it. Each AU takes
the shapes that read best; both sides are summed. A weight of 1 stands for an intensity of 5.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_COUNT, AU_INDEX, MAXIMUM_INTENSITY

from .parts import EYE_RETREAT_SHAPE

Float = NDArray[np.float32]

VISEMES: Final = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
VISEME_INDEX: Final = {name: index for index, name in enumerate(VISEMES)}

LIP_CLOSING_SHAPE: Final = "face/mouthClose"
GAZE_SHAPES: Final = tuple(f"face/eyeLook{way}{side}" for way in ("In", "Out", "Up", "Down") for side in ("Left", "Right"))

_SIDES = ("Left", "Right")


def _both(stem: str, weight: float) -> dict[str, float]:
    """A two-sided shape: ``face/xLeft`` and ``face/xRight``, or ``ict/x_L`` and ``ict/x_R``."""
    endings = _SIDES if stem.startswith("face/") else ("_L", "_R")
    return {stem + ending: weight for ending in endings}


AU_SHAPES: Final[dict[str, dict[str, float]]] = {
    "AU01": _both("ict/browInnerUp", 1.0),
    "AU02": _both("ict/browOuterUp", 1.0),
    "AU04": _both("ict/browDown", 1.0) | _both("face/browDown", 0.8),
    "AU05": _both("face/eyeWide", 0.8),
    "AU06": _both("ict/cheekSquint", 1.0) | _both("ict/eyeSquint", 0.35),
    "AU07": _both("ict/eyeSquint", 1.0),
    "AU09": _both("face/noseSneer", 1.0),
    "AU10": _both("face/mouthUpperUp", 1.0),
    "AU12": _both("ict/mouthSmile", 0.9),
    "AU14": _both("ict/mouthDimple", 1.0),
    "AU15": _both("ict/mouthFrown", 1.0),
    "AU17": {"face/mouthShrugLower": 1.0},
    "AU20": _both("ict/mouthStretch", 1.0),
    "AU23": _both("face/mouthPress", 0.6) | {"face/mouthRollLower": 0.25, "face/mouthRollUpper": 0.25},
    "AU25": _both("face/mouthLowerDown", 0.75) | _both("face/mouthUpperUp", 0.35),
    "AU26": {"face/jawOpen": 0.7},
    "AU28": {"face/mouthRollLower": 1.0, "face/mouthRollUpper": 1.0},
    "AU45": _both("face/eyeBlink", 1.0) | {EYE_RETREAT_SHAPE: 1.0},
}

# The same expressions from the mesh's own shapes alone, to vary how an AU looks from person to person.
AU_SHAPES_OWN: Final[dict[str, dict[str, float]]] = AU_SHAPES | {
    "AU01": {"face/browInnerUp": 1.0},
    "AU02": _both("face/browOuterUp", 1.0),
    "AU04": _both("face/browDown", 1.4),
    "AU06": _both("face/cheekSquint", 1.0) | _both("face/eyeSquint", 0.35),
    "AU12": _both("face/mouthSmile", 0.9),
    "AU14": _both("face/mouthDimple", 1.0),
    "AU15": _both("face/mouthFrown", 1.0),
    "AU20": _both("face/mouthStretch", 1.0),
}

SHAPES: Final[tuple[str, ...]] = tuple(
    sorted(
        {name for table in (AU_SHAPES, AU_SHAPES_OWN) for shapes in table.values() for name in shapes} | {LIP_CLOSING_SHAPE, *GAZE_SHAPES}
    )
) + tuple(f"viseme/{name}" for name in VISEMES)
SHAPE_INDEX: Final = {name: index for index, name in enumerate(SHAPES)}

# What keying an AU leaves of its opening while p, b or m shuts the lips.
_GIVES_WAY_TO_CLOSURE: Final = {"AU25": 1.0, "AU10": 0.6, "AU20": 0.2}


def au_matrix(own_share: float = 0.0) -> Float:
    """(18, shapes): shape weights of each AU at intensity 5.

    ``own_share``: 0 takes the table as it is, 1 the mesh's own shapes alone, between them a blend.
    """
    matrix = np.zeros((AU_COUNT, len(SHAPES)), np.float32)
    for key, row in AU_INDEX.items():
        for table, share in ((AU_SHAPES, 1.0 - own_share), (AU_SHAPES_OWN, own_share)):
            for name, weight in table[key].items():
                matrix[row, SHAPE_INDEX[name]] += share * weight
    return matrix


def shape_weights(aus: Float, visemes: Float, gaze: Float | None = None, own_share: float = 0.0, gain: Float | None = None) -> Float:
    """(frames, shapes) weights from AUs (frames, 18) in 0..5 and viseme weights (frames, 15) in 0..1.

    ``gaze``: (frames, 2) in -1..1, to the image's right and up. ``gain``: (shapes,) the person's own strength and
    asymmetry. The weight of PP says how far the lips are pressed shut: AUs that part the lips give way to it, and the
    closing shape undoes what the jaw opened.
    """
    closure = np.clip(visemes[:, VISEME_INDEX["PP"]], 0.0, 1.0)
    scaled = np.array(aus, np.float32) / np.float32(MAXIMUM_INTENSITY)
    for key, share in _GIVES_WAY_TO_CLOSURE.items():
        scaled[:, AU_INDEX[key]] *= 1.0 - share * closure
    weights = scaled @ au_matrix(own_share)
    if gain is not None:
        weights *= gain
    weights[:, SHAPE_INDEX[LIP_CLOSING_SHAPE]] += closure * weights[:, SHAPE_INDEX["face/jawOpen"]]
    weights[:, SHAPE_INDEX["viseme/sil"] :] += visemes
    if gaze is not None:
        _look(weights, np.asarray(gaze, np.float32))
    return np.asarray(weights, np.float32)


def _look(weights: NDArray[Any], gaze: Float) -> None:
    """Adds the eye shapes of a gaze (frames, 2). The image's right is the subject's left."""
    right, up = gaze[:, 0], gaze[:, 1]
    for way, sides in ((np.maximum(right, 0), ("OutLeft", "InRight")), (np.maximum(-right, 0), ("InLeft", "OutRight"))):
        for side in sides:
            weights[:, SHAPE_INDEX[f"face/eyeLook{side}"]] += way
    for side in _SIDES:
        weights[:, SHAPE_INDEX[f"face/eyeLookUp{side}"]] += np.maximum(up, 0)
        weights[:, SHAPE_INDEX[f"face/eyeLookDown{side}"]] += np.maximum(-up, 0)
