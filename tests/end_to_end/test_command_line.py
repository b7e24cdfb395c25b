# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend alone, with the shipped weights and sample: a portrait and a voice in, a movie out."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "backend" / "sample"
SECONDS, FPS = 1.0, 25


def backend(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m backend ...`"""
    return subprocess.run([sys.executable, "-m", "backend", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def portrait() -> Path:
    return next(SAMPLE.glob("portrait.*"))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of the sample line."""
    import soundfile

    samples, rate = soundfile.read(next(SAMPLE.glob("line.*")), dtype="float32")
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    soundfile.write(path, samples[: int(rate * SECONDS)], rate)
    return path


@pytest.fixture(scope="module")
def au_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AU45 closed in the middle third."""
    path = tmp_path_factory.mktemp("aus") / "aus.csv"
    rows = [f"{frame + 1}, {frame / FPS:.3f}, {5.0 if 8 <= frame < 16 else 0.0}" for frame in range(int(SECONDS * FPS))]
    path.write_text("frame, timestamp, AU45_r\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_animate_makes_the_movie_that_was_asked_for(portrait: Path, voice: Path, au_table: Path, tmp_path: Path) -> None:
    from tools.movie_check import check_movie, read_movie

    out = tmp_path / "talk.mp4"
    done = backend("animate", "--portrait", portrait, "--audio", voice, "--aus", au_table, "--fps", FPS, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout.strip().splitlines()[-1])
    movie, pictures, _, _ = read_movie(out, {0, 12})
    assert check_movie(movie, Fraction(FPS), SECONDS) == []
    assert movie.frames == round(SECONDS * FPS)
    assert np.abs(pictures[0].astype(int) - pictures[12]).max() > 30, "the closed eyes are not in the picture"
    assert [path.name for path in tmp_path.iterdir()] == ["talk.mp4"], "something half-made was left behind"


def test_predict_then_render_is_the_same_path_in_two_steps(portrait: Path, voice: Path, tmp_path: Path) -> None:
    track, out = tmp_path / "track.npz", tmp_path / "talk.mp4"
    done = backend("predict", "--portrait", portrait, "--audio", voice, "--fps", FPS, "--out", track)
    assert done.returncode == 0, done.stderr
    with np.load(track) as data:
        assert data["landmarks"].shape == (round(SECONDS * FPS), 162, 2)
        assert data["portrait_landmarks"].shape == (162, 2)
    done = backend("render", "--portrait", portrait, "--track", track, "--audio", voice, "--steps", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size > 1000


def test_the_same_seed_gives_the_same_prediction(portrait: Path, voice: Path, tmp_path: Path) -> None:
    tracks = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        done = backend("predict", "--portrait", portrait, "--audio", voice, "--seed", seed, "--out", tmp_path / f"{name}.npz")
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / f"{name}.npz") as data:
            tracks.append(data["landmarks"])
    assert np.array_equal(tracks[0], tracks[1]) and not np.array_equal(tracks[0], tracks[2])


def test_without_a_voice_nothing_is_left_behind(portrait: Path, tmp_path: Path) -> None:
    done = backend("animate", "--portrait", portrait, "--audio", tmp_path / "missing.wav", "--out", tmp_path / "talk.mp4")
    assert done.returncode == 2 and "missing.wav" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
