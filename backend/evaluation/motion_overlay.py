# SPDX-License-Identifier: GPL-3.0-or-later
"""A movie of predicted lips over tracked lips on a held-out clip, with its voice and the two lip-gap curves."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_drawing import curves, cut, draw_landmarks, placed, write_text
from backend.evaluation.motion_keys import motion_of
from backend.evaluation.motion_voice import correlation, points_of
from backend.motion.canonical import image_rotation
from backend.motion.config import MOTION_RATE
from backend.motion.measures import lip_gap
from backend.training.prepare.prepared import at_rate
from backend.video.read import read_frames
from backend.video.write import write_movie
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, REGIONS

if TYPE_CHECKING:
    from backend.motion.generate import MotionGenerator
    from backend.training.motion.dataset import Clip

FloatArray = NDArray[np.float32]
Picture = NDArray[np.uint8]

SIDE, STRIP = 640, 120
TRACKED, PREDICTED = (80, 220, 120), (255, 70, 160)
_SHOWN = ("lips_outer", "lips_inner", "face_oval")


def write_overlay(generator: MotionGenerator, clip: Clip, folder: Path) -> Path:
    """Writes ``folder``/overlay-CLIP.mp4: tracked lips and jaw green, predicted ones from the voice alone pink."""
    from backend.training.motion.clips import clip_video, clip_voice

    made = motion_of(generator, clip)
    real_gap, made_gap = (lip_gap(points_of(clip, motion)) for motion in (clip.motion, made))
    r = correlation(made_gap, real_gap)
    with np.load(clip.path, allow_pickle=False) as data:
        fps = Fraction(*np.atleast_1d(data["fps"]).astype(int).tolist())
        tracked, pose = (at_rate(data[name], fps, Fraction(MOTION_RATE)) for name in ("landmarks", "pose"))
        first = int(data["first_frame"]) if "first_frame" in data.files else 0
    predicted = in_pixels(tracked, pose, (made - clip.motion) * clip.scale)
    strip = curves({TRACKED: real_gap, PREDICTED: made_gap}, (SIDE, STRIP), float(max(real_gap.max(), made_gap.max())))
    strip = write_text(strip, f"lip gap, r {r:.2f}: tracked green, predicted from the voice pink", (6, 2), (230, 230, 230), 14)
    square = _lower_face(tracked)

    def pictures() -> list[Picture]:
        shown = []
        wanted = [first + int(number * fps / MOTION_RATE) for number in range(len(tracked))]
        for number, frame in enumerate(_frames_at(clip_video(clip.path), wanted)):
            panel = cut(frame, square, SIDE)
            for points, colour in ((tracked, TRACKED), (predicted, PREDICTED)):
                draw_landmarks(panel, placed(points[number], square, SIDE), colour, 2, _SHOWN)
            below = strip.copy()
            below[:, int((number + 0.5) / len(tracked) * SIDE)] = (255, 255, 255)
            shown.append(np.concatenate([panel, below]))
        return shown

    path = folder / f"overlay-{clip.path.stem}.mp4"
    write_movie(path, pictures(), Fraction(MOTION_RATE), len(tracked), clip_voice(clip.path), None, 16000)
    return path


def in_pixels(tracked: FloatArray, pose: FloatArray, displacement: FloatArray) -> FloatArray:
    """Tracked landmarks (frames, 162, 2) moved by canonical displacements (frames, 162, 2) under the head's pose (frames, 4, 4)."""
    turn = image_rotation(pose)
    across = tracked[:, EYE_OUTER_LEFT] - tracked[:, EYE_OUTER_RIGHT]
    foreshortened = np.linalg.norm(turn[:, :2, 0], axis=-1)
    unit = np.linalg.norm(across, axis=-1) / np.maximum(foreshortened, 0.3)
    moved = np.einsum("fij,fpj->fpi", turn[:, :2, :2], displacement)
    return (tracked + unit[:, None, None] * moved).astype(np.float32)


def _frames_at(video: Path, wanted: list[int]) -> Iterator[Picture]:
    """Frames of a video by number, in rising order; a number may stand several times."""
    place = 0
    for index, frame in enumerate(read_frames(video)):
        while place < len(wanted) and wanted[place] == index:
            yield frame
            place += 1
        if place == len(wanted):
            return


def _lower_face(tracked: FloatArray) -> tuple[float, float, float]:
    """A square round mouth and chin through the whole clip."""
    points = tracked[:, list(REGIONS["lips_outer"])].reshape(-1, 2)
    width = float(np.ptp(points[:, 0]))
    x, y = points.mean(axis=0)
    side = 2.6 * width
    return float(x - side / 2), float(y - 0.42 * side), side
