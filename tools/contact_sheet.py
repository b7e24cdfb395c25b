# SPDX-License-Identifier: GPL-3.0-or-later
"""One picture of a finished shot: portrait, rig and video side by side, with AU values. Runs in the backend's environment.

    python -m tools.contact_sheet --portrait P --movie talk.mp4 --rig rig.npz --voice A --out sheet.png

``rig.npz`` holds what Blender evaluated: ``landmarks`` (frames, 162, 2) in portrait pixels, ``aus`` (frames, 18) 0 to 5,
``keyed`` (frames, 18) bool, ``fps`` (numerator, denominator), ``frame_start``. Prints what the movie is as one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from bridge.facs import ACTION_UNITS, AU_KEYS
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, LIP_INNER_LOWER, LIP_INNER_UPPER
from tools import sheet_drawing as pen
from tools.movie_check import Movie, check_movie, read_movie, read_sound

WIDTH, MARGIN, GAP = 2000, 48, 14
COLUMNS, PORTRAIT_SIDE, MOST_ROWS = 6, 350, 9


@dataclass(frozen=True)
class RigTrack:
    """What Blender evaluated, see the module's words."""

    landmarks: NDArray[np.float32]
    aus: NDArray[np.float32]
    keyed: NDArray[np.bool_]
    fps: Fraction
    frame_start: int

    @classmethod
    def read(cls, path: Path) -> RigTrack:
        """From rig.npz."""
        with np.load(path, allow_pickle=False) as data:
            fps = Fraction(int(data["fps"][0]), int(data["fps"][1]))
            return cls(data["landmarks"], data["aus"], data["keyed"].astype(bool), fps, int(data["frame_start"]))

    @property
    def keyed_units(self) -> list[int]:
        """Indices of AUs that are keyed anywhere."""
        return [int(index) for index in np.flatnonzero(self.keyed.any(0))]

    @property
    def lip_gap(self) -> NDArray[np.float32]:
        """(frames,) inner lip gap over the distance of the outer eye corners."""
        eyes = np.linalg.norm(self.landmarks[:, EYE_OUTER_LEFT] - self.landmarks[:, EYE_OUTER_RIGHT], axis=-1)
        return np.linalg.norm(self.landmarks[:, LIP_INNER_UPPER] - self.landmarks[:, LIP_INNER_LOWER], axis=-1) / np.maximum(eyes, 1e-6)


