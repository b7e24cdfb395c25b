# SPDX-License-Identifier: GPL-3.0-or-later
"""Two rows of teeth, drawn once: seen from the front, unrolled over a plane in units of the distance of the outer eye corners.

Widths and heights are those of textbooks of dental anatomy (millimetres), with the outer eye corners 90 mm apart. No person's
teeth: an even, slightly worn set.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

EYES = 90.0  # millimetres between the outer corners of the eyes
PIXELS = 6  # of the drawing, a millimetre
HALF_WIDTH, ABOVE, BELOW = 34.0, 17.0, 3.0  # millimetres of the drawing beside the middle, rootwards and beyond the biting edge
# From the middle outwards: width of a tooth as it shows from the front, height of its crown, and how far its edge stands back.
_UPPER = ((8.4, 10.2, 0.0), (6.2, 9.0, 0.7), (5.4, 10.0, 0.1), (3.9, 8.6, 0.9), (3.0, 7.8, 1.3), (3.6, 7.2, 1.6))
_LOWER = ((5.2, 8.8, 0.0), (5.6, 9.0, 0.1), (5.2, 10.0, -0.3), (4.2, 8.4, 0.8), (3.4, 7.8, 1.2), (4.2, 7.2, 1.5))
_GAP = 0.05  # millimetres of dark between two teeth
_GUM = (0.62, 0.34, 0.33)  # of the light
_CROWDED_DARKNESS = 0.31  # how much of the light is gone at the end of the row


@lru_cache(maxsize=2)
def row(upper: bool) -> Array:
    """(h, w, 4) float32: colour as a share of the light, and cover; the biting edge is below for the upper row, above for the lower."""
    width, height = round(2 * HALF_WIDTH * PIXELS), round((ABOVE + BELOW) * PIXELS)
    shade: NDArray = np.zeros((height, width), np.float32)
    cover: NDArray = np.zeros((height, width), np.float32)
    y = (np.arange(height, dtype=np.float32) + 0.5) / PIXELS - ABOVE  # millimetres beyond the biting edge of the middle tooth
    x = (np.arange(width, dtype=np.float32) + 0.5) / PIXELS - HALF_WIDTH
    for side in (-1, 1):
        start = _GAP / 2
        for index, (wide, high, back) in enumerate(_UPPER if upper else _LOWER):
            middle = start + wide / 2
            tooth, light = _tooth(x * side - middle, y + back, wide - _GAP, high)
            dim = 1 - _CROWDED_DARKNESS * min(middle / 27, 1) ** 1.5 - (0.04 if index == 2 else 0)
            shade, cover = np.where(tooth > cover, light * dim, shade), np.maximum(cover, tooth)
            start += wide
    colour: NDArray = np.repeat(shade[..., None], 3, -1)
    gum = _gum(x, y, upper)[..., None]
    fade = (1 - _CROWDED_DARKNESS * np.minimum(np.abs(x) / 27, 1) ** 1.5)[None, :, None]
    colour = colour * cover[..., None] + (1 - cover[..., None]) * np.array(_GUM, np.float32) * fade
    drawn: NDArray = np.concatenate([colour, np.maximum(cover[..., None], gum)], -1).astype(np.float32)
    drawn = np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.25 * PIXELS), np.float32)
    return np.ascontiguousarray(drawn if upper else drawn[::-1])


def sampled(drawing: Array, across: Array, beyond: Array, upper: bool) -> Array:
    """The row (h, w, 4) at places in units of the eyes' distance: ``across`` from the middle, ``beyond`` the biting edge, downwards.

    Both (h, w) float32; for the lower row, downwards is rootwards.
    """
    map_x = (across * np.float32(EYES) + HALF_WIDTH) * PIXELS - 0.5
    map_y = (beyond * np.float32(EYES) + (ABOVE if upper else BELOW)) * PIXELS - 0.5
    return np.asarray(cv2.remap(drawing, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)


def _tooth(x: NDArray, y: NDArray, wide: float, high: float) -> tuple[NDArray, NDArray]:
    """Cover and light (h, w) of one crown about x = 0 whose edge is at y = 0 and whose neck is at -high: a box with round corners."""
    narrow = 1 - 0.16 * np.clip(-y / high, 0, 1)[:, None] ** 2  # towards the neck
    u, v = np.abs(x)[None, :] / (wide / 2 * narrow), np.abs(y + high / 2)[:, None] / (high / 2)
    round_box = (u**5 + v**7) ** (1 / 6.0)
    cover = np.clip((1 - round_box) * wide * 9, 0, 1)
    bulge = 1 - 0.16 * u**4 - 0.10 * np.clip((y + high * 0.55) / (high * 0.55), 0, 1)[:, None] ** 2
    neck = 1 - 0.12 * np.clip((-y - high * 0.6) / (high * 0.4), 0, 1)[:, None]
    return cover.astype(np.float32), np.asarray(bulge * neck, np.float32)


def _gum(x: NDArray, y: NDArray, upper: bool) -> NDArray:
    """Cover (h, w) of the gum: from a scalloped line along the necks rootwards."""
    height = 8.2 if upper else 7.6
    line = -height - 0.8 * np.abs(np.cos(np.pi * x / 7.2))
    return np.clip((line[None, :] - y[:, None]) / 0.8, 0, 1) * np.clip((30 - np.abs(x)) / 6, 0, 1)[None, :].astype(np.float32)
