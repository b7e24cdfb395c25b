# SPDX-License-Identifier: GPL-3.0-or-later
"""From canonical motion to a landmark track on the portrait, the head turned in three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.motion.canonical import canonical, image_rotation, region_scale
from backend.motion.contact import uncrossed
from backend.motion.face import reference_face
from backend.motion.head import posed_head
from backend.motion.neutralise import neutral_shift
from backend.motion.picture_contact import settled
from backend.speech.features import speech_features
from backend.speech.rows import ArrayRows, Energy
from bridge.landmarks import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_OUTER_LEFT,
    EYE_OUTER_RIGHT,
    EYE_RIGHT,
    MEDIAPIPE_INDICES,
    OF_MEDIAPIPE,
)
from bridge.shot import MotionSettings

if TYPE_CHECKING:
    from backend.portrait.detect import PortraitFace

FloatArray = NDArray[np.float32]

# Heads turn about the top of the neck: below and behind the eyes (canonical units).
_PIVOT = np.array([0.0, 0.75, 0.75], np.float32)
_SMALLEST_UNIT = 1e-3
# Lower row of each brow, the whole brow, and the upper lid under it.
_BROWS = tuple(
    tuple(np.array([OF_MEDIAPIPE[point] for point in points]) for points in (brow[:5], brow, lid))
    for brow, lid in ((BROW_LEFT, EYE_LEFT[9:]), (BROW_RIGHT, EYE_RIGHT[9:]))
)


@dataclass(frozen=True)
class PlacedFace:
    """A portrait's face taken apart: ``frontal`` (162, 3) canonical landmarks as pictured; ``turn`` (3, 3) from the canonical axes to the
    picture's; ``unit`` pixels per inter-ocular distance; ``landmarks`` (162, 2) pixels."""

    frontal: FloatArray
    turn: FloatArray
    unit: float
    landmarks: FloatArray


def placed_face(face: PortraitFace) -> PlacedFace:
    """Takes MediaPipe's head rotation, the size and the roll out of a portrait's landmarks."""
    points = np.concatenate([face.landmarks, face.mesh[list(MEDIAPIPE_INDICES), 2:3]], axis=1).astype(np.float64)
    turn = image_rotation(face.pose)
    turned = (points - points.mean(axis=0)) @ turn
    across = turned[EYE_OUTER_LEFT, :2] - turned[EYE_OUTER_RIGHT, :2]
    unit = max(float(np.linalg.norm(across)), _SMALLEST_UNIT)
    cosine, sine = across / unit
    roll = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return PlacedFace(canonical(turned.astype(np.float32)), (turn @ roll).astype(np.float32), unit, np.asarray(face.landmarks, np.float32))


class Retargeter:
    """Puts canonical motion on one portrait. Its own expression is taken off first; what does not change with time is worked out once."""

    def __init__(self, face: PortraitFace) -> None:
        self._placed = placed_face(face)
        self._shift = neutral_shift(self._placed.frontal, face.blendshapes, reference_face())
        self._neutral = self._placed.frontal + self._shift
        self._scale = region_scale(self._neutral)

    def landmarks(self, motion: FloatArray, pose: FloatArray) -> FloatArray:
        """Landmarks (frames, 162, 2) float32 in portrait pixels.

        ``motion``: (frames, 162, 2) of the reference face. ``pose``: (frames, 6) head pose, as ``head.posed_head`` makes it. Motion is
        scaled to the portrait's mouth, lids and brows, and added before the head turns.
        """
        moved = np.zeros((len(motion), *self._neutral.shape), np.float32)
        moved[..., :2] = motion * self._scale
        moved = _above_lids(self._neutral, moved)
        placed = self._placed
        points = posed_landmarks(placed, _touching(self._neutral, moved) + self._shift, limited(pose, placed.turn))
        return settled(points, placed.landmarks, placed.unit)


def limited(pose: FloatArray, turn: FloatArray) -> FloatArray:
    """Head poses (frames, 6) that do not turn a portrait, which itself is turned by ``turn`` (3, 3), out of sight.

    Yaw and pitch together with the portrait's own are exact up to 50 and 35 degrees and then bend towards 65 and 50: beyond, half of
    the face is behind the other. A frontal portrait follows keys up to there to the letter.
    """
    facing = -turn[:, 2].astype(np.float64)
    own = np.degrees([np.arctan2(facing[0], -facing[2]), np.arctan2(-facing[1], np.hypot(facing[0], facing[2]))])
    result = np.array(pose, np.float32)
    for channel, (exact, most) in enumerate(((50.0, 65.0), (35.0, 50.0))):
        exact = max(exact, abs(own[channel]))  # the portrait as it is is always possible
        bent = _bent(own[channel] + result[:, channel].astype(np.float64), exact, max(most, exact + 5.0)) - own[channel]
        beyond = np.abs(own[channel] + result[:, channel]) > exact
        result[:, channel] = np.where(beyond, bent, result[:, channel])
    return result


