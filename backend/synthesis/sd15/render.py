# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a shot: portrait and landmark track in, pictures of the portrait's own size out, as windows are finished."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..small.crop import resized
from .attention import Reference
from .crop import PasteBack, portrait_crop
from .drawing import DRAWINGS, draw
from .models import Models
from .pipeline import Callback, Film, Sd15Pipeline
from .reference import reference_bank
from .settings import Sd15Settings

Picture = NDArray[np.uint8]
Array = NDArray[np.float32]


def portrait_square(portrait: Picture, portrait_landmarks: Array, landmarks: Array, size: int) -> Picture:
    """The part of the portrait that the reference network sees, (size, size, 3) uint8; the same for every range of a shot."""
    crop = portrait_crop(portrait_landmarks, landmarks, (portrait.shape[1], portrait.shape[0]))
    return resized(crop.cut(portrait), size)


def render_frames(
    portrait: Picture,
    portrait_landmarks: Array,
    landmarks: Array,
    *,
    models: Models,
    settings: Sd15Settings,
    first_frame: int = 0,
    frame_count: int | None = None,
    bank: Reference | None = None,
    callback: Callback | None = None,
    pipeline: Sd15Pipeline | None = None,
) -> Iterator[Picture]:
    """Pictures (h, w, 3) uint8 of the portrait's size, one for each row of the track.

    ``portrait``: (h, w, 3) uint8. ``portrait_landmarks``: (162, 2) pixels, in the track's convention. ``landmarks``:
    (frames, 162, 2) pixels of the whole shot. ``first_frame``, ``frame_count``: the rows wanted, all by default; they look as in the
    whole. ``bank``: of ``reference_bank`` over ``portrait_square``, made here if there is none. ``pipeline``: one that is there already,
    with its compiled network; its settings count then. Raises Fault ``sd15-settings``, ``sd15-window`` or ``frame-invalid``, and
    whatever ``callback`` raises. An error of a full graphics memory goes through as torch raises it.
    """
    pipeline = pipeline or Sd15Pipeline(models, settings)
    size = pipeline.settings.size
    crop = portrait_crop(portrait_landmarks, landmarks, (portrait.shape[1], portrait.shape[0]))
    pipeline.use_bank(reference_bank(models, resized(crop.cut(portrait), size)) if bank is None else bank)
    drawing, paste = DRAWINGS[models.family], PasteBack(portrait, crop)
    end = len(landmarks) if frame_count is None else min(first_frame + frame_count, len(landmarks))
    film = Film(lambda frame: draw(crop.to_unit(landmarks[frame]), drawing, size), len(landmarks))
    for picture in pipeline.frames(film, first_frame, end, callback):
        yield paste(picture)