def telling_moments(track: RigTrack, count: int = COLUMNS) -> list[int]:
    """Frames worth showing: the peak of every keyed AU, the widest mouth, then an even spread, never close together."""
    frames = len(track.landmarks)
    apart = max(1, frames // (count * 2))
    lively = sorted(track.keyed_units, key=lambda unit: -float(np.ptp(track.aus[:, unit])))
    wishes = [int(track.aus[:, unit].argmax()) for unit in lively if float(np.ptp(track.aus[:, unit])) > 0.5][: count - 2]
    wishes += [int(track.lip_gap.argmax()), *np.linspace(0, frames - 1, count).round().astype(int), *range(frames)]
    chosen: list[int] = []
    for wish in wishes:
        if len(chosen) < min(count, frames) and all(abs(int(wish) - other) >= apart for other in chosen):
            chosen.append(int(wish))
    return sorted(chosen)


def make_sheet(portrait: Path, movie_path: Path, rig: Path, title: str) -> tuple[Image.Image, dict[str, object], list[str], Fraction]:
    """The sheet, the movie's facts, and a list of mismatches between rig and movie."""
    track = RigTrack.read(rig)
    moments = telling_moments(track)
    movie, pictures, samples, _ = read_movie(movie_path, set(moments))
    wrong = [] if movie.frames == len(track.landmarks) else [f"The movie has {movie.frames} frames, the shot {len(track.landmarks)}."]
    moments = [moment for moment in moments if moment in pictures]
    still = np.asarray(ImageOps.exif_transpose(Image.open(portrait)).convert("RGB"))
    rows = max(len(bar_rows(track, moment)) for moment in moments)
    sheet = Image.new("RGB", (WIDTH, 118 + 2 * (column_side() + GAP) + 8 + max(rows, 5) * 25 + 250), pen.PAPER)
    draw = ImageDraw.Draw(sheet)
    facts = f"{movie.video_seconds:.2f} s   {float(track.fps):g} fps   {movie.frames} frames   {movie.video_codec} + {movie.audio_codec}"
    draw.text((MARGIN, 34), title, font=pen.font(32, True), fill=pen.INK)
    draw.text((WIDTH - MARGIN, 44), facts, font=pen.font(19), fill=pen.FAINT, anchor="ra")
    colours = {unit: pen.KEYED_COLOURS[place % len(pen.KEYED_COLOURS)] for place, unit in enumerate(track.keyed_units)}
    square = pen.face_square(track.landmarks, (still.shape[1], still.shape[0]))
    draw_portrait(sheet, draw, still, square, track, colours)
    for place, moment in enumerate(moments):
        draw_column(sheet, draw, place, moment, track, still, pictures[moment], square, colours)
    draw_timeline(draw, sheet.height - 222, track, moments, samples, colours)
    return sheet, movie.to_dict(), wrong, track.fps


def column_side() -> int:
    """Width of one column of the grid."""
    return (WIDTH - 2 * MARGIN - PORTRAIT_SIDE - 28 - (COLUMNS - 1) * GAP) // COLUMNS


def draw_portrait(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    still: NDArray[np.uint8],
    square: tuple[int, int, int, int],
    track: RigTrack,
    colours: dict[int, tuple[int, int, int]],
) -> None:
    """The left part: the portrait as given and the list of what was keyed."""
    top = 118
    whole = ImageOps.contain(Image.fromarray(still), (PORTRAIT_SIDE, 2 * column_side() + GAP - 60))
    draw.text((MARGIN, top - 30), "Portrait", font=pen.font(17, True), fill=pen.INK)
    sheet.paste(whole, (MARGIN, top))
    y = top + whole.height + 22
    draw.text((MARGIN, y), "Keyed Action Units", font=pen.font(17, True), fill=pen.INK)
    for unit in track.keyed_units[:10]:
        y += 27
        draw.rounded_rectangle([MARGIN, y + 4, MARGIN + 14, y + 18], 3, fill=colours[unit])
        values = track.aus[:, unit]
        text = f"{ACTION_UNITS[unit].key}  {ACTION_UNITS[unit].name}  {values.min():.0f} \N{EN DASH} {values.max():.0f}"
        draw.text((MARGIN + 24, y), text, font=pen.font(16), fill=pen.INK)
    draw.text((MARGIN, y + 34), "Grey: filled in from the voice", font=pen.font(15), fill=pen.FAINT)


def draw_column(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    place: int,
    moment: int,
    track: RigTrack,
    still: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    square: tuple[int, int, int, int],
    colours: dict[int, tuple[int, int, int]],
) -> None:
    """One moment: rig above, video below, its AU values under both."""
    side = column_side()
    left, top = MARGIN + PORTRAIT_SIDE + 28 + place * (side + GAP), 118
    draw.text((left, top - 30), f"Frame {track.frame_start + moment}", font=pen.font(17, True), fill=pen.INK)
    draw.text((left + side, top - 29), f"{float(moment / track.fps):.2f} s", font=pen.font(16), fill=pen.FAINT, anchor="ra")
    behind = pen.cropped(still, square, side)
    sheet.paste(pen.rig_picture(track.landmarks[moment], square, side, behind), (left, top))
    # A movie has even sides: it may be a pixel smaller than the portrait.
    sheet.paste(pen.cropped(picture, square, side), (left, top + side + GAP))
    if place == 0:
        for number, label in enumerate(("Rig", "Video")):
            draw.text(
                (left + 8, top + number * (side + GAP) + 6),
                label,
                font=pen.font(15, True),
                fill=(255, 255, 255),
                stroke_width=2,
                stroke_fill=(0, 0, 0),
            )
    rows = bar_rows(track, moment)
    pen.draw_bars(draw, (left, top + 2 * (side + GAP) + 8, side), rows, colours)


def bar_rows(track: RigTrack, moment: int) -> list[tuple[int, float, bool]]:
    """(AU index, value, keyed) to show under a moment: the keyed AUs, then the strongest of the free ones."""
    keyed = track.keyed_units[:6]
    free = [int(unit) for unit in np.argsort(-track.aus[moment]) if unit not in track.keyed_units and track.aus[moment, unit] >= 0.3]
    units = [*keyed, *free][:MOST_ROWS]
    return [(unit, float(track.aus[moment, unit]), unit in keyed) for unit in units]


def draw_timeline(
    draw: ImageDraw.ImageDraw,
    top: int,
    track: RigTrack,
    moments: list[int],
    samples: NDArray[np.float32],
    colours: dict[int, tuple[int, int, int]],
) -> None:
    """The whole shot along the bottom: voice, lip gap of the rig, keyed AUs, and where the columns were taken."""
    box = (MARGIN, top + 34, WIDTH - MARGIN, top + 176)
    draw.text(
        (MARGIN, top),
        "Voice, lip opening of the rig (black) and keyed AUs (0 \N{EN DASH} 5) over the shot",
        font=pen.font(16),
        fill=pen.FAINT,
    )
    for moment in moments:
        x = box[0] + (box[2] - box[0]) * moment / max(len(track.landmarks) - 1, 1)
        draw.line([x, box[1], x, box[3]], fill=pen.RULE, width=2)
        draw.text((x, box[3] + 6), str(track.frame_start + moment), font=pen.font(14), fill=pen.FAINT, anchor="ma")
    pen.draw_waveform(draw, box, samples)
    gap = track.lip_gap
    pen.draw_curve(draw, box, gap - gap.min(), max(float(np.ptp(gap)), 0.05) * 1.15, pen.INK, 2)
    for unit, colour in colours.items():
        pen.draw_curve(draw, box, track.aus[:, unit], 5.2, colour)
    draw.line([box[0], box[3], box[2], box[3]], fill=pen.RULE, width=2)


def main() -> int:
    """Command line: see the module's words."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("portrait", "movie", "rig", "voice", "out"):
        parser.add_argument("--" + name, type=Path, required=True)
    parser.add_argument("--title", default="From keyed Action Units and a voice to a talking portrait")
    choice = parser.parse_args()
    sheet, facts, wrong, fps = make_sheet(choice.portrait, choice.movie, choice.rig, choice.title)
    _, samples, rate = read_sound(choice.voice)
    facts["voice_seconds"] = len(samples) / max(rate, 1)
    sheet.save(choice.out, optimize=True)
    movie = Movie(**{key: value for key, value in facts.items() if key != "voice_seconds"})  # type: ignore[arg-type]
    wrong += check_movie(movie, fps, float(facts["voice_seconds"]))  # type: ignore[arg-type]
    print(json.dumps({**facts, "wrong": wrong, "aus": list(AU_KEYS)}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
