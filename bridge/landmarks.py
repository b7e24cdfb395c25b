# SPDX-License-Identifier: GPL-3.0-or-later
"""The 162 facial landmarks: their order, regions, contour edges and maps to MediaPipe's 478 and iBUG's 68.

Left and right are the subject's own, as in MediaPipe. Arrays of landmarks are ``(..., 162, 2)``, x to the right and y
down. The groups stand in the order lips 40, eyes 16 + 16, brows 10 + 10, face oval 36, nose 24, iris rings 4 + 4,
iris centres 2 (left, right); within a group the points follow its contour.
"""

from __future__ import annotations

from itertools import pairwise

LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
EYE_LEFT = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
EYE_RIGHT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
BROW_LEFT = (276, 283, 282, 295, 285, 336, 296, 334, 293, 300)
BROW_RIGHT = (46, 53, 52, 65, 55, 107, 66, 105, 63, 70)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
NOSE = (
    168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 97, 98, 64, 48, 115, 220, 45, 275, 440, 344, 278, 294, 327, 326,
)  # fmt: skip
IRIS_LEFT = (474, 475, 476, 477)
IRIS_RIGHT = (469, 470, 471, 472)
IRIS_CENTRES = (473, 468)

MEDIAPIPE_INDICES: tuple[int, ...] = (
    *LIPS_OUTER, *LIPS_INNER, *EYE_LEFT, *EYE_RIGHT, *BROW_LEFT, *BROW_RIGHT,
    *FACE_OVAL, *NOSE, *IRIS_LEFT, *IRIS_RIGHT, *IRIS_CENTRES,
)  # fmt: skip
LANDMARK_COUNT = len(MEDIAPIPE_INDICES)

OF_MEDIAPIPE: dict[int, int] = {mesh: ours for ours, mesh in enumerate(MEDIAPIPE_INDICES)}


def _ours(mesh_indices: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(OF_MEDIAPIPE[index] for index in mesh_indices)


REGIONS: dict[str, tuple[int, ...]] = {
    "lips_outer": _ours(LIPS_OUTER),
    "lips_inner": _ours(LIPS_INNER),
    "eye_left": _ours(EYE_LEFT),
    "eye_right": _ours(EYE_RIGHT),
    "brow_left": _ours(BROW_LEFT),
    "brow_right": _ours(BROW_RIGHT),
    "face_oval": _ours(FACE_OVAL),
    "nose": _ours(NOSE),
    "iris_left": _ours(IRIS_LEFT),
    "iris_right": _ours(IRIS_RIGHT),
    "iris_centres": _ours(IRIS_CENTRES),
}

# The points that define the canonical frame and the measures of lips, lids and jaw.
EYE_OUTER_LEFT = OF_MEDIAPIPE[263]
EYE_OUTER_RIGHT = OF_MEDIAPIPE[33]
EYE_INNER_LEFT = OF_MEDIAPIPE[362]
EYE_INNER_RIGHT = OF_MEDIAPIPE[133]
LID_UPPER_LEFT, LID_LOWER_LEFT = OF_MEDIAPIPE[386], OF_MEDIAPIPE[374]
LID_UPPER_RIGHT, LID_LOWER_RIGHT = OF_MEDIAPIPE[159], OF_MEDIAPIPE[145]
LIP_INNER_UPPER, LIP_INNER_LOWER = OF_MEDIAPIPE[13], OF_MEDIAPIPE[14]
MOUTH_CORNER_LEFT, MOUTH_CORNER_RIGHT = OF_MEDIAPIPE[291], OF_MEDIAPIPE[61]
CHIN = OF_MEDIAPIPE[152]
NOSE_TIP = OF_MEDIAPIPE[4]

IBUG_68: tuple[int, ...] = _ours((
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw, right ear to left ear
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
))  # fmt: skip


def _ring(mesh_indices: tuple[int, ...]) -> list[tuple[int, int]]:
    points = _ours(mesh_indices)
    return [(points[i], points[(i + 1) % len(points)]) for i in range(len(points))]


def _line(mesh_indices: tuple[int, ...]) -> list[tuple[int, int]]:
    points = _ours(mesh_indices)
    return list(pairwise(points))


CONTOUR_EDGES: tuple[tuple[int, int], ...] = tuple(
    _ring(LIPS_OUTER)
    + _ring(LIPS_INNER)
    + _ring(EYE_LEFT)
    + _ring(EYE_RIGHT)
    + _ring(BROW_LEFT)
    + _ring(BROW_RIGHT)
    + _ring(FACE_OVAL)
    + _line((168, 6, 197, 195, 5, 4, 1, 19, 94, 2))
    + _line((2, 97, 98, 64, 48, 115, 220, 45, 4))
    + _line((2, 326, 327, 294, 278, 344, 440, 275, 4))
    + _ring(IRIS_LEFT)
    + _ring(IRIS_RIGHT)
)


def _mirror() -> tuple[int, ...]:
    """Index of each point's twin on the other half of the face."""
    pairs: dict[int, int] = {}
    lips_outer_lower = LIPS_OUTER[:11]
    lips_outer_upper = (LIPS_OUTER[10], *LIPS_OUTER[11:], LIPS_OUTER[0])
    lips_inner_lower = LIPS_INNER[:11]
    lips_inner_upper = (LIPS_INNER[10], *LIPS_INNER[11:], LIPS_INNER[0])
    for row in (lips_outer_lower, lips_outer_upper, lips_inner_lower, lips_inner_upper):
        pairs.update(zip(row, reversed(row), strict=True))
    for left, right in ((EYE_LEFT, EYE_RIGHT), (BROW_LEFT, BROW_RIGHT)):
        pairs.update(zip(left, right, strict=True))
        pairs.update(zip(right, left, strict=True))
    oval = (FACE_OVAL[0], *reversed(FACE_OVAL[1:]))
    pairs.update(zip(FACE_OVAL, oval, strict=True))
    pairs.update({index: index for index in NOSE})
    nose_right = (97, 98, 64, 48, 115, 220, 45)
    nose_left = (326, 327, 294, 278, 344, 440, 275)
    pairs.update(zip(nose_right, nose_left, strict=True))
    pairs.update(zip(nose_left, nose_right, strict=True))
    # Iris rings run right, top, left, bottom in the image; mirroring swaps the outer and inner point.
    for iris_left, iris_right in zip(IRIS_LEFT, (471, 470, 469, 472), strict=True):
        pairs[iris_left], pairs[iris_right] = iris_right, iris_left
    pairs.update({473: 468, 468: 473})
    return tuple(OF_MEDIAPIPE[pairs[mesh]] for mesh in MEDIAPIPE_INDICES)


MIRROR: tuple[int, ...] = _mirror()
