# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults in what the real backend is given: portraits, voices, keys, weights and caches. ``docs/faults.md`` names them all."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bridge.client import Client, Event, TakeMemory
from bridge.shot import RenderSettings, Shot, Track, Voice
from tests.bridge.shots import plain_shot
from tests.process import backends
from tests.process.backends import ROOT, gather, saw

pytestmark = pytest.mark.process
pytest.importorskip("torch")

SAMPLE = ROOT / "backend" / "sample"
FRAMES = 6
PATIENCE = 180.0  # seconds, on a busy machine
Maker = Callable[..., Client]


def real_client(folder: Path, **environment: str) -> Client:
    """A client of the real backend, with its caches and log in ``folder``."""
    told = {"PYTHONPATH": str(ROOT), "AUTTER_HOME": str(folder / "home"), **environment}
    return Client(sys.executable, environment=told, log_path=folder / "backend.log")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real backend's folder."""
    return tmp_path_factory.mktemp("Ünï cödé")


@pytest.fixture(scope="module")
def real(place: Path) -> Iterator[Client]:
    """One real backend for all tests of this file."""
    client = real_client(place)
    client.start()
    gather(client, saw("hello"))
    yield client
    client.close(5.0)


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A copy of the sample's portrait."""
    return Path(shutil.copy(SAMPLE / "portrait.jpg", tmp_path / "portrait.jpg"))


@pytest.fixture
def good(portrait: Path) -> Shot:
    """A shot that works."""
    return replace(
        plain_shot(str(portrait), FRAMES), fps=Fraction(25), voice=(Voice(str(SAMPLE / "line.wav")),), render=RenderSettings(steps=1)
    )


def outcome(client: Client, job: int) -> Event:
    """The event that ends ``job``; the first one waits for large imports, too."""
    return backends.outcome(client, job, PATIENCE)


def refused(client: Client, job: int, *codes: str) -> Event:
    """The failure of a job, told in a sentence with a hint."""
    ended = outcome(client, job)
    assert ended.kind == "failed" and ended.header["code"] in codes, ended.header
    assert ended.header["sentence"].endswith(".") and ended.header["hint"]
    return ended


def tracked(client: Client, shot: Shot) -> Track:
    """The shot's prediction."""
    ended = outcome(client, client.predict(shot))
    assert ended.kind == "result", ended.header
    return Track.from_message(ended.header, ended.arrays)


def test_pictures_without_a_face_or_with_three(real: Client, tmp_path: Path) -> None:
    grey, three = tmp_path / "grey.png", tmp_path / "three.png"
    Image.new("RGB", (300, 300), (90, 90, 90)).save(grey)
    face = Image.open(SAMPLE / "portrait.jpg").convert("RGB").resize((400, 400))
    row = Image.new("RGB", (1200, 400))
    for number in range(3):
        row.paste(face, (400 * number, 0))
    row.save(three)
    refused(real, real.find_portrait(grey), "face-none")
    assert "3 faces" in refused(real, real.find_portrait(three), "face-several").header["sentence"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in the file system are POSIX's")
def test_files_that_never_end(real: Client, good: Shot, tmp_path: Path) -> None:
    """A pipe where a file should be would keep a reader waiting for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused(real, real.find_portrait(pipe), "image-missing", "image-unreadable")
    refused(real, real.predict(replace(good, voice=(Voice(str(pipe)),))), "audio-missing", "audio-unreadable")
    refused(real, real.capture(pipe), "movie-missing", "video-missing", "video-unreadable", "movie-unreadable")


def test_voices_that_are_none(real: Client, good: Shot, tmp_path: Path) -> None:
    letter, empty = tmp_path / "letter.wav", tmp_path / "empty.wav"
    letter.write_text("This is a letter, not a voice.")
    empty.touch()
    for path, codes in ((letter, "audio-unreadable"), (empty, "audio-unreadable"), (tmp_path / "gone.wav", "audio-missing")):
        refused(real, real.predict(replace(good, voice=(Voice(str(path)),))), codes)
    assert outcome(real, real.predict(good)).kind == "result"


def test_a_voice_of_four_hours(real: Client, good: Shot, tmp_path: Path) -> None:
    """Only the shot's piece of it is read."""
    path, rate, seconds = tmp_path / "long.wav", 16000, 4 * 3600
    size = 2 * rate * seconds
    header = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    with path.open("wb") as file:
        file.write(header + b"data" + struct.pack("<I", size))
        file.truncate(44 + size)  # a hole: 460 MB that take no room
    before = real.memory_mb
    track = tracked(real, replace(good, voice=(Voice(str(path), trim_start=3.9 * 3600),)))
    assert len(track.landmarks) == FRAMES
    real.request_status()
    gather(real, saw("status"))
    assert real.memory_mb < before + 400 or before == 0


def test_shots_without_frames(real: Client, good: Shot) -> None:
    empty = replace(good, au_values=good.au_values[:0], au_keyed=good.au_keyed[:0], head=good.head[:0], head_keyed=good.head_keyed[:0])
    refused(real, real.predict(empty), "no-frames")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 5.5])
def test_keys_that_are_no_intensities(value: float, real: Client, good: Shot) -> None:
    good.au_values[2, 8], good.au_keyed[2, 8] = value, True
    assert "AU12" in refused(real, real.predict(good), "au-not-finite", "au-range").header["sentence"]


def test_heads_and_tracks_that_are_no_numbers(real: Client, good: Shot, tmp_path: Path) -> None:
    track = tracked(real, good)
    head = good.head.copy()
    head[1, 0] = np.nan
    refused(real, real.predict(replace(good, head=head)), "head-not-finite")
    track.landmarks[2, 5] = np.inf
    refused(real, real.render(good, track, tmp_path / "takes" / "movie.mp4"), "track-invalid")
    assert not (tmp_path / "takes").exists()


