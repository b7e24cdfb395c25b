# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's own parts: arguments, input, moments worth showing, the check of a finished movie, the sheet."""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from bridge.facs import AU_COUNT, AU_INDEX
from bridge.faults import Fault
from bridge.landmarks import LANDMARK_COUNT
from tools import contact_sheet, demo, demo_input
from tools.movie_check import Movie, check_movie, read_movie
from tools.say import ROOT, BuildFault

pytestmark = pytest.mark.unit

GOOD = Movie("h264", "aac", "yuv420p", "24", (64, 64), 24, 1.0, 1.02, "synthetic media made with AUtter")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", Fraction(24)),
        ("25", Fraction(25)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("12.5", Fraction(25, 2)),
    ],
)
def test_frame_rates_are_exact(text: str, rate: Fraction) -> None:
    assert demo.frame_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "-3", "1000", "fast", "1/0", ""])
def test_an_impossible_rate_is_one_sentence(text: str) -> None:
    with pytest.raises(BuildFault, match="Use "):
        demo.frame_rate(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    choice = argparse.Namespace(portrait=tmp_path / "nobody.png", audio=None, aus=None, fps="24", out=tmp_path)
    with pytest.raises(BuildFault, match="portrait .*nobody.png is not there"):
        demo.check_arguments(choice)


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildFault, match="Nothing can be written"):
        demo.make_folder(tmp_path / "file" / "demo")


def test_the_input_is_read_with_the_backends_own_readers(tmp_path: Path) -> None:
    sample = ROOT / "backend" / "sample"
    shot = {"fps": [24, 1], "portrait": str(sample / "portrait.jpg"), "audio": str(sample / "line.wav"), "aus": str(sample / "aus.csv")}
    found = demo_input.look_at(shot)
    assert found["keyed"] == ["AU04", "AU12", "AU45"] and 48 <= found["frames"] <= 24 * 10
    (tmp_path / "aus.csv").write_text("timestamp,smile\n0,1\n")
    with pytest.raises(Fault, match="no Action Unit column"):
        demo_input.look_at({**shot, "aus": str(tmp_path / "aus.csv")})


def test_a_right_movie_passes() -> None:
    assert check_movie(GOOD, Fraction(24), 1.0) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video_codec": "mpeg4"}, "not h264"),
        ({"pixel_format": "yuv444p"}, "yuv420p"),
        ({"audio_codec": ""}, "missing"),
        ({"fps": "25"}, "25 frames a second"),
        ({"video_seconds": 1.1, "audio_seconds": 1.1}, "the voice 1.000"),
        ({"audio_seconds": 0.5}, "Its sound lasts"),
        ({"comment": ""}, "synthetic"),
    ],
)
def test_a_wrong_movie_is_told_apart(change: dict[str, object], words: str) -> None:
    (sentence,) = check_movie(replace(GOOD, **change), Fraction(24), 1.0)  # type: ignore[arg-type]
    assert words in sentence


@pytest.fixture
def track() -> contact_sheet.RigTrack:
    """Two seconds: a blink at frame 10, a smile at frame 30."""
    rng = np.random.default_rng(3)
    landmarks = np.repeat(rng.uniform(20, 100, (1, LANDMARK_COUNT, 2)), 48, 0).astype(np.float32)
    aus, keyed = np.zeros((48, AU_COUNT), np.float32), np.zeros((48, AU_COUNT), bool)
    aus[10, AU_INDEX["AU45"]], aus[30, AU_INDEX["AU12"]] = 5, 4
    keyed[:, [AU_INDEX["AU45"], AU_INDEX["AU12"]]] = True
    return contact_sheet.RigTrack(landmarks, aus, keyed, Fraction(24), 1)


def test_the_sheet_shows_every_peak(track: contact_sheet.RigTrack) -> None:
    moments = contact_sheet.telling_moments(track)
    assert {10, 30} <= set(moments) and len(moments) == contact_sheet.COLUMNS
    assert min(np.diff(moments)) >= 4


def test_a_shot_shorter_than_the_columns_still_has_a_sheet(track: contact_sheet.RigTrack) -> None:
    short = replace(track, landmarks=track.landmarks[:3], aus=track.aus[:3], keyed=track.keyed[:3])
    assert contact_sheet.telling_moments(short) == [0, 1, 2]


def test_the_sheet_is_drawn_from_a_movie(track: contact_sheet.RigTrack, tmp_path: Path) -> None:
    portrait, movie, rig = tmp_path / "portrait.png", tmp_path / "talk.mp4", tmp_path / "rig.npz"
    Image.new("RGB", (120, 130), (200, 180, 160)).save(portrait)
    with av.open(str(movie), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 120, 130, "yuv420p"
        for shade in range(48):
            frame = av.VideoFrame.from_ndarray(np.full((130, 120, 3), shade * 5, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    np.savez(rig, landmarks=track.landmarks, aus=track.aus, keyed=track.keyed, fps=[24, 1], frame_start=1)
    sheet, facts, wrong, fps = contact_sheet.make_sheet(portrait, movie, rig, "A title")
    assert sheet.width == contact_sheet.WIDTH and facts["frames"] == 48 and not wrong and fps == 24
    found, pictures, samples, _ = read_movie(movie, {0, 47})
    assert found.audio_codec == "" and len(samples) == 0 and pictures[47].mean() > pictures[0].mean() + 100
