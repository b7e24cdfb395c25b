# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures of rendered face crops against the real ones: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import (
    EYE_LEFT,
    EYE_RIGHT,
    LID_LOWER_LEFT,
    LID_LOWER_RIGHT,
    LID_UPPER_LEFT,
    LID_UPPER_RIGHT,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    OF_MEDIAPIPE,
    REGIONS,
)

from .second_detector import shape_predictor

Picture = NDArray[np.uint8]
Array = NDArray[np.float32]
REGION_NAMES = ("crop", "oval", "mouth", "eyes")
_OUTER_CORNERS = OF_MEDIAPIPE[EYE_LEFT[0]], OF_MEDIAPIPE[EYE_RIGHT[0]]
_LIPS = list(REGIONS["lips_outer"] + REGIONS["lips_inner"])


def psnr(picture: Picture, real: Picture, mask: NDArray[np.bool_]) -> float:
    """Peak signal to noise ratio in dB over the pixels of a mask (h, w); pictures (h, w, 3) uint8."""
    difference = picture[mask].astype(np.float32) - real[mask].astype(np.float32)
    return float(10 * np.log10(255**2 / max(float(np.square(difference).mean()), 1e-3)))


def region_masks(points: Array, side: int) -> dict[str, NDArray[np.bool_]]:
    """Masks (side, side) of the whole crop, the face oval, and boxes round mouth and eyes; points (162, 2) crop coordinates."""
    whole = np.ones((side, side), bool)
    oval = np.zeros((side, side), np.uint8)
    outline = np.rint(points[list(REGIONS["face_oval"])] * side).astype(np.int32)
    cv2.fillConvexPoly(oval, cv2.convexHull(outline), 1)
    mouth = _box(points[_LIPS], 0.25, side)
    eyes = _box(points[list(REGIONS["eye_left"])], 0.3, side) | _box(points[list(REGIONS["eye_right"])], 0.3, side)
    return {"crop": whole, "oval": oval.astype(bool), "mouth": mouth, "eyes": eyes}


def inter_ocular(points: Array) -> Array:
    """Distance of the outer eye corners, (...,) for points (..., 162, 2)."""
    return np.asarray(np.linalg.norm(points[..., _OUTER_CORNERS[0], :] - points[..., _OUTER_CORNERS[1], :], axis=-1), np.float32)


def lip_gap(points: Array) -> Array:
    """Opening of the inner lips in inter-ocular units, (...,) for points (..., 162, 2)."""
    gap = np.linalg.norm(points[..., LIP_INNER_UPPER, :] - points[..., LIP_INNER_LOWER, :], axis=-1)
    return np.asarray(gap / inter_ocular(points), np.float32)


def lid_gap(points: Array) -> Array:
    """Mean opening of the lids in inter-ocular units, (...,) for points (..., 162, 2)."""
    left = np.linalg.norm(points[..., LID_UPPER_LEFT, :] - points[..., LID_LOWER_LEFT, :], axis=-1)
    right = np.linalg.norm(points[..., LID_UPPER_RIGHT, :] - points[..., LID_LOWER_RIGHT, :], axis=-1)
    return np.asarray((left + right) / 2 / inter_ocular(points), np.float32)


def landmark_errors(found: Array, asked: Array) -> tuple[float, float]:
    """Mean distance of re-detected from asked landmarks (n, 162, 2), % of the inter-ocular distance: all points, lips."""
    distance = np.linalg.norm(found - asked, axis=-1) / inter_ocular(asked)[:, None] * 100
    return float(distance.mean()), float(distance[:, _LIPS].mean())


def blink_share(found: Array, asked: Array) -> float | None:
    """How much of the asked lid closure shows: mean over the rows where the lids are asked to shut by more than 60 %."""
    wide = float(np.percentile(lid_gap(asked), 90))
    closing = 1 - lid_gap(asked) / wide
    rows = closing > 0.6
    if rows.sum() < 2:
        return None
    wide_found = float(np.percentile(lid_gap(found), 90))
    return float(np.mean((1 - lid_gap(found)[rows] / wide_found) / closing[rows]))


def flicker(frames: list[Picture], masks: list[NDArray[np.bool_]]) -> float:
    """Mean absolute change from frame to frame in grey levels, away from the face in both frames."""
    changes = []
    for before, after, mask_before, mask_after in zip(frames, frames[1:], masks, masks[1:], strict=False):
        still = ~(mask_before | mask_after)
        if still.any():
            changes.append(float(np.abs(after[still].astype(np.float32) - before[still].astype(np.float32)).mean()))
    return float(np.mean(changes)) if changes else 0.0


def correlation(first: Array, second: Array) -> float | None:
    """Pearson's r, None where one of them does not move."""
    if len(first) < 3 or first.std() < 1e-6 or second.std() < 1e-6:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def grown(mask: NDArray[np.bool_], share: float = 0.12) -> NDArray[np.bool_]:
    """The mask grown by a share of its picture's side: hair, ears and neck count as face."""
    reach = max(int(mask.shape[0] * share), 1)
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)).astype(bool)


@lru_cache(maxsize=1)
def identity_measure() -> Callable[[Picture], Any] | None:
    """A function from a picture to a 128-number face descriptor (or None without a face); None where dlib is not installed.

    Metric only: its landmark model was trained on non-commercial data and is never shipped.
    """
    predictor = shape_predictor()
    if predictor is None:
        return None
    import dlib
    import face_recognition_models as models

    detector = dlib.get_frontal_face_detector()
    encoder = dlib.face_recognition_model_v1(models.face_recognition_model_location())

    def describe(picture: Picture) -> Any:
        faces = detector(picture, 0)
        return np.array(encoder.compute_face_descriptor(picture, predictor(picture, faces[0]))) if len(faces) else None

    return describe


def _box(points: Array, margin: float, side: int) -> NDArray[np.bool_]:
    low, high = points.min(0), points.max(0)
    reach = float((high - low).max()) * margin
    left, top = np.clip(np.rint((low - reach) * side).astype(int), 0, side)
    right, bottom = np.clip(np.rint((high + reach) * side).astype(int), 0, side)
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask
