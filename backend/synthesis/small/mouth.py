# SPDX-License-Identifier: GPL-3.0-or-later
"""A drawn mouth interior for lips that the portrait shows shut.

The warp has no pixels of an open mouth, and a network trained on few mouths paints the mean of what it saw there, which
reads as a haze. Where lips part that were shut, an interior is drawn: upper teeth that hang on the skull, lower ones that go
down with the chin, a tongue, and the dark, in the portrait's own light. It is a stand-in and no likeness: nobody can know
teeth that the portrait does not show. A portrait with an open mouth keeps its own, as far as it is not opened further.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.landmarks import (
    CHIN,
    EYE_OUTER_LEFT,
    EYE_OUTER_RIGHT,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    MOUTH_CORNER_LEFT,
    MOUTH_CORNER_RIGHT,
    OF_MEDIAPIPE,
    REGIONS,
)

from . import teeth

Array = NDArray[np.float32]
Window = tuple[slice, slice]
# Shares of the drawn interior in the mixture with what the network painted, in lips just parted and in wide mouths. It costs PSNR (a
# mean of all mouths is nearer to any one than a drawn one is) and reads far better: chosen by pictures, and by people trained on or
# spared for choosing. Half of narrow gaps is left to the network, which fails in wide ones: few are seen in training.
_NARROW_SHARE, _WIDE_SHARE = 0.5, 0.85
_FIRST_GAP, _FULL_GAP = 0.06, 0.16  # lip gap in eye distances from which, and at which fully, the interior shows
_PARTED, _WIDE = 0.16, 0.32  # likewise, between which the share grows
# A lip that has risen over the teeth bares them: between these eye distances above the line of the resting lips the interior comes to show
# in narrow gaps too, from and fully at smaller ones. A speaker's lip rises by .01 to .04, a broad smile's by .05 and more.
_RISEN, _BARED = 0.035, 0.06
_FIRST_BARED, _FULL_BARED = 0.03, 0.10
_BARED_LIGHT = 0.75  # share of the shade behind the lips that goes where they bare the teeth: these stand in front of it
_EAGER = 2.5  # a mouth that opens to five thirds of its gap in the portrait is drawn anew
_NOSE_BASE = OF_MEDIAPIPE[2]
# The numbers from here on were fitted to mouths of people trained on (rendered ones, a woman, a man): how dark and light the pixels of an
# opening are, and a little where. On people spared for choosing its squared error fell by .7 dB and that of the sorted pixels by 1.3.
# In eye distances below the line of the resting lips: the biting edges of both rows while the jaw is up.
_UPPER_EDGE, _LOWER_EDGE = 0.074, 0.014
_JAW_SHARE = 0.81  # of the chin's way that the lower front teeth go
_LOWER_SHOWN = 0.039  # the most of the lower teeth above the lower lip
# The least of the upper teeth below the upper lip, and how much more in a portrait that shows them: a smile has drawn the lip up.
_UPPER_SHOWN, _SHOWN_OPEN = 0.028, 0.5
_MOST_SHOWN = 0.125  # of the upper teeth below the upper lip: a lip that rises further would show gums, which few people do
_DARK = np.array([0.27, 0.13, 0.12], np.float32)  # of the light
_TONGUE = np.array([0.66, 0.36, 0.35], np.float32)
_ENAMEL = np.array([1.02, 0.98, 0.89], np.float32)
# Light of a white surface in the mouth, of the whites of the eyes, and how much of the skin's tint it has: the light's own colour cannot
# be told from the skin's, and some of it keeps teeth from standing out blue.
_WHITES, _TINT = 1.14, 0.34
_LIT, _LIT_BY_GAP, _MOST_LIT = 0.8, 2.25, 1.2  # share of that light which gets in, more of it through wider gaps (eye distances)
_DEEP, _OFF_LIPS, _OFF_UPPER_LIP = 0.47, 0.24, 0.3  # shares of it: for all, off the lips, off the upper one's shade
_FINE = 2  # the interior is drawn this many times larger
_MARGIN = 0.03  # of the crop round the opening, for what blurs over its edge


@dataclass(frozen=True)
class _Face:
    """Where a face's skull and jaw are in the picture: the base of the nose, unit vectors of the eyes' length across and down, the chin."""

    nose: Array
    across: Array
    down: Array
    chin: float  # in units of the eyes' distance below the base of the nose
    lips: float  # likewise, the line between the lips

    @classmethod
    def of(cls, points: Array) -> _Face:
        """From landmarks (162, 2) in crop coordinates."""
        across = points[EYE_OUTER_LEFT] - points[EYE_OUTER_RIGHT]
        down = np.array([-across[1], across[0]], np.float32)
        square = max(float(across @ across), 1e-9)
        nose = points[_NOSE_BASE]
        lips = (points[LIP_INNER_UPPER] + points[LIP_INNER_LOWER]) / 2
        return cls(nose, across, down, float((points[CHIN] - nose) @ down) / square, float((lips - nose) @ down) / square)

    def local(self, places: Array) -> tuple[Array, Array]:
        """Places (..., 2) as distances across from the nose and down from it, in units of the eyes' distance."""
        offset, square = places - self.nose, max(float(self.across @ self.across), 1e-9)
        return (offset @ self.across / square).astype(np.float32), (offset @ self.down / square).astype(np.float32)


