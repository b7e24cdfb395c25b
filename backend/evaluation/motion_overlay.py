# SPDX-License-Identifier: GPL-3.0-or-later
"""A movie of predicted lips over tracked lips on a held-out clip, with its voice and the two lip-gap curves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_drawing import curves, cut, draw_landmarks, placed, write_text
from backend.evaluation.motion_keys import motion_of
from backend.evaluation.motion_voice import correlation, points_of
from backend.motion.canonical import image_rotation
from backend.motion.measures import lip_gap
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
        tracked, pose, rate = data["landmarks"], data["pose"], np.atleast_1d(data["fps"]).astype(int)
    predicted = in_pixels(tracked, pose, (made - clip.motion) * clip.scale)
    strip = curves({TRACKED: real_gap, PREDICTED: made_gap}, (SIDE, STRIP), float(max(real_gap.max(), made_gap.max())))
    strip = write_text(strip, f"lip gap, r {r:.2f}: tracked green, predicted from the voice pink", (6, 2), (230, 230, 230), 14)
    square = _lower_face(tracked)

    def pictures() -> list[Picture]:
        shown = []
        for number, frame in enumerate(read_frames(clip_video(clip.path), 0, len(tracked))):
            panel = cut(frame, square, SIDE)
            for points, colour in ((tracked, TRACKED), (predicted, PREDICTED)):
                draw_landmarks(panel, placed(points[number], square, SIDE), colour, 2, _SHOWN)
            below = strip.copy()
            below[:, int((number + 0.5) / len(tracked) * SIDE)] = (255, 255, 255)
            shown.append(np.concatenate([panel, below]))
        return shown

    path = folder / f"overlay-{clip.path.stem}.mp4"
    fps = Fraction(int(rate[0]), int(rate[1]) if len(rate) == 2 else 1)
    write_movie(path, pictures(), fps, len(tracked), clip_voice(clip.path), None, 16000)
    return path


def in_pixels(tracked: FloatArray, pose: FloatArray, displacement: FloatArray) -> FloatArray:
    """Tracked landmarks (frames, 162, 2) moved by canonical displacements (frames, 162, 2) under the head's pose (frames, 4, 4)."""
    turn = image_rotation(pose)
    across = tracked[:, EYE_OUTER_LEFT] - tracked[:, EYE_OUTER_RIGHT]
    foreshortened = np.linalg.norm(turn[:, :2, 0], axis=-1)
    unit = np.linalg.norm(across, axis=-1) / np.maximum(foreshortened, 0.3)
    moved = np.einsum("fij,fpj->fpi", turn[:, :2, :2], displacement)
    return (tracked + unit[:, None, None] * moved).astype(np.float32)


def _lower_face(tracked: FloatArray) -> tuple[float, float, float]:
    """A square round mouth and chin through the whole clip."""
    points = tracked[:, list(REGIONS["lips_outer"])].reshape(-1, 2)
    width = float(np.ptp(points[:, 0]))
    x, y = points.mean(axis=0)
    side = 2.6 * width
    return float(x - side / 2), float(y - 0.42 * side), side
