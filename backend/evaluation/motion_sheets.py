# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheets to look at: what each Action Unit does at 0 to 5, at rest and while speaking; and predicted over tracked lips as a movie."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_drawing import FAINT, INK, PAPER, cut, draw_landmarks, placed, square_of, write_text
from backend.motion.config import AU_COUNT, MOTION_RATE
from backend.motion.face import reference_face
from backend.motion.measures import lip_gap
from backend.motion.retarget import retarget
from bridge.facs import ACTION_UNITS, AU_INDEX, ActionUnit
from bridge.faults import Fault
from bridge.shot import HEAD_CHANNELS, MotionSettings

if TYPE_CHECKING:
    from backend.motion.generate import MotionGenerator
    from backend.portrait.detect import PortraitFace

FloatArray = NDArray[np.float32]
Picture = NDArray[np.uint8]

SIDE = 250
LEVELS = 6
SAMPLE = Path(__file__).resolve().parent.parent / "sample"
_REST_FRAMES = 24
_LINE, _ON_PORTRAIT = (176, 30, 60), (60, 255, 120)
_HEADING, _LABEL = 40, 22


def write_sheets(generator: MotionGenerator, folder: Path, grid: Path | None = None, portrait: Path | None = None) -> list[Path]:
    """Writes AU01.png ... AU45.png and, where prepared clips are at hand, overlay-CLIP.mp4; the files.

    Raises the faults of the portrait's detection.
    """
    from backend.evaluation.motion_overlay import write_overlay
    from backend.pipeline import load_face
    from backend.portrait.image import read_image
    from backend.speech.load import load_voice, probe_audio
    from backend.training.motion.clips import load_tracked
    from bridge.shot import Voice

    folder.mkdir(parents=True, exist_ok=True)
    portrait = portrait or SAMPLE / "portrait.jpg"
    image, face = read_image(portrait), load_face(portrait)
    line = SAMPLE / "line.wav"
    voice = load_voice([Voice(str(line))], probe_audio(line).duration)
    written = [_au_sheet(generator, unit, image, face, voice, folder) for unit in ACTION_UNITS]
    if grid is not None:
        try:
            clips = load_tracked(grid, True, 2)
        except Fault:  # no prepared clips: the sheets are still worth having
            clips = []
        written += [write_overlay(generator, clip, folder) for clip in clips]
    return written


def _au_sheet(generator: MotionGenerator, unit: ActionUnit, image: Picture, face: PortraitFace, voice: FloatArray, folder: Path) -> Path:
    """One sheet: rest and two moments of speech (lips wide, lips shut), drawn and on the portrait, intensities 0 to 5 from the left."""
    from PIL import Image

    rows: list[Picture] = []
    silence = np.zeros(640 * _REST_FRAMES, np.float32)
    for samples, moments in ((silence, ("at rest",)), (voice, ("speaking, lips wide", "speaking, lips shut"))):
        motion, pixels = _levels(generator, unit, face, samples)
        for moment in moments:
            frame = _frame_of(motion[0], moment)
            drawn = [reference_face().neutral[:, :2] + level[frame] for level in motion]
            rows.append(_labelled(_drawn_row(drawn), f"{moment}, reference face"))
            rows.append(_labelled(_portrait_row(image, [level[frame] for level in pixels]), f"{moment}, sample portrait"))
    sheet = np.concatenate([_heading(unit, rows[0].shape[1]), *rows])
    path = folder / f"{unit.key}.png"
    Image.fromarray(sheet).save(path)
    return path


def _levels(generator: MotionGenerator, unit: ActionUnit, face: PortraitFace, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Motion (6, frames, 162, 2) and portrait pixels (6, frames, 162, 2) with the AU keyed at 0 to 5."""
    frames = len(samples) * MOTION_RATE // 16000
    keyed = np.zeros((frames, AU_COUNT), bool)
    keyed[:, AU_INDEX[unit.key]] = True
    head = np.tile(np.array([0, 0, 0, 0, 0, 1], np.float32), (frames, 1))
    settings = MotionSettings(blinks=False, idle_head=0.0)
    motions, pixels = [], []
    for level in range(LEVELS):
        motion, _ = generator.generate(samples, frames, Fraction(MOTION_RATE), (keyed * level).astype(np.float32), keyed, 0, settings)
        motions.append(motion)
        held = np.ones((frames, len(HEAD_CHANNELS)), bool)
        pixels.append(retarget(motion, face, head, held, settings, 0, samples, Fraction(MOTION_RATE)))
    return np.stack(motions), np.stack(pixels)


def _frame_of(motion: FloatArray, moment: str) -> int:
    """The frame that shows a moment: the middle at rest, the widest gap, or lips shut between two open moments."""
    gap = lip_gap(reference_face().neutral[:, :2] + motion)
    if moment == "at rest":
        return len(gap) // 2
    if moment.endswith("wide"):
        return int(gap.argmax())
    reach = 5
    around = [
        max(gap[max(0, f - reach) : f].max(initial=0), 0) + gap[f + 1 : f + reach].max(initial=0) - 2 * gap[f] for f in range(len(gap))
    ]
    return int(np.argmax(around))


def _drawn_row(faces: Sequence[FloatArray]) -> Picture:
    """The faces as lines, the first in grey under each."""
    square = square_of(np.stack([reference_face().neutral[:, :2], *faces]), 0.08)
    panels = []
    for points in faces:
        panel = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
        draw_landmarks(panel, placed(faces[0], square, SIDE), FAINT)
        draw_landmarks(panel, placed(points, square, SIDE), _LINE)
        panels.append(panel)
    return np.concatenate(panels, axis=1)


def _portrait_row(image: Picture, faces: Sequence[FloatArray]) -> Picture:
    square = square_of(np.stack(faces), 0.08)
    panels = []
    for points in faces:
        panel = cut(image, square, SIDE)
        draw_landmarks(panel, placed(points, square, SIDE), _ON_PORTRAIT)
        panels.append(panel)
    return np.concatenate(panels, axis=1)


def _labelled(row: Picture, text: str) -> Picture:
    bar = np.full((_LABEL, row.shape[1], 3), PAPER, np.uint8)
    return np.concatenate([write_text(bar, text, (6, 3), size=14), row])


def _heading(unit: ActionUnit, width: int) -> Picture:
    bar = np.full((_HEADING + _LABEL, width, 3), PAPER, np.uint8)
    bar = write_text(bar, f"{unit.key}  {unit.name}: {unit.effect}", (6, 6), INK, 24)
    for level in range(LEVELS):
        bar = write_text(bar, f"intensity {level}", (6 + level * SIDE, _HEADING), INK, 15)
    return bar