@dataclass(frozen=True)
class Patch:
    """``window`` of the picture, ``weight`` (1, h, w) of the interior there, and its ``colour`` (3, h, w) -1..1."""

    window: Window
    weight: Array
    colour: Array


class MouthInterior:
    """Draws into the frames of one shot."""

    def __init__(self, portrait: NDArray[np.uint8], points: Array, strength: float = 1.0) -> None:
        """``portrait``: (s, s, 3) uint8 crop; ``points``: (162, 2) its landmarks, crop coordinates; ``strength``: 0 (off) to 1 (usual)."""
        self.strength = strength
        self.gap, self.rest = _gap(points), _Face.of(points)
        self.light = _light(portrait, points)

    def __call__(self, picture: Array, points: Array) -> Array:
        """The picture (3, s, s) float32 -1..1 with the interior mixed in where the lips at ``points`` (162, 2) have newly parted."""
        patch = self.patch(points, picture.shape[-1])
        if patch is None:
            return picture
        mixed = picture.copy()
        place = (slice(None), *patch.window)
        mixed[place] = picture[place] * (1 - patch.weight) + patch.colour * patch.weight
        return mixed

    def patch(self, points: Array, side: int) -> Patch | None:
        """What is to be mixed into a picture of ``side`` pixels; None where nothing is."""
        gap, bared = _gap(points), self._bared(points)
        first, full = (a + (b - a) * bared for a, b in ((_FIRST_GAP, _FIRST_BARED), (_FULL_GAP, _FULL_BARED)))
        new = np.clip(_EAGER * (gap - self.gap) / max(gap, 1e-4), 0, 1) * np.clip((gap - first) / (full - first), 0, 1)
        share = self.strength * float(new * _mixed(gap, bared))
        if share < 0.01:
            return None
        window = _window(points, side)
        opening, colour = self._interior(points, gap, bared, side, window)
        return Patch(window, (opening * share).transpose(2, 0, 1), (colour / np.float32(127.5) - 1).transpose(2, 0, 1))

    def _bared(self, points: Array) -> float:
        """0 to 1: how far the upper lip at ``points`` has risen over the teeth."""
        risen = self.rest.lips - float(_Face.of(points).local(points[LIP_INNER_UPPER])[1])
        return float(np.clip((risen - _RISEN) / (_BARED - _RISEN), 0, 1))

    def _interior(self, points: Array, gap: float, bared: float, side: int, window: Window) -> tuple[Array, Array]:
        """Opening (h, w, 1) 0..1 and the colours (h, w, 3) 0..255 behind it."""
        face = _Face.of(points)
        x, y = face.local(_grid(window, side))
        x = x - float(face.local((points[MOUTH_CORNER_LEFT] + points[MOUTH_CORNER_RIGHT]) / 2)[0])
        opening = _opening(points, side, window)
        resting = self.rest.lips
        shown = _UPPER_SHOWN + _SHOWN_OPEN * min(self.gap, 0.1)
        raised = float(face.local(points[LIP_INNER_UPPER])[1])
        upper_edge = min(max(resting + _UPPER_EDGE, raised + shown), raised + _MOST_SHOWN)
        lip = float(face.local(points[LIP_INNER_LOWER])[1])
        lower_edge = max(resting + _LOWER_EDGE + _JAW_SHARE * max(face.chin - self.rest.chin, 0.0), lip - _LOWER_SHOWN)
        tongue, tongue_cover = _tongue(x, y, lower_edge, lower_edge - upper_edge)
        *lower, lower_cover = cv2.split(teeth.sampled(teeth.row(False), x, y - lower_edge, False))
        *upper, upper_cover = cv2.split(teeth.sampled(teeth.row(True), x, y - upper_edge, True))
        unit = float(np.linalg.norm(face.across)) * side * _FINE
        shade = (1 - _openness(opening, unit)) * np.float32(1 - _BARED_LIGHT * bared)
        lit = np.float32(np.clip(_LIT + _LIT_BY_GAP * gap, 0, _MOST_LIT)) * (1 - shade)
        planes = []  # colour by colour: a few times faster than triples
        for channel, (dark, red, enamel, light) in enumerate(zip(_DARK, _TONGUE, _ENAMEL, self.light, strict=True)):
            colour = _over(dark, red * tongue, tongue_cover)
            colour = _over(colour, lower[channel] * enamel * np.float32(0.9), lower_cover)
            colour = _over(colour, upper[channel] * enamel, upper_cover)
            planes.append(colour * lit * light)
        large = cv2.merge([opening, *planes])
        small = cv2.resize(large, (window[1].stop - window[1].start, window[0].stop - window[0].start), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), 0.6 * side / 256)
        return small[..., :1], small[..., 1:]


