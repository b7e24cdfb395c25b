# SPDX-License-Identifier: GPL-3.0-or-later
"""A sheet of rendered faces to look at: every row one clip and method, every column one moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .synthesis_measures import lid_gap, lip_gap

COLUMNS = 7
_TILE = 192
_METHODS = ("real clip", "warp only", "small, 2 steps")


def write_sheet(
    path: Path, clips: list[tuple[Any, tuple[int, list[int]], dict[str, dict[str, Any]]]], methods: tuple[str, ...] = _METHODS
) -> None:
    """Writes the PNG; each of ``clips`` is a clip, its (portrait row, rendered rows) and its films by method. ``methods``: those shown."""
    from PIL import Image, ImageDraw

    tiles = []
    for clip, (start, rows), films in clips:
        moments = telling_moments(clip.points[rows])
        for method in methods:
            if method in films:
                pictures = [np.array(clip.frames[start])] + [films[method]["frames"][moment] for moment in moments]
                tiles.append((f"{clip.name}: {method}", pictures))
    if not tiles:
        return
    sheet = Image.new("RGB", (_TILE * (COLUMNS + 1), _TILE * len(tiles)))
    draw = ImageDraw.Draw(sheet)
    for row, (label, pictures) in enumerate(tiles):
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture).resize((_TILE, _TILE), Image.Resampling.LANCZOS), (column * _TILE, row * _TILE))
        draw.text((4, row * _TILE + 2), label, fill="yellow", stroke_width=1, stroke_fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def telling_moments(points: NDArray[np.float32]) -> list[int]:
    """Rows worth seeing, in order: widest mouths, most closed lids, and some evenly between."""
    mouths = np.argsort(-lip_gap(points))
    lids = np.argsort(lid_gap(points))
    chosen = list(dict.fromkeys([int(mouths[0]), int(lids[0]), *np.linspace(0, len(points) - 1, COLUMNS).astype(int).tolist()]))
    if len(mouths) > 8:
        chosen.insert(2, int(mouths[len(mouths) // 8]))
    return sorted(list(dict.fromkeys(chosen))[:COLUMNS])
