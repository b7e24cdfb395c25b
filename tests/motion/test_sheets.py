# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheets and overlay of the motion evaluation, and the table of times, with a tiny network."""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from motion_faces import babble, portrait
from test_measures import clip, level

from backend.benchmark import motion as benchmark
from backend.evaluation import motion_overlay, motion_sheets
from backend.evaluation.motion_drawing import curves, cut, draw_landmarks, placed, square_of, write_text
from backend.motion.config import TINY
from backend.motion.face import reference_face
from backend.motion.generate import MotionGenerator
from backend.video.read import probe_video, read_frames
from backend.video.write import write_movie
from bridge.facs import ACTION_UNITS
from bridge.landmarks import LIP_INNER_LOWER

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def tiny() -> MotionGenerator:
    import torch

    from backend.motion.model import MotionModel

    torch.manual_seed(0)
    return MotionGenerator(MotionModel(TINY).eval())


def test_a_sheet_shows_every_intensity_at_rest_and_speaking(tiny, tmp_path):
    from PIL import Image

    image = np.full((640, 640, 3), 120, np.uint8)
    path = motion_sheets._au_sheet(tiny, ACTION_UNITS[0], image, portrait(), babble(1.2), tmp_path)
    sheet = np.asarray(Image.open(path))
    rows = 6
    assert path.name == "AU01.png" and sheet.shape[1] == 6 * motion_sheets.SIDE and sheet.shape[0] > rows * motion_sheets.SIDE
    drawn = (sheet != np.array(motion_sheets.PAPER)).any(axis=-1)
    height = motion_sheets.SIDE + motion_sheets._LABEL
    top = sheet.shape[0] - rows * height
    for row in range(rows):
        for column in range(6):
            panel = drawn[top + row * height + motion_sheets._LABEL :, column * motion_sheets.SIDE :][
                : motion_sheets.SIDE, : motion_sheets.SIDE
            ]
            assert panel.mean() > 0.01, f"row {row}, intensity {column} is empty"


def test_the_shut_moment_lies_between_open_ones():
    gap = np.array([0, 0, 2, 3, 3, 0.2, 3, 3, 1, 0, 0, 0], np.float32) * 0.05
    motion = np.zeros((len(gap), 162, 2), np.float32)
    motion[:, LIP_INNER_LOWER, 1] = gap
    assert motion_sheets._frame_of(motion, "speaking, lips shut") == 5
    assert motion_sheets._frame_of(motion, "speaking, lips wide") in (3, 4, 6, 7)
    assert motion_sheets._frame_of(motion, "at rest") == 6


def test_points_land_where_the_cut_shows_them():
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[60:64, 120:124] = 255
    points = np.array([[100.0, 40.0], [150.0, 90.0]], np.float32)
    square = square_of(points, 0.2)
    shown = cut(picture, square, 140)
    x, y = placed(np.array([[121.5, 61.5]], np.float32), square, 140)[0]
    assert shown[int(round(y)), int(round(x))].min() > 200
    canvas = np.zeros((140, 140, 3), np.uint8)
    draw_landmarks(canvas, placed(reference_face().neutral[:, :2], square_of(reference_face().neutral[:, :2]), 140), (255, 0, 0))
    assert (canvas[..., 0] > 100).sum() > 100 and not canvas[..., 1].any()
    assert (write_text(np.zeros((40, 120, 3), np.uint8), "AU12", (4, 4), (255, 255, 255)) > 0).any()
    assert curves({(0, 255, 0): np.linspace(0, 1, 10, dtype=np.float32)}, (60, 40), 1.0)[..., 1].max() > 200


@pytest.mark.parametrize("yaw", [0.0, 20.0])
def test_predictions_are_laid_over_the_tracked_face_in_its_pose(yaw):
    unit, face = 120.0, portrait((yaw, 0.0, 0.0), unit=120.0)
    moved = np.zeros((1, 162, 2), np.float32)
    moved[0, LIP_INNER_LOWER, 1] = 0.1
    there = motion_overlay.in_pixels(face.landmarks[None], face.pose[None], moved)
    change = there[0] - face.landmarks
    assert change[LIP_INNER_LOWER, 1] == pytest.approx(0.1 * unit, rel=0.03) and abs(change[LIP_INNER_LOWER, 0]) < 0.5
    assert not np.delete(change, LIP_INNER_LOWER, axis=0).any()


def test_the_overlay_is_a_movie_with_the_clips_voice(tiny, tmp_path):
    import soundfile

    frames, face = 20, portrait()
    movie, sound = tmp_path / "x.mp4", tmp_path / "x.wav"
    write_movie(movie, [np.full((640, 640, 3), 90, np.uint8)] * frames, Fraction(25), frames, None)
    soundfile.write(sound, babble(0.8), 16000)
    track = np.repeat(face.landmarks[None], frames, 0)
    stored = {"landmarks": track, "pose": np.repeat(face.pose[None], frames, 0), "fps": np.array([25, 1]), "aus": np.zeros((frames, 18))}
    np.savez(tmp_path / "x.npz", **stored, video=str(movie), audio=str(sound))
    held = replace(clip(level(3, frames)), path=tmp_path / "x.npz")
    path = motion_overlay.write_overlay(tiny, held, tmp_path)
    info = probe_video(path)
    assert path == tmp_path / "overlay-x.mp4" and info.has_audio and info.frame_count == frames
    picture = next(iter(read_frames(path)))
    assert picture.shape[:2] == (motion_overlay.SIDE + motion_overlay.STRIP, motion_overlay.SIDE)
    green = (picture[..., 1].astype(int) - picture[..., 0] > 60).sum()
    assert green > 50, "tracked lips are drawn"


def test_times_are_printed_with_ratios(tiny, monkeypatch, capsys):
    monkeypatch.setattr(MotionGenerator, "load", classmethod(lambda cls, path=None: tiny))
    monkeypatch.setattr(benchmark, "_CASES", ((1, 25), (1, 60), (2, 25), (2, 60)))
    report = benchmark.run(argparse.Namespace(weights=Path("none"), repeats=1))
    text = capsys.readouterr().out
    assert len(report["cases"]) == 4 and all(row["edit_ms"] > 0 and row["first_ms"] >= row["features_ms"] for row in report["cases"])
    assert set(report["ratios"]) == {"60 fps over 25 fps", "60 s over 10 s", "both"} and report["verdict"] in text
