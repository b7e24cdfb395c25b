# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of the data, with stand-ins for the two networks: order, ranges, sound, cancelling."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from backend_samples import fault_of, nothing_left, tone_samples, write_wav
from numpy.typing import NDArray
from PIL import Image

from backend import pipeline, prediction, tiers
from backend.portrait.detect import PortraitFace
from backend.speech.extractor import LogMel
from backend.video.read import probe_video
from bridge.faults import Fault
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT
from bridge.shot import RenderSettings, Shot, Track, Voice

pytestmark = pytest.mark.unit
FRAMES = 20


def ignore(done: int, total: int, phase: str) -> None:
    """A progress callback that does nothing."""


def face(width: int = 120, height: int = 100) -> PortraitFace:
    mesh = np.random.default_rng(2).uniform(30, 80, (478, 3)).astype(np.float32)
    landmarks = mesh[:162, :2].copy()
    landmarks[EYE_OUTER_LEFT], landmarks[EYE_OUTER_RIGHT] = (75, 45), (45, 45)
    return PortraitFace(landmarks, mesh, {}, np.eye(4, dtype=np.float32), (width, height))


@pytest.fixture
def shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shot:
    """A shot whose portrait has a face without anybody looking for it."""
    portrait = tmp_path / "portrait.png"
    Image.new("RGB", (120, 100), (90, 90, 90)).save(portrait)
    found = face()
    pixels = np.full((100, 120, 3), 90, np.uint8)
    monkeypatch.setattr(prediction, "load_face", lambda path: found)
    monkeypatch.setattr(tiers, "load_portrait", lambda path: (pixels, found))
    voice = write_wav(tmp_path / "voice.wav", tone_samples(16000, FRAMES / 25), 16000)
    return Shot(
        frame_start=1,
        fps=Fraction(25),
        portrait=str(portrait),
        voice=(Voice(str(voice)),),
        au_values=np.zeros((FRAMES, 18), np.float32),
        au_keyed=np.zeros((FRAMES, 18), bool),
        head=np.tile(np.float32([0, 0, 0, 0, 0, 1]), (FRAMES, 1)),
        head_keyed=np.zeros((FRAMES, 6), bool),
        seed=7,
    )