def _bent(angles: NDArray[np.float64], exact: float, most: float) -> NDArray[np.float64]:
    over = np.maximum(np.abs(angles) - exact, 0.0)
    return np.sign(angles) * (np.minimum(np.abs(angles), exact) + (most - exact) * np.tanh(over / (most - exact)))


def retarget(
    motion: FloatArray,
    face: PortraitFace,
    head: FloatArray,
    head_keyed: NDArray[np.bool_],
    settings: MotionSettings,
    seed: int,
    samples: FloatArray,
    fps: Fraction,
) -> FloatArray:
    """Landmarks (frames, 162, 2) float32 in portrait pixels, of a whole shot.

    ``motion``: (frames, 162, 2) of the reference face. ``head``: (frames, 6) and ``head_keyed`` (frames, 6), see ``bridge.shot.Shot``;
    channels that are not keyed get quiet idle motion that follows the voice ``samples`` (16 kHz). With no motion and a head at
    rest the track is the neutral portrait, and a portrait at rest stays exactly as it is.
    """
    energy = Energy(ArrayRows(speech_features(samples)))
    pose = posed_head(head, head_keyed, energy, fps, seed, idle_amount(settings))
    return Retargeter(face).landmarks(motion, pose)


def idle_amount(settings: MotionSettings) -> float:
    """How much idle head motion the settings ask for, 0..1."""
    return 0.0 if settings.mouth_only else settings.idle_head


def posed_landmarks(placed: PlacedFace, displacement: FloatArray, pose: FloatArray) -> FloatArray:
    """Pixels (frames, 162, 2) of a face with ``displacement`` (frames, 162, 3), canonical, under head poses (frames, 6).

    Weak perspective. Only differences from the portrait are computed, so that nothing moves what should stand still.
    """
    turns = head_rotation(pose[:, :3])
    still = (placed.frontal - _PIVOT) @ placed.turn.T
    change = displacement @ placed.turn.T
    scale = pose[:, None, None, 5:6].reshape(-1, 1, 1)
    turned = np.einsum("fij,fpj->fpi", turns - np.eye(3, dtype=np.float32), still + change) + change
    grown = scale * (turned + still) - still
    moved = grown[..., :2] + pose[:, None, 3:5]
    return (placed.landmarks + placed.unit * moved).astype(np.float32)


def head_rotation(angles: FloatArray) -> FloatArray:
    """Rotations (frames, 3, 3) in the image's axes (x right, y down, z away) of yaw, pitch, roll in degrees (frames, 3).

    Yaw positive turns the face to the image's right, pitch positive lifts the chin, roll positive tilts clockwise in the image.
    """
    yaw, pitch, roll = np.moveaxis(np.radians(np.asarray(angles, np.float64)), -1, 0)
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*rows: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    about_y = matrix((np.cos(yaw), zero, -np.sin(yaw)), (zero, one, zero), (np.sin(yaw), zero, np.cos(yaw)))
    about_x = matrix((one, zero, zero), (zero, np.cos(pitch), np.sin(pitch)), (zero, -np.sin(pitch), np.cos(pitch)))
    about_z = matrix((np.cos(roll), -np.sin(roll), zero), (np.sin(roll), np.cos(roll), zero), (zero, zero, one))
    return (about_z @ about_y @ about_x).astype(np.float32)


def _above_lids(neutral: FloatArray, moved: FloatArray) -> FloatArray:
    """Displacements (frames, 162, 3) with brows that come down held off the open eye: free for .45 of the way to the upper lid, then
    slower, never beyond .7 of it."""
    for lower, brow, lid in _BROWS:
        order = lid[np.argsort(neutral[lid, 0])]
        room = np.maximum(np.interp(neutral[lower, 0], neutral[order, 0], neutral[order, 1]) - neutral[lower, 1], 0.01)
        way = np.maximum((moved[:, lower, 1] / room).max(axis=1), 1e-6)
        share = np.where(way > 0.45, _bent(way, 0.45, 0.7) / way, 1.0).astype(np.float32)
        down = np.maximum(moved[:, brow, 1], 0.0)
        moved[:, brow, 1] -= down * (1 - share)[:, None]
    return moved


def _touching(neutral: FloatArray, moved: FloatArray) -> FloatArray:
    """Displacements (frames, 162, 3) with crossed lips and lids brought together, as far as the motion crossed them."""
    apart = uncrossed(neutral[None])
    return moved + (uncrossed(apart + moved) - (apart + moved))