def test_the_portrait_is_gone_when_it_is_rendered(real: Client, good: Shot, portrait: Path, tmp_path: Path) -> None:
    track = tracked(real, good)
    portrait.unlink()
    refused(real, real.render(good, track, tmp_path / "takes" / "movie.mp4"), "image-missing")
    assert not list(tmp_path.rglob("movie*"))


def test_the_portrait_is_another_when_it_is_rendered(real: Client, good: Shot, portrait: Path, tmp_path: Path) -> None:
    track = tracked(real, good)
    Image.new("RGB", (640, 300), (90, 90, 90)).save(portrait)
    ended = refused(real, real.render(good, track, tmp_path / "takes" / "movie.mp4"), "portrait-changed", "face-none", "track-portrait")
    assert not list(tmp_path.rglob("movie*")), ended.header


def test_caches_are_deleted_while_it_runs(real: Client, good: Shot, place: Path) -> None:
    first = tracked(real, good)
    shutil.rmtree(place / "home")
    assert np.array_equal(tracked(real, replace(good, seed=0)).landmarks, first.landmarks)
    assert len(tracked(real, replace(good, voice=(Voice(str(SAMPLE / "line.wav"), trim_start=0.5),))).landmarks) == FRAMES


def test_frames_to_keep_from_a_movie_that_is_gone(real: Client, good: Shot, tmp_path: Path) -> None:
    from bridge.reuse import Reuse

    track = tracked(real, good)
    kept = Reuse(str(tmp_path / "gone.mp4"), ((0, 3, 0),))
    ended = outcome(real, real.render(good, track, tmp_path / "takes" / "movie.mp4", reuse=kept))
    assert ended.kind == "failed" and ended.header["hint"] and not list(tmp_path.rglob("movie*"))


def test_caches_that_are_damaged(make_client: Maker, good: Shot, tmp_path: Path) -> None:
    """Whatever stands in a cached file, it is made again."""
    client = make_client(real_client)
    before = tracked(client, good)
    client.close(5.0)
    damaged = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and "credentials" not in path.parts]
    assert damaged
    for path in damaged:
        path.write_bytes(b"\x80\x04 this is not what it should be" * 40)
    assert np.array_equal(tracked(client, good).landmarks, before.landmarks)


@pytest.mark.parametrize("leaves", [False, True], ids=["cancelled", "left"])
def test_frames_that_are_done_are_kept_for_who_cancels_only(leaves: bool, make_client: Maker, good: Shot, tmp_path: Path) -> None:
    """A person who cancels keeps a shorter movie; one whose Blender is gone has no strip for it."""
    client, movie = make_client(real_client), tmp_path / "takes" / "movie.mp4"
    shot = replace(plain_shot(good.portrait, 200), fps=good.fps, voice=good.voice, render=replace(good.render, label=True))
    job = client.render(shot, tracked(client, shot), movie, keep_partial=True, memory=TakeMemory(movie.with_suffix(".take")))
    gather(client, lambda events: any(event.kind == "progress" and event.header["done"] > 20 for event in events), PATIENCE)
    if leaves:
        client.close(10.0)
        assert not list(movie.parent.iterdir())
    else:
        client.cancel(job)
        ended = outcome(client, job)
        assert ended.kind == "result" and ended.header["report"]["cancelled"] and 20 < ended.header["report"]["frames"] < 200
        assert movie.is_file() and movie.with_suffix(".take").is_dir()


@pytest.mark.parametrize("length", [0, 5000, 500_000], ids=["empty", "header", "tensors"])
def test_weights_of_the_renderer_that_are_cut_short(length: int, real: Client, make_client: Maker, good: Shot, tmp_path: Path) -> None:
    """As after a disk that became full, or a copy that was broken off."""
    track = tracked(real, good)
    for name in ("backend", "bridge"):
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    os.truncate(tmp_path / "copy" / "backend" / "weights" / "small.safetensors", length)
    client = make_client(real_client, PYTHONPATH=str(tmp_path / "copy"))
    refused(client, client.render(good, track, tmp_path / "takes" / "movie.mp4"), "weights-mismatch")
    assert not list((tmp_path / "takes").glob("*")) and outcome(client, client.predict(good)).kind == "result"


def test_a_home_that_cannot_be_does_not_slow_the_renderer(make_client: Maker, good: Shot, tmp_path: Path) -> None:
    """Nothing can be kept: ONNX Runtime's files are made anew, the movie is signed with a key of this run."""
    (tmp_path / "home").write_text("a file where the folder should be")
    client, movie = make_client(real_client), tmp_path / "takes" / "movie.mp4"
    ended = outcome(client, client.render(good, tracked(client, good), movie))
    assert ended.kind == "result", ended.header
    assert [path.name for path in movie.parent.iterdir()] == ["movie.mp4"]
    told = (tmp_path / "backend.log").read_text()
    assert "cannot be kept" in told and "falling back to the slower" not in told


def test_weights_that_are_damaged_and_a_home_that_cannot_be(make_client: Maker, good: Shot, tmp_path: Path) -> None:
    """One byte of the weights is another; nothing can be kept anywhere. What needs neither works on."""
    for name in ("backend", "bridge"):
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    weights = tmp_path / "copy" / "backend" / "weights" / "motion.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    (tmp_path / "home").write_text("a file where the folder should be")
    client = make_client(real_client, PYTHONPATH=str(tmp_path / "copy"))
    assert outcome(client, client.find_portrait(good.portrait)).kind == "result"
    assert "motion" in refused(client, client.predict(good), "weights-mismatch").header["sentence"]
    assert (tmp_path / "home").read_text().startswith("a file")
