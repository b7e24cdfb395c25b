# SPDX-License-Identifier: GPL-3.0-or-later
"""The visible label "synthetic" in a corner of the picture, for those who want it seen and not only noted in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

LABEL_TEXT = "synthetic"
_HEIGHT_SHARE = 0.035  # of the shorter side
_SMALLEST_TEXT = 10  # pixels
_OPACITY = 0.6


def labelled(frames: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """The frames (height, width, 3) uint8 with the label in the lower right corner."""
    stamp: NDArray[np.float32] | None = None
    for frame in frames:
        if stamp is None or stamp.shape[:2] != frame.shape[:2]:
            stamp = _stamp(frame.shape[1], frame.shape[0])
        darkened = frame * (1 - stamp[..., :1])  # a dark plate, then white letters on it
        yield np.round(darkened + 255 * stamp[..., 1:]).astype(np.uint8)


def _stamp(width: int, height: int) -> NDArray[np.float32]:
    """(height, width, 2): how much of the picture is covered, and how much of that is white."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(round(min(width, height) * _HEIGHT_SHARE), _SMALLEST_TEXT)
    plate, letters = Image.new("L", (width, height)), Image.new("L", (width, height))
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(LABEL_TEXT)
    x, y = width - size - (right - left), height - size - (bottom - top)
    ImageDraw.Draw(plate).rounded_rectangle((x - size // 2, y - size // 2, width - size // 2, height - size // 2), size // 3, fill=255)
    ImageDraw.Draw(letters).text((x - left, y - top), LABEL_TEXT, fill=255, font=font)
    plate_share, letter_share = (np.asarray(layer, np.float32) / 255 for layer in (plate, letters))
    covered = np.maximum(plate_share * _OPACITY, letter_share)
    return np.stack([covered, letter_share], axis=-1)