def track_of(shot: Shot) -> Track:
    found = face()
    landmarks = np.repeat(found.landmarks[None], FRAMES, 0)
    return Track(landmarks, np.zeros_like(landmarks), shot.fps, found.size, found.landmarks, shot.au_values)


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A stand-in for stage 2 that notes what it was asked and numbers its frames by their grey."""
    asked: dict[str, Any] = {}

    def render_frames(portrait: NDArray, points: NDArray, landmarks: NDArray, aus: NDArray, **choices: Any) -> Iterator[NDArray]:
        asked.update(choices, rows=len(landmarks))
        for row in range(choices["first_frame"], choices["first_frame"] + choices["frame_count"]):
            asked["made"] = row
            yield np.full_like(portrait, 10 * row)

    module = types.ModuleType("backend.synthesis.small.render")
    module.render_frames = render_frames  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "backend.synthesis.small.render", module)
    return asked


def test_render_writes_every_frame_with_the_voice(shot: Shot, renderer: dict[str, Any], tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    previews: list[int] = []
    out = tmp_path / "out" / "talk.mp4"
    report = pipeline.render(
        shot, track_of(shot), out, lambda *step: seen.append(step), preview=lambda image: previews.append(int(image[0, 0, 0]))
    )
    assert probe_video(out).frame_count == report.frames == FRAMES and report.size == (120, 100) and report.duration == 0.8
    assert (renderer["seed"], renderer["steps"], renderer["size"], renderer["rows"]) == (7, 2, 256, FRAMES)
    assert previews == [10 * row for row in range(FRAMES)] and seen[-1] == (FRAMES, FRAMES, "rendering")
    with av.open(str(out)) as container:
        assert container.streams.audio[0].rate == 48000 and "seed 7" in container.metadata["comment"]
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]
    onset = np.flatnonzero(np.abs(sound) > 0.05)[0] / 48000
    assert onset == pytest.approx(0.4, abs=0.03)


def test_a_range_has_its_own_part_of_the_voice(shot: Shot, renderer: dict[str, Any], tmp_path: Path) -> None:
    report = pipeline.render(shot, track_of(shot), tmp_path / "part.mp4", ignore, frames=(8, 14))
    assert report.frames == 6 and (renderer["first_frame"], renderer["frame_count"], renderer["rows"]) == (8, 6, FRAMES)
    with av.open(str(tmp_path / "part.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]
    assert np.flatnonzero(np.abs(sound) > 0.05)[0] / 48000 == pytest.approx(0.4 - 8 / 25, abs=0.03)
    for wrong in ((5, 5), (-1, 3), (0, FRAMES + 1)):
        assert (
            fault_of(lambda wrong=wrong: pipeline.render(shot, track_of(shot), tmp_path / "x.mp4", ignore, frames=wrong)).code
            == "frame-invalid"
        )


def cancel_at(frame: int) -> Any:
    def progress(done: int, total: int, phase: str) -> None:
        if phase == "rendering" and done >= frame:
            raise Fault("cancelled", "The job was cancelled.")

    return progress


def test_cancelling_leaves_nothing_or_what_was_done(shot: Shot, renderer: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out" / "talk.mp4"
    with pytest.raises(Fault, match="cancelled"):
        pipeline.render(shot, track_of(shot), out, cancel_at(5))
    assert not list(out.parent.iterdir()) and renderer["made"] < 7, "and no frame is made for nothing"
    report = pipeline.render(shot, track_of(shot), out, cancel_at(5), keep_partial=True)
    assert report.cancelled and report.frames == probe_video(out).frame_count == 5
    with av.open(str(out)) as container:
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) == pytest.approx(0.2, abs=0.03)


def test_interrupting_leaves_nothing(shot: Shot, renderer: dict[str, Any], tmp_path: Path) -> None:
    def interrupt(done: int, total: int, phase: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.render(shot, track_of(shot), tmp_path / "out" / "talk.mp4", interrupt)
    assert not list((tmp_path / "out").iterdir()) and nothing_left(tmp_path)


def test_one_frame_to_look_at(shot: Shot, renderer: dict[str, Any]) -> None:
    assert pipeline.preview_frame(shot, track_of(shot), 9, ignore)[0, 0, 0] == 90
    assert renderer["frame_count"] == 1 and renderer["rows"] == FRAMES


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (RenderSettings(tier="sd15", preset="finest"), "preset-unknown"),
        (RenderSettings(tier="huge"), "tier-unknown"),
        (RenderSettings(steps=0), "steps-range"),
        (RenderSettings(steps=1000), "steps-range"),
        (RenderSettings(crop_size=300), "crop-size"),
    ],
)
def test_choices_that_cannot_be(shot: Shot, renderer: dict[str, Any], tmp_path: Path, settings: RenderSettings, code: str) -> None:
    wrong = replace(shot, render=settings)
    assert fault_of(lambda: pipeline.render(wrong, track_of(shot), tmp_path / "out" / "talk.mp4", ignore)).code == code
    assert not renderer and not (tmp_path / "out").exists()


def test_a_track_for_another_portrait(shot: Shot, renderer: dict[str, Any], tmp_path: Path) -> None:
    track = track_of(shot)
    smaller = replace(track, portrait_size=(60, 50))
    assert fault_of(lambda: pipeline.render(shot, smaller, tmp_path / "t.mp4", ignore)).code == "track-other-portrait"
    moved = replace(track, portrait_landmarks=track.portrait_landmarks + 40)
    assert fault_of(lambda: pipeline.render(shot, moved, tmp_path / "t.mp4", ignore)).code == "track-other-portrait"
    fitted = replace(shot, portrait_landmarks=track.portrait_landmarks + 40)
    pipeline.render(fitted, moved, tmp_path / "t.mp4", ignore)


class Generator:
    """A stand-in for the motion generator: motion and AUs that say their row."""

    extractor = LogMel()
    asked: dict[str, Any] = {}

    def pieces(self, given, first, end, progress=None):  # type: ignore[no-untyped-def]
        self.asked.update(given=given, first=first, end=end)
        for start in range(first, end, 7):
            rows = np.arange(start, min(start + 7, end), dtype=np.float32)
            progress(min(start + 7, end) - first, end - first, "motion")
            yield start, np.zeros((len(rows), 162, 2), np.float32), np.repeat(rows[:, None], 18, 1)

    def reached(self, given, first, end):  # type: ignore[no-untyped-def]
        return max(0, first - 4), min(given.frames, end + 4)


def test_predict_hands_everything_on(shot: Shot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(prediction, "_motion_generator", Generator)
    phases: list[str] = []
    track = pipeline.predict(shot, lambda done, total, phase: phases.append(phase))
    assert track.landmarks.shape == (FRAMES, 162, 2) and track.portrait_size == (120, 100) and track.first_frame == 0
    assert np.array_equal(track.aus[:, 0], np.arange(FRAMES)) and "motion" in phases
    given = Generator.asked["given"]
    assert len(given.voice) == FRAMES and given.seed == 7 and given.frames == FRAMES
    fitted = face().landmarks + 3
    track = pipeline.predict(replace(shot, portrait_landmarks=fitted), ignore)
    assert np.array_equal(track.portrait_landmarks, fitted)


def test_only_the_rows_that_are_wanted_or_reached(shot: Shot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(prediction, "_motion_generator", Generator)
    track = pipeline.predict(shot, ignore, window=(5, 9))
    assert track.first_frame == 5 and np.array_equal(track.aus[:, 0], np.arange(5, 9))
    track = pipeline.predict(replace(shot, fps=Fraction(4)), ignore, edited=(9, 11))
    assert (track.first_frame, len(track.landmarks)) == (5, 10), "what the generator says is more than the head's ramp"
    for wrong in ({"window": (5, 5)}, {"window": (0, FRAMES + 1)}, {"edited": (-1, 3)}, {"window": (1, 2), "edited": (1, 2)}):
        assert fault_of(lambda wrong=wrong: pipeline.predict(shot, ignore, **wrong)).code == "frame-invalid"


def test_a_silent_voice_is_noted(shot: Shot, renderer: dict[str, Any], tmp_path: Path) -> None:
    silent = write_wav(tmp_path / "silent.wav", np.zeros(16000, np.float32), 16000)
    report = pipeline.render(replace(shot, voice=(Voice(str(silent)),)), track_of(shot), tmp_path / "t.mp4", ignore)
    assert any("silent" in note for note in report.notes)
    assert not pipeline.render(shot, track_of(shot), tmp_path / "t.mp4", ignore).notes


def test_a_voice_that_was_recorded_anew_is_read_anew(shot: Shot, tmp_path: Path) -> None:
    assert not pipeline.shot_notes(shot)
    write_wav(tmp_path / "voice.wav", np.zeros(20000, np.float32), 16000)
    assert pipeline.shot_notes(shot)
    pipeline.free_memory()
