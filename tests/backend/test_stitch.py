# SPDX-License-Identifier: GPL-3.0-or-later
"""Edited ranges: what is kept comes from the former movie, what changed is made, and the command line renders jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from backend import pipeline, stitch
from backend.cli import main as command_line
from backend.tiers import Synthesis
from backend.video.read import read_frames
from backend.video.write import write_movie
from bridge.facs import AU_COUNT
from bridge.faults import Fault
from bridge.landmarks import LANDMARK_COUNT
from bridge.reuse import Reuse
from bridge.shot import HEAD_NEUTRAL, Shot, Track
from bridge.shot_folder import ShotFolder, read_description, write_shot_folder

pytestmark = pytest.mark.unit
SIZE = (65, 48)  # an odd side: the movie is a pixel wider
FRAMES = 12


def grey(level: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), level, np.uint8)


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """Frame n is of grey level 20 + 10 n."""
    path = tmp_path / "former.mp4"
    write_movie(path, (grey(20 + 10 * n) for n in range(FRAMES)), Fraction(25), FRAMES, None)
    return path


def draw(first: int, end: int) -> Iterator[np.ndarray]:
    return (grey(250) for _ in range(first, end))


def made(first: int, end: int) -> Synthesis:
    return Synthesis(grey(0), draw(first, end))


def levels(pictures: Iterator[np.ndarray]) -> list[int]:
    drawn = list(pictures)
    assert all(picture.shape == (SIZE[1], SIZE[0], 3) for picture in drawn)
    return [round(float(picture.mean()), -1) for picture in drawn]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (((0, 12, 0),), [20 + 10 * n for n in range(12)]),
        (((0, 4, 0), (8, 12, 8)), [20, 30, 40, 50, 250, 250, 250, 250, 100, 110, 120, 130]),
        (((2, 5, 6),), [250, 250, 80, 90, 100, *[250] * 7]),
        ((), [250] * 12),
    ],
)
def test_kept_and_made(movie: Path, runs: tuple, expected: list[int]) -> None:
    assert levels(stitch.stitched(draw, Reuse(str(movie), runs), 0, 12, SIZE)) == expected


def test_a_part_of_the_shot(movie: Path) -> None:
    reuse = Reuse(str(movie), ((0, 4, 0), (8, 12, 8)))
    assert levels(stitch.stitched(draw, reuse, 2, 10, SIZE)) == [40, 50, 250, 250, 250, 250, 100, 110]


def test_frames_kept_by_five_takes_in_turn_stay_as_they_are(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).repeat(8, 0).repeat(9, 1)[:, :65].astype(np.uint8)  # coloured squares
    write_movie(tmp_path / "take0.mp4", [drawn] * FRAMES, Fraction(25), FRAMES, None)
    for number in range(5):
        reuse = Reuse(str(tmp_path / f"take{number}.mp4"), ((0, FRAMES, 0),))
        pictures = stitch.stitched(draw, reuse, 0, FRAMES, SIZE)
        write_movie(tmp_path / f"take{number + 1}.mp4", pictures, Fraction(25), FRAMES, None)
    first, last = (next(read_frames(tmp_path / f"take{number}.mp4")).astype(float) for number in (0, 5))
    assert np.abs(first - last).mean() < 1.5  # through RGB and back each time it is 21


def test_what_is_made_of_a_kept_picture_is_encoded_from_its_pixels(movie: Path) -> None:
    kept = next(stitch.stitched(draw, Reuse(str(movie), ((0, 12, 0),)), 0, 12, SIZE))
    assert kept.planes is not None and getattr(255 - kept, "planes", None) is None and kept.copy().planes is None


def test_a_movie_that_has_become_shorter_is_said(movie: Path) -> None:
    with pytest.raises(Fault) as caught:
        list(stitch.stitched(draw, Reuse(str(movie), ((0, 14, 0),)), 0, 14, SIZE))
    assert caught.value.code == "take-short"


def test_another_movie_is_refused(movie: Path) -> None:
    stitch.check_movie(Reuse(str(movie), ()), SIZE, Fraction(25))
    for size, fps in (((64, 64), Fraction(25)), (SIZE, Fraction(24))):
        with pytest.raises(Fault) as caught:
            stitch.check_movie(Reuse(str(movie), ()), size, fps)
        assert caught.value.code == "take-differs"


def still_shot() -> tuple[Shot, Track]:
    landmarks = np.random.default_rng(0).random((FRAMES, LANDMARK_COUNT, 2)).astype(np.float32) * 20 + 10
    shot = Shot(
        1,
        Fraction(25),
        "portrait.png",
        (),
        np.zeros((FRAMES, AU_COUNT), np.float32),
        np.zeros((FRAMES, AU_COUNT), bool),
        np.tile(np.array(HEAD_NEUTRAL, np.float32), (FRAMES, 1)),
        np.zeros((FRAMES, 6), bool),
    )
    return shot, Track(landmarks, np.zeros_like(landmarks), Fraction(25), SIZE, landmarks[0])


def test_render_with_reuse(movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def start(shot: Shot, track: Track, first: int, end: int, *_: object) -> Synthesis:
        asked.append((first, end))
        return made(first, end)

    monkeypatch.setattr(pipeline, "start_synthesis", start)
    shot, track = still_shot()
    out = tmp_path / "new.mp4"
    reuse = Reuse(str(movie), ((0, 5, 0), (7, 12, 7)))
    report = pipeline.render(shot, track, out, lambda *_: None, reuse=reuse)
    assert report.made == 2 and report.frames == FRAMES and asked[-1] == (5, 7)
    seen = [round(float(picture[:, :64].mean()), -1) for picture in read_frames(out)]
    assert seen == [20, 30, 40, 50, 60, 250, 250, 90, 100, 110, 120, 130]


def test_a_job_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(pipeline, "start_synthesis", lambda shot, track, first, end, *_: made(first, end))
    shot, track = still_shot()
    job = tmp_path / "job"
    write_shot_folder(job, ShotFolder(replace(shot, portrait=str(tmp_path / "p.png")), track, {"movie": "Ada.mp4", "actor": "Ada"}))
    assert command_line.main(["render", "--job", str(job), "--frames", "3-8", "--quiet", "--json"]) == 0
    assert (job / "Ada.mp4").is_file() and json.loads(capsys.readouterr().out.splitlines()[-1])["frames"] == 6
    record = read_description(job)["record"]
    assert record["movie"] == "Ada.mp4" and record["rows"] == [2, 8] and record["report"]["frames"] == 6 and record["actor"] == "Ada"
    assert set(record["models"]) == {"motion", "small"} and all(len(digest) == 64 for digest in record["models"].values())


@pytest.mark.parametrize("name", ["../out.mp4", "/out.mp4", "a/b.mp4"])
def test_a_job_writes_only_into_its_folder(tmp_path: Path, name: str) -> None:
    shot, track = still_shot()
    write_shot_folder(tmp_path / "job", ShotFolder(shot, track, {"movie": name}))
    assert command_line.main(["render", "--job", str(tmp_path / "job"), "--quiet"]) == 2
    assert not (tmp_path / "out.mp4").exists()


def test_no_job_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["render", "--job", str(tmp_path)]) == 2
    assert "holds no shot" in capsys.readouterr().err
