# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, sides, collections and units of the landmark rig. No bpy: numpy and the shared vocabulary only.

One armature unit is the distance between the portrait's outer eye corners, and the armature's origin lies midway
between them: a bone's location is motion in inter-ocular distances, so a performance fits another portrait too. The
face stands in the XZ plane, seen from -Y (Blender's front view): x to the image's right, z up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bridge import landmarks as table
from .bridge.facs import ACTION_UNITS, AU_KEYS, MAXIMUM_INTENSITY, ActionUnit
from .bridge.shot import HEAD_CHANNELS, HEAD_NEUTRAL

ROOT_BONE = "root"
PREDICTED_TRACK = "Predicted"
PREDICTED_PREFIX = "predicted_"
HEAD_KEYS: tuple[str, ...] = tuple(f"head_{channel}" for channel in HEAD_CHANNELS)
PREDICTED_KEYS: tuple[str, ...] = tuple(PREDICTED_PREFIX + key for key in AU_KEYS)
SIDE_SUFFIX = "_side"
SIDE_KEYS: dict[str, str] = {unit.key: unit.key + SIDE_SUFFIX for unit in ACTION_UNITS if unit.two_sided}

# Collection, and the colour of its bones and lines (linear RGB).
COLLECTION_COLOURS: dict[str, tuple[float, float, float]] = {
    "Jaw": (0.62, 0.66, 0.72),
    "Brow.L": (0.98, 0.66, 0.16),
    "Brow.R": (0.98, 0.66, 0.16),
    "Nose": (0.45, 0.78, 0.55),
    "Eye.L": (0.16, 0.68, 0.98),
    "Eye.R": (0.16, 0.68, 0.98),
    "Iris": (0.62, 0.50, 0.98),
    "LipOuter": (0.98, 0.27, 0.36),
    "LipInner": (1.00, 0.55, 0.60),
}
_REGION_COLLECTION = {
    "lips_outer": "LipOuter",
    "lips_inner": "LipInner",
    "eye_left": "Eye.L",
    "eye_right": "Eye.R",
    "brow_left": "Brow.L",
    "brow_right": "Brow.R",
    "face_oval": "Jaw",
    "nose": "Nose",
    "iris_left": "Iris",
    "iris_right": "Iris",
    "iris_centres": "Iris",
}
_REGION_STEM = {
    "lips_outer": "LipOuter",
    "lips_inner": "LipInner",
    "eye_left": "Eye",
    "eye_right": "Eye",
    "brow_left": "Brow",
    "brow_right": "Brow",
    "face_oval": "Jaw",
    "nose": "Nose",
    "iris_left": "Iris",
    "iris_right": "Iris",
    "iris_centres": "IrisCentre",
}
# MediaPipe points of the subject's left half in the regions that cross the midline.
_LEFT_HALF = frozenset(table.LIPS_OUTER[6:15] + table.LIPS_INNER[6:15] + table.FACE_OVAL[1:18] + (326, 327, 294, 278, 344, 440, 275))
_LEFT_REGIONS = ("eye_left", "brow_left", "iris_left")


def _regions_of_points() -> list[str]:
    regions = [""] * table.LANDMARK_COUNT
    for region, points in table.REGIONS.items():
        for point in points:
            regions[point] = region
    return regions


def _sides() -> list[str]:
    """ "L", "R" or "" (on the midline) for each landmark."""
    sides = []
    for point, region in enumerate(_regions_of_points()):
        mesh = table.MEDIAPIPE_INDICES[point]
        if table.MIRROR[point] == point:
            sides.append("")
        elif region in _LEFT_REGIONS or mesh in _LEFT_HALF or mesh == 473:
            sides.append("L")
        else:
            sides.append("R")
    return sides


def _bone_names() -> tuple[str, ...]:
    """Names in landmark order: a point and its mirror twin differ only in .L and .R, so poses can be pasted flipped."""
    regions, sides = _regions_of_points(), _sides()
    counters: dict[str, int] = {}
    names = [""] * table.LANDMARK_COUNT
    for point, region in enumerate(regions):
        if sides[point] == "R":
            continue
        stem = _REGION_STEM[region]
        number = counters.get(stem, 0)
        counters[stem] = number + 1
        base = stem if stem == "IrisCentre" else f"{stem}.{number:02d}"
        names[point] = f"{base}.L" if sides[point] else base
        if sides[point]:
            names[table.MIRROR[point]] = f"{base}.R"
    return tuple(names)


BONE_NAMES: tuple[str, ...] = _bone_names()
BONE_COLLECTIONS: tuple[str, ...] = tuple(_REGION_COLLECTION[region] for region in _regions_of_points())


@dataclass(frozen=True)
class Frame2D:
    """How armature units and portrait pixels belong together.

    ``unit``: pixels per armature unit. ``origin``: the pixel (x, y) at which the armature's origin lies.
    """

    unit: float
    origin: tuple[float, float]

    @classmethod
    def of_landmarks(cls, points: NDArray[np.float32]) -> Frame2D:
        """The frame of a portrait's own landmarks, (162, 2) pixels."""
        left, right = points[table.EYE_OUTER_LEFT], points[table.EYE_OUTER_RIGHT]
        unit = float(np.hypot(*(left - right)))
        middle = (left + right) / 2
        return cls(max(unit, 1e-3), (float(middle[0]), float(middle[1])))

    def to_units(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., 2) portrait pixels, y down, to (..., 2) armature x and z."""
        return ((np.asarray(points, np.float32) - np.float32(self.origin)) * np.float32([1, -1]) / np.float32(self.unit)).astype(np.float32)

    def to_pixels(self, units: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., 2) armature x and z to (..., 2) portrait pixels, y down."""
        return (np.asarray(units, np.float32) * np.float32([1, -1]) * np.float32(self.unit) + np.float32(self.origin)).astype(np.float32)


def au_tooltip(unit: ActionUnit) -> str:
    """What an animator reads on hovering an AU: name, muscle, effect."""
    told = f"{unit.key} {unit.name}: {unit.effect}. Muscle: {unit.muscle}. FACS intensity 0 to 5 (A to E)"
    return f"{told}. Key it to command it, leave it free to let the voice fill it in"


_HEAD_TOOLTIPS = {
    "yaw": "Turns the head, degrees; positive turns the face to the image's right",
    "pitch": "Nods, degrees; positive lifts the chin",
    "roll": "Tilts the head, degrees; positive tilts clockwise in the image",
    "x": "Moves the head to the image's right, in distances between the outer eye corners",
    "y": "Moves the head down, in distances between the outer eye corners",
    "scale": "Size of the head; 1 is as in the portrait",
}
_HEAD_RANGES = {
    "yaw": (-60.0, 60.0),
    "pitch": (-45.0, 45.0),
    "roll": (-45.0, 45.0),
    "x": (-3.0, 3.0),
    "y": (-3.0, 3.0),
    "scale": (0.25, 4.0),
}


@dataclass(frozen=True)
class AnimatedProperty:
    """A custom property on the armature object."""

    key: str
    default: float
    minimum: float
    maximum: float
    tooltip: str
    group: str

    @property
    def data_path(self) -> str:
        """Its f-curve's data path."""
        return f'["{self.key}"]'


AU_PROPERTIES: tuple[AnimatedProperty, ...] = tuple(
    AnimatedProperty(unit.key, 0.0, 0.0, MAXIMUM_INTENSITY, au_tooltip(unit), f"FACS {unit.region.capitalize()}") for unit in ACTION_UNITS
)
HEAD_PROPERTIES: tuple[AnimatedProperty, ...] = tuple(
    AnimatedProperty(f"head_{channel}", default, *_HEAD_RANGES[channel], _HEAD_TOOLTIPS[channel], "FACS Head")
    for channel, default in zip(HEAD_CHANNELS, HEAD_NEUTRAL)
)
SIDE_PROPERTIES: tuple[AnimatedProperty, ...] = tuple(
    AnimatedProperty(
        SIDE_KEYS[unit.key], 0.0, -1.0, 1.0,
        f"Left and right of {unit.key} {unit.name}: 0 moves both halves alike, 1 the subject's left half only, -1 the right half only",
        f"FACS {unit.region.capitalize()}",
    )
    for unit in ACTION_UNITS
    if unit.two_sided
)  # fmt: skip
PREDICTED_PROPERTIES: tuple[AnimatedProperty, ...] = tuple(
    AnimatedProperty(
        PREDICTED_PREFIX + unit.key, 0.0, 0.0, MAXIMUM_INTENSITY,
        f"{unit.key} {unit.name} as the last prediction filled it in; made again by Predict", "FACS Predicted",
    )
    for unit in ACTION_UNITS
)  # fmt: skip
