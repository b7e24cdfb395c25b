# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical frame: head pose taken out in three dimensions, neutral faces, and the reference face's measures.

Axes are the image's: x right, y down, z away from the camera. Origin between the outer eye corners, unit their
distance. Left and right are the subject's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.motion.measures import brow_distance, lid_height, lid_opening, lip_gap, mouth_width
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, LANDMARK_COUNT, MEDIAPIPE_INDICES, OF_MEDIAPIPE, REGIONS

FloatArray = NDArray[np.float32]

# Mesh points that expressions hardly move: nose bridge, eye corners, temples, upper face oval.
STABLE_MESH_POINTS = (168, 6, 197, 195, 33, 133, 263, 362, 127, 356, 162, 389, 21, 251, 54, 284, 67, 297, 10, 234, 454)

# Measures of the reference face, in inter-ocular units: all motion the generator learns and makes is that of a face
# with these measures. They are round values near the mean of the training people.
REFERENCE_MOUTH_WIDTH = 0.57
REFERENCE_LID_HEIGHT = 0.11
REFERENCE_BROW_DISTANCE = 0.19


@dataclass(frozen=True)
class ClipMotion:
    """``neutral``: (162, 3) float32 canonical. ``motion``: (frames, 162, 2) float32, displacement from it."""

    neutral: FloatArray
    motion: FloatArray


def image_rotation(pose: FloatArray) -> NDArray[np.float64]:
    """Rotation in image axes, (..., 3, 3), of MediaPipe's facial transformation matrices (..., 4, 4).

    MediaPipe's matrix has y up and z towards the viewer; scale and shear are removed.
    """
    flip = np.diag([1.0, -1.0, -1.0])
    left, _, right = np.linalg.svd(flip @ np.asarray(pose, np.float64)[..., :3, :3] @ flip)
    return left @ right


def frontal(mesh: FloatArray, pose: FloatArray) -> FloatArray:
    """Meshes (frames, points, 3) in pixels with the heads turned to the front, about their own first point."""
    centred = mesh - mesh[:, :1]
    return np.einsum("fpc,fcd->fpd", centred, image_rotation(pose)).astype(np.float32)


def canonical(points: FloatArray, left: int = EYE_OUTER_LEFT, right: int = EYE_OUTER_RIGHT) -> FloatArray:
    """Frontal faces (..., points, 2 or 3) in the canonical frame: shifted, scaled, roll removed.

    ``left``, ``right``: indices of the subject's outer eye corners among the points.
    """
    across = points[..., left, :2] - points[..., right, :2]
    unit = np.linalg.norm(across, axis=-1)[..., None, None]
    cosine, sine = np.moveaxis(across / unit[..., 0], -1, 0)
    middle = (points[..., left, :] + points[..., right, :]) / 2
    moved = (points - middle[..., None, :]) / unit
    x = cosine[..., None] * moved[..., 0] + sine[..., None] * moved[..., 1]
    y = -sine[..., None] * moved[..., 0] + cosine[..., None] * moved[..., 1]
    return np.concatenate([np.stack([x, y], axis=-1), moved[..., 2:]], axis=-1).astype(np.float32)


def align(points: FloatArray, target: FloatArray, stable: tuple[int, ...] | NDArray[np.int64]) -> FloatArray:
    """Each frame of (frames, points, 3) laid on ``target`` (points, 3) by the similarity that fits the stable points.

    Least squares after Umeyama (1991), all frames at once.
    """
    stable = np.asarray(stable)
    source, goal = points[:, stable].astype(np.float64), target[stable].astype(np.float64)
    source_mean, goal_mean = source.mean(axis=1, keepdims=True), goal.mean(axis=0)
    source, goal = source - source_mean, goal - goal_mean
    left, singular, right = np.linalg.svd(np.einsum("pc,fpd->fcd", goal, source))
    sign = np.ones_like(singular)
    sign[:, -1] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    rotation = np.einsum("fcd,fd,fde->fce", left, sign, right)
    scale = (singular * sign).sum(axis=1) / np.maximum((source**2).sum(axis=(1, 2)), 1e-12)
    moved = np.einsum("fce,fpe->fpc", rotation, points - source_mean) * scale[:, None, None]
    return (moved + goal_mean).astype(np.float32)


def neutral_frames(points: FloatArray) -> NDArray[np.bool_]:
    """Frames of a clip (frames, 162, 2 or 3) with the mouth at its most closed and the eyes open."""
    gap, lids = lip_gap(points), lid_opening(points)
    chosen = (gap <= np.percentile(gap, 20)) & (lids >= np.percentile(lids, 40))
    return chosen if chosen.any() else gap <= np.percentile(gap, 20)


def clip_motion(mesh: FloatArray, pose: FloatArray, neutral: FloatArray | None = None) -> ClipMotion:
    """Motion of a tracked clip: ``mesh`` (frames, 478, 3) pixels, ``pose`` (frames, 4, 4) MediaPipe matrices.

    MediaPipe's matrix turns every frame to the front; what it leaves of head motion is fitted to the neutral face at the stable points:
    to ``neutral`` (478, 3), the person's own from other clips (``neutral_mesh``), or to the clip's own. A person who smiles from beginning
    to end has no neutral face in the clip.
    """
    target = neutral_mesh(mesh, pose) if neutral is None else neutral
    ours = np.asarray(MEDIAPIPE_INDICES)
    laid = align(canonical(frontal(mesh, pose), left=263, right=33), target, STABLE_MESH_POINTS)[:, ours]
    return ClipMotion(neutral=target[ours], motion=laid[..., :2] - target[ours, :2])


def neutral_mesh(mesh: FloatArray, pose: FloatArray) -> FloatArray:
    """A clip's own neutral face (478, 3) in the canonical frame: the mean of the frames with mouth shut and eyes open."""
    turned = canonical(frontal(mesh, pose), left=263, right=33)
    laid = align(turned, np.median(turned, axis=0), STABLE_MESH_POINTS)
    target = laid[neutral_frames(laid[:, np.asarray(MEDIAPIPE_INDICES)])].mean(axis=0)
    return canonical(target[None], left=263, right=33)[0]


def region_scale(neutral: FloatArray) -> FloatArray:
    """How far each point of this face moves where the reference face moves by one, (162, 2) float32.

    ``neutral``: (162, 2 or 3) canonical. Lips follow the mouth's width, lids the height of the eye, brows their
    distance from the eye; limits keep a mistracked face from flying apart.
    """
    scale = np.ones((LANDMARK_COUNT, 2), np.float32)
    mouth = float(np.clip(mouth_width(neutral) / REFERENCE_MOUTH_WIDTH, 0.75, 1.35))
    brow = float(np.clip(brow_distance(neutral) / REFERENCE_BROW_DISTANCE, 0.6, 1.5))
    scale[list(REGIONS["lips_outer"] + REGIONS["lips_inner"])] = mouth
    scale[list(_CHIN)] = mouth
    for side in ("left", "right"):
        lid = float(np.clip(lid_height(neutral, side) / REFERENCE_LID_HEIGHT, 0.3, 2.0))
        scale[list(REGIONS[f"eye_{side}"]), 1] = lid
        scale[list(REGIONS[f"brow_{side}"]), 1] = brow
    return scale


_CHIN = tuple(OF_MEDIAPIPE[point] for point in (397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172))
