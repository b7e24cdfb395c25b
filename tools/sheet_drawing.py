# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of the contact sheet: fonts, colours, pictures in frames, the rig's lines, AU bars, curves over time."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bridge.facs import ACTION_UNITS, MAXIMUM_INTENSITY, intensity_letter
from bridge.landmarks import CONTOUR_EDGES, REGIONS

PAPER, INK, FAINT, RULE = (250, 250, 248), (28, 30, 34), (120, 124, 130), (222, 223, 220)
NIGHT = (24, 26, 30)
KEYED_COLOURS = (
    (214, 69, 65),
    (38, 120, 190),
    (230, 146, 32),
    (88, 158, 79),
    (128, 90, 170),
    (0, 140, 140),
    (160, 110, 70),
    (200, 80, 140),
)
REGION_COLOURS = {
    "lips_outer": (240, 90, 104),
    "lips_inner": (255, 158, 164),
    "eye_left": (84, 182, 250),
    "eye_right": (84, 182, 250),
    "brow_left": (246, 184, 76),
    "brow_right": (246, 184, 76),
    "face_oval": (170, 176, 186),
    "nose": (132, 204, 154),
    "iris_left": (176, 156, 250),
    "iris_right": (176, 156, 250),
}


@lru_cache(maxsize=None)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")), size)


def face_square(points: NDArray[np.float32], size: tuple[int, int], margin: float = 0.13) -> tuple[int, int, int, int]:
    """Square crop (left, top, right, bottom) round every landmark of a track, inside a picture of ``size``."""
    low, high = points.reshape(-1, 2).min(0), points.reshape(-1, 2).max(0)
    side = int(min(float((high - low).max()) * (1 + 2 * margin), *size))
    middle = (low + high) / 2
    left = int(np.clip(middle[0] - side / 2, 0, size[0] - side))
    top = int(np.clip(middle[1] - side * 0.53, 0, size[1] - side))
    return left, top, left + side, top + side


def cropped(picture: NDArray[np.uint8], square: tuple[int, int, int, int], side: int) -> Image.Image:
    """The square of a picture at ``side`` pixels."""
    return Image.fromarray(picture).crop(square).resize((side, side), Image.Resampling.LANCZOS)


def edge_colours() -> list[tuple[int, int, int]]:
    """Colour of each contour edge, after the region of its first point."""
    region_of = {point: name for name, points in REGIONS.items() for point in points}
    return [REGION_COLOURS.get(region_of[first], FAINT) for first, _ in CONTOUR_EDGES]


def rig_picture(
    points: NDArray[np.float32], square: tuple[int, int, int, int], side: int, behind: Image.Image | None = None
) -> Image.Image:
    """The rig's lines and bones: ``points`` (162, 2) in picture pixels, drawn over a darkened ``behind``."""
    fine = 2  # drawn larger and shrunk, for smooth lines
    canvas = Image.new("RGB", (side * fine, side * fine), NIGHT)
    if behind is not None:
        dark = Image.blend(behind.convert("L").convert("RGB").resize(canvas.size), Image.new("RGB", canvas.size, NIGHT), 0.72)
        canvas.paste(dark)
    draw = ImageDraw.Draw(canvas)
    placed = (points - np.float32(square[:2])) * (side * fine / (square[2] - square[0]))
    for (first, second), colour in zip(CONTOUR_EDGES, edge_colours(), strict=True):
        draw.line([*placed[first], *placed[second]], fill=colour, width=max(2, side // 130))
    radius = max(1.4, side / 130)
    colours = {point: REGION_COLOURS.get(name, FAINT) for name, points in REGIONS.items() for point in points}
    for point, (x, y) in enumerate(placed):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colours[point])
    return canvas.resize((side, side), Image.Resampling.LANCZOS)


def draw_bars(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int], rows: list[tuple[int, float, bool]], colours: dict[int, tuple[int, int, int]]
) -> None:
    """AU rows (index, value, keyed) at (left, top, width): name, bar of 0 to 5, value with its FACS letter."""
    left, top, width = box
    for number, (unit, value, keyed) in enumerate(rows):
        y = top + number * 25
        colour = colours.get(unit, (176, 180, 186)) if keyed else (176, 180, 186)
        ink = INK if keyed else FAINT
        draw.text((left, y), ACTION_UNITS[unit].key, font=font(15, keyed), fill=ink)
        start, end = left + 54, left + width - 66
        draw.rounded_rectangle([start, y + 5, end, y + 14], 4, fill=RULE)
        length = (end - start) * min(max(value / MAXIMUM_INTENSITY, 0.0), 1.0)
        if length >= 2:
            draw.rounded_rectangle([start, y + 5, start + length, y + 14], 4, fill=colour)
        draw.text((left + width, y), f"{value:.1f} {intensity_letter(value)}", font=font(15, keyed), fill=ink, anchor="ra")


def draw_waveform(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], samples: NDArray[np.float32]) -> None:
    """Peaks of the voice as thin columns in (left, top, right, bottom)."""
    left, top, right, bottom = box
    if not len(samples):
        return
    peaks = np.array([column.max() if len(column) else 0.0 for column in np.array_split(np.abs(samples), right - left)])
    loudest = max(float(np.percentile(peaks, 99.5)), 1e-6)  # a single click must not flatten the rest
    middle = (top + bottom) / 2
    for x, peak in enumerate(np.minimum(peaks / loudest, 1.0)):
        half = float(peak) * (bottom - top) / 2
        draw.line([left + x, middle - half, left + x, middle + half], fill=(196, 200, 206))


def draw_curve(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    values: NDArray[np.float32],
    top_value: float,
    colour: tuple[int, int, int],
    width: int = 3,
) -> None:
    """One curve over the whole shot, 0 at the bottom of the box and ``top_value`` at its top."""
    left, top, right, bottom = box
    xs = np.linspace(left, right, max(len(values), 2))
    ys = bottom - np.clip(np.resize(values, len(xs)) / top_value, 0, 1) * (bottom - top)
    draw.line([(float(x), float(y)) for x, y in zip(xs, ys, strict=True)], fill=colour, width=width, joint="curve")