def _light(portrait: NDArray[np.uint8], points: Array) -> Array:
    """(3,) float32 grey levels of a white surface in the mouth: from the whites of the eyes, but no darker than the skin allows."""
    side = portrait.shape[0]
    skin = np.percentile(portrait[_filled(points, ("face_oval",), side)], 60, axis=0)
    eyes = _filled(points, ("eye_left", "eye_right"), side)
    grey = float(skin.mean())
    if eyes.sum() >= 12:
        brightest = portrait[eyes][np.argsort(portrait[eyes].mean(1))[-max(int(eyes.sum()) // 6, 3) :]]
        grey = max(float(brightest.mean()) * _WHITES, grey)
    tint = skin / max(float(skin.mean()), 1.0)
    return np.asarray(np.clip(grey, 60, 225) * (1 + _TINT * (np.clip(tint, 0.6, 1.5) - 1)), np.float32)


def _filled(points: Array, regions: tuple[str, ...], side: int) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), np.uint8)
    for region in regions:
        cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points[list(REGIONS[region])] * side).astype(np.int32)), 1)
    return mask.astype(bool) if mask.any() else np.ones((side, side), bool)


def _tongue(x: Array, y: Array, lower_edge: float, room: float) -> tuple[Array, Array]:
    """Light on the tongue and its cover (h, w): a low hill behind the lower teeth, seen once the rows are well apart."""
    hill = lower_edge - 0.022 - 0.32 * max(room, 0.0) + 1.3 * x * x
    cover = np.clip((y - hill) / 0.03, 0, 1) * np.clip(room / 0.08, 0, 1)
    shine = 0.7 + 0.3 * np.clip((y - hill) / 0.06, 0, 1) - 0.15 * np.exp(-np.square(x / 0.012))
    return shine.astype(np.float32), cover.astype(np.float32)


def _openness(opening: Array, unit: float) -> Array:
    """How much light gets to each place: less near the lips, least under the upper one, which stands out."""
    reach = max(0.022 * unit, 0.5)
    near = cv2.GaussianBlur(opening, (0, 0), reach)
    fall = max(round(0.03 * unit), 1)
    under = np.concatenate([np.zeros_like(near[:fall]), near[:-fall]]) if fall < len(near) else near
    reached = _OFF_LIPS * np.clip((near - 0.4) / 0.5, 0, 1) + _OFF_UPPER_LIP * np.clip((under - 0.1) / 0.5, 0, 1)
    return np.asarray(_DEEP + reached, np.float32)


def _opening(points: Array, side: int, window: Window) -> Array:
    rows, columns = window
    mask = np.zeros(((rows.stop - rows.start) * _FINE, (columns.stop - columns.start) * _FINE), np.uint8)
    origin = np.array([columns.start, rows.start])
    outline = np.rint((points[list(REGIONS["lips_inner"])] * side - origin) * _FINE * 16).astype(np.int32)
    cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / np.float32(255)


def _grid(window: Window, side: int) -> Array:
    """(h, w, 2) crop coordinates of the fine pixels of the window."""
    rows, columns = window
    y = (np.arange((rows.stop - rows.start) * _FINE) + 0.5) / _FINE + rows.start
    x = (np.arange((columns.stop - columns.start) * _FINE) + 0.5) / _FINE + columns.start
    return (np.stack(np.meshgrid(x, y), -1) / side).astype(np.float32)


def _window(points: Array, side: int) -> Window:
    """Rows and columns of the picture that hold the opening and what blurs over its edge."""
    lips = points[list(REGIONS["lips_inner"])] * side
    low, high = np.floor(lips.min(0)) - _MARGIN * side, np.ceil(lips.max(0)) + _MARGIN * side
    left, top = np.clip(low.astype(int), 0, side - 1)
    right, bottom = np.clip(high.astype(int), 1, side)
    return slice(int(top), max(int(bottom), int(top) + 1)), slice(int(left), max(int(right), int(left) + 1))


def _over(ground: Array | np.float32, colour: Array, cover: Array) -> Array:
    return ground * (1 - cover) + colour * cover


def _mixed(gap: float, bared: float) -> float:
    """Share of the drawn interior at a lip gap, with teeth bared so far."""
    wide = max(float(np.clip((gap - _PARTED) / (_WIDE - _PARTED), 0, 1)), bared)
    return _NARROW_SHARE + (_WIDE_SHARE - _NARROW_SHARE) * wide


def _gap(points: Array) -> float:
    eyes = float(np.linalg.norm(points[EYE_OUTER_LEFT] - points[EYE_OUTER_RIGHT]))
    return float(np.linalg.norm(points[LIP_INNER_UPPER] - points[LIP_INNER_LOWER])) / max(eyes, 1e-6)
