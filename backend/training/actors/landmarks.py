# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks of an actor without drawing anything: the mesh's landmark points under shape weights and head turns.

All shapes add up, so the 162 points are one matrix product away from the weights: a minute of film takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bridge import landmarks as marks
from bridge.facs import AU_COUNT

from .expression import LIP_CLOSING_SHAPE, SHAPE_INDEX, SHAPES, VISEME_INDEX, VISEMES, shape_weights
from .geometry import neck_pivot, neck_share, rotation
from .identity import Person, neutral_head
from .mesh_points import on_mesh
from .parts import Parts

Float = NDArray[np.float32]

PIXELS_PER_DECIMETRE = 120.0  # scale of landmark tracks without a camera
PICTURE_CENTRE = 256.0
_CAMERA_DISTANCE = 12.0  # decimetres

_LID_OVERLAP = 0.008  # decimetres that the upper lid's rim comes to lie over the lower one's in a full blink
_FULL_BLINK = 1.0  # weight of ``eyeBlink`` that stands for a shut eye
_LEAST_LIP_GAP, _LEAST_LID_GAP = 0.002, 0.004  # eye distances

_IRISES = (
    (marks.REGIONS["iris_left"] + marks.REGIONS["iris_centres"][:1], marks.LID_UPPER_LEFT, marks.LID_LOWER_LEFT),
    (marks.REGIONS["iris_right"] + marks.REGIONS["iris_centres"][1:], marks.LID_UPPER_RIGHT, marks.LID_LOWER_RIGHT),
)

_LIP_PAIRS = tuple(
    (marks.OF_MEDIAPIPE[upper], marks.OF_MEDIAPIPE[lower], _LEAST_LIP_GAP, 0.5)
    for upper, lower in zip(reversed(marks.LIPS_INNER[11:]), marks.LIPS_INNER[1:10])
)
_LID_PAIRS = tuple(
    (marks.OF_MEDIAPIPE[upper], marks.OF_MEDIAPIPE[lower], _LEAST_LID_GAP, 0.8)
    for ring in (marks.EYE_LEFT, marks.EYE_RIGHT)
    for upper, lower in zip(reversed(ring[9:]), ring[1:8])
)


def settle_irises(points: Float, neutral: Float) -> Float:
    """Moves the irises of ``points`` (..., 162, 2 or 3) to between the lids as far as the lids are shut.

    MediaPipe finds an iris behind a shut lid in the slit, not where the eyeball holds it. ``neutral``: (162, 2 or 3),
    the open eyes.
    """
    result = np.array(points, np.float32)
    for irises, upper, lower in _IRISES:
        open_gap = np.linalg.norm(neutral[upper, :2] - neutral[lower, :2])
        gap = np.linalg.norm(points[..., upper, :2] - points[..., lower, :2], axis=-1)
        shut = np.clip(1.0 - gap / max(float(open_gap), 1e-6), 0.0, 1.0)[..., None]
        slit = (points[..., upper, 1] + points[..., lower, 1])[..., None] / 2
        centre = points[..., irises[-1], 1][..., None]
        result[..., list(irises), 1] += shut * (slit - centre)
    return result


def settle_contacts(points: Float, unit: float) -> Float:
    """Lets lips and lids of ``points`` (..., 162, 2 or 3; y down) touch where the mesh has them pass through each other.

    ``unit``: the distance of the outer eye corners. Lips meet in the middle; of the lids the upper one gives way.
    """
    result = np.array(points, np.float32)
    for upper, lower, least, upper_share in (*_LIP_PAIRS, *_LID_PAIRS):
        gap = (points[..., lower, 1] - points[..., upper, 1]) / unit
        soft = least * np.logaddexp(0.0, (gap - least) / least) + 0.0  # a smooth maximum of gap - least and 0
        push = (soft + least - gap) * unit
        result[..., upper, 1] -= upper_share * push
        result[..., lower, 1] += (1.0 - upper_share) * push
    return result


@dataclass(frozen=True)
class ActorFace:
    """What the landmark tracks of one person need. Decimetres, y up, z towards the viewer.

    ``neutral``: (162, 3). ``shapes``: (shapes, 162, 3) displacement of each shape at weight 1. ``share``: (162,) how far
    each point follows the head. ``pivot``: (3,) the neck.
    """

    person: Person
    neutral: Float
    shapes: Float
    share: Float
    pivot: Float

    def weights(self, aus: Float, visemes: Float, gaze: Float | None = None) -> Float:
        """(frames, shapes) shape weights that keep lips and lids of this person from passing through each other.

        ``aus``: (frames, 18) 0..5; ``visemes``: (frames, 15) 0..1; ``gaze``: (frames, 2) -1..1, image's right and up.
        """
        result = shape_weights(np.asarray(aus, np.float32), np.asarray(visemes, np.float32), gaze, self.person.own_share, self.person.gain)
        self._press_lips(result, np.clip(visemes[:, VISEME_INDEX["PP"]], 0.0, 1.0))
        self._stop_lids(result)
        return result

    def in_space(self, weights: Float) -> Float:
        """(frames, 162, 3) points with the head still."""
        flat = weights @ self.shapes.reshape(len(SHAPES), -1)
        return np.asarray(self.neutral + flat.reshape(len(weights), *self.neutral.shape), np.float32)

    def _gap(self, weights: Float, upper: int, lower: int) -> tuple[Float, Float]:
        """Height (frames,) between two points, and what each shape (shapes,) adds to it."""
        response = self.shapes[:, upper, 1] - self.shapes[:, lower, 1]
        return self.neutral[upper, 1] - self.neutral[lower, 1] + weights @ response, response

    def _press_lips(self, weights: Float, closure: Float) -> None:
        """Lets ``mouthClose`` take up what gap is left in the frames where p, b or m shuts the lips."""
        gap, response = self._gap(weights, marks.LIP_INNER_UPPER, marks.LIP_INNER_LOWER)
        closing = SHAPE_INDEX[LIP_CLOSING_SHAPE]
        per_unit = min(float(response[closing]), -1e-3)
        weights[:, closing] = np.clip(weights[:, closing] - closure * gap / per_unit, 0.0, 1.2)

    def _stop_lids(self, weights: Float) -> None:
        """Scales a blink to this person's eyes: shut at full intensity, neither short of the lower lid nor past it."""
        for side, upper, lower in (
            ("Left", marks.LID_UPPER_LEFT, marks.LID_LOWER_LEFT),
            ("Right", marks.LID_UPPER_RIGHT, marks.LID_LOWER_RIGHT),
        ):
            column = SHAPE_INDEX[f"face/eyeBlink{side}"]
            asked = weights[:, column] / self.person.gain[column]
            weights[:, column] = 0.0
            gap, response = self._gap(weights, upper, lower)
            shut = np.maximum(gap + _LID_OVERLAP, 0.0) / max(-float(response[column]), 1e-3)
            weights[:, column] = np.clip(asked / _FULL_BLINK, 0.0, 1.0) * shut


