# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the network has a say: on the face, and a little round it. The rest of the picture is the portrait's alone.

Beside the face it has learned from rendered people, and these hold their bodies still while real ones move with the head, as the spline has
them do (``surroundings.py``). It would undo that, so on neck and chest it is not asked; hair moves alike on both.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, REGIONS

from .warp import GRID

Gate = NDArray[np.float32]

# Of the crop, how far round the face the network may move skin and, above ``_NECK``, paint. Real people are alike with any of .05 to .1 for
# paint; rendered ones gain .05 dB of the square with each hundredth, and show haloes beside heads that turn far, at .1 plainly.
_FLOW_REACH, _PAINT_REACH = 0.02, 0.08
# Face heights above the chin: below, painting keeps to the face. Chosen on rendered people spared for choosing and on two photographs (with
# paint a tenth round the face it takes .25 dB of the square from those and gives these .35; lower cuts take hardly less and give less),
# looked for because of a real man never trained on.
_NECK, _NECK_FADE = 0.4, 0.1
_SOFT = 1.5  # nodes, standard deviation of both gates' edges
_OVAL = list(REGIONS["face_oval"])


def face_gates(points: NDArray[np.float32]) -> Gate:
    """(2, 64, 64) float32, one value a node, 1 on the face of landmarks (162, 2) in crop coordinates, soft, 0 away from it.

    The first is for what the network paints, the second, which is narrower, for its residual flow.
    """
    face = np.zeros((GRID, GRID), np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.rint(points * GRID - 0.5).astype(np.int32)), 1)
    flow, wide = (_grown(face, reach) for reach in (_FLOW_REACH, _PAINT_REACH))
    return np.stack([flow + (wide - flow) * _above_neck(points), flow])


def _grown(face: NDArray[np.uint8], reach: float) -> Gate:
    nodes = round(reach * GRID)
    grown = cv2.dilate(face, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * nodes + 1, 2 * nodes + 1)))
    return np.asarray(cv2.GaussianBlur(grown.astype(np.float32), (0, 0), _SOFT), np.float32)


def _above_neck(points: NDArray[np.float32]) -> Gate:
    """(64, 64): 1 above the neck's height, 0 below, measured along the face, however it is tilted."""
    across = points[EYE_OUTER_LEFT] - points[EYE_OUTER_RIGHT]
    down = np.array([-across[1], across[0]], np.float32) / max(float(np.linalg.norm(across)), 1e-6)
    heights = points[_OVAL] @ down
    tall = max(float(np.ptp(heights)), 1e-6)
    steps = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
    height = steps[None, :] * down[0] + steps[:, None] * down[1]
    return np.clip((heights.max() - _NECK * tall - height) / (_NECK_FADE * tall) + 0.5, 0, 1)