@lru_cache(maxsize=1)
def _dense_shapes(parts: Parts) -> Float:
    """(shapes, 162, 3) every shape at the landmarks."""
    return np.stack([on_mesh(parts.dense(name)) for name in SHAPES])


def actor_face(parts: Parts, person: Person) -> ActorFace:
    """The face of a person, ready for landmark tracks."""
    neutral = neutral_head(parts, person)
    share = on_mesh(np.repeat(neck_share(parts.vertices)[:, None], 3, 1))[:, 0]
    return ActorFace(person, on_mesh(neutral), _dense_shapes(parts), share, neck_pivot(parts.vertices, neutral))


def actor_landmarks(face: ActorFace, aus: Float, visemes: Float, head: Float | None = None, gaze: Float | None = None) -> Float:
    """(frames, 162, 3) landmarks in pixels of a 512-pixel picture: x right, y down, z towards the viewer.

    ``aus``: (frames, 18) in 0..5. ``visemes``: (frames, 15) in 0..1. ``head``: (frames, 6) yaw, pitch, roll in degrees,
    x, y in inter-ocular distances, scale (see ``bridge.shot.Shot``); None holds the head still. ``gaze``: (frames, 2).
    """
    points = face.in_space(face.weights(aus, visemes, gaze))
    if head is not None:
        turns = np.stack([rotation(*angles) for angles in head[:, :3]])
        turned = np.einsum("fij,fnj->fni", turns, points - face.pivot) + face.pivot
        points = points + face.share[:, None] * (turned - points)
    pixels = _projected(face, points)
    if head is not None:
        distance = eye_distance(_projected(face, face.neutral[None])[0])
        middle = np.array([PICTURE_CENTRE, PICTURE_CENTRE, 0.0], np.float32)
        pixels = (pixels - middle) * head[:, None, 5:6] + middle
        pixels[..., :2] += head[:, None, 3:5] * distance
    neutral = neutral_landmarks(face)
    return settle_irises(settle_contacts(pixels, eye_distance(neutral)), neutral)


def neutral_landmarks(face: ActorFace) -> Float:
    """(162, 3) the person's landmarks at rest, in the same pixels."""
    points = _projected(face, face.neutral[None])[0]
    return settle_contacts(points, eye_distance(points))


def eye_distance(points: Float) -> float:
    """Distance of the outer eye corners of (162, 2 or 3) landmarks, in their unit."""
    return float(np.linalg.norm(points[marks.EYE_OUTER_LEFT, :2] - points[marks.EYE_OUTER_RIGHT, :2]))


def au_fields(face: ActorFace) -> Float:
    """(18, 162, 2) displacement by each AU at intensity 5 in the canonical frame (unit: distance of the outer eye corners, y down)."""
    aus = np.eye(AU_COUNT, dtype=np.float32) * 5.0
    pixels = actor_landmarks(face, aus, np.zeros((AU_COUNT, len(VISEMES)), np.float32))[..., :2]
    return np.asarray(pixels - neutral_landmarks(face)[:, :2], np.float32) / np.float32(eye_distance(neutral_landmarks(face)))


def viseme_fields(face: ActorFace) -> Float:
    """(15, 162, 2) displacement by each viseme at weight 1, as ``au_fields``."""
    none = np.zeros((len(VISEMES), AU_COUNT), np.float32)
    pixels = actor_landmarks(face, none, np.eye(len(VISEMES), dtype=np.float32))[..., :2]
    return np.asarray(pixels - neutral_landmarks(face)[:, :2], np.float32) / np.float32(eye_distance(neutral_landmarks(face)))


def _projected(face: ActorFace, points: Float) -> Float:
    """Pixels (..., 162, 3) of points in space; the face's own middle lies in the picture's."""
    middle = face.neutral[[marks.EYE_OUTER_LEFT, marks.EYE_OUTER_RIGHT, marks.MOUTH_CORNER_LEFT, marks.MOUTH_CORNER_RIGHT]].mean(0)
    local = points - middle
    scale = PIXELS_PER_DECIMETRE * _CAMERA_DISTANCE / (_CAMERA_DISTANCE - local[..., 2:])
    x = PICTURE_CENTRE + local[..., :1] * scale
    y = PICTURE_CENTRE - local[..., 1:2] * scale
    return np.asarray(np.concatenate([x, y, local[..., 2:] * scale], -1), np.float32)
