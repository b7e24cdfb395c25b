# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of a take stay, and the folder that remembers a shot."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shots import plain_shot, plain_track, same, shots, tracks

from bridge.faults import Fault
from bridge.reuse import Reuse, picture_difference, reuse_of, runs_of
from bridge.shot import RenderSettings, Voice
from bridge.shot_folder import ShotFolder, read_description, read_shot_folder, update_record, write_shot_folder

pytestmark = pytest.mark.unit


def test_only_edited_rows_are_made_again() -> None:
    shot, track = plain_shot(frames=10), plain_track(10)
    landmarks = track.landmarks.copy()
    landmarks[4:6, 7, 1] += 1.0
    reuse = reuse_of("/old.mp4", 10, (shot, track), (shot, replace(track, landmarks=landmarks)))
    assert reuse.runs == ((0, 4, 0), (6, 10, 6)) and reuse.frame_count == 8


def test_rows_are_matched_by_scene_frame() -> None:
    old, new = plain_shot(frames=10), replace(plain_shot(frames=12), frame_start=-1)
    reuse = reuse_of("/old.mp4", 10, (old, plain_track(10)), (new, plain_track(12)))
    assert reuse.runs == ((2, 12, 0),)
    later = replace(plain_shot(frames=5), frame_start=8)
    assert reuse_of("/old.mp4", 10, (old, plain_track(10)), (later, plain_track(5))).runs == ((0, 3, 7),)


def test_a_cut_movie_is_reused_as_far_as_it_goes() -> None:
    shot, track = plain_shot(frames=10), plain_track(10)
    assert reuse_of("/old.mp4", 3, (shot, track), (shot, track)).runs == ((0, 3, 0),)


def test_a_changed_au_changes_the_picture() -> None:
    shot, track = plain_shot(frames=4), replace(plain_track(4), aus=np.zeros((4, 18), np.float32))
    aus = np.zeros((4, 18), np.float32)
    aus[2, 3] = 1.0
    assert reuse_of("/o.mp4", 4, (shot, track), (shot, replace(track, aus=aus))).runs == ((0, 2, 0), (3, 4, 3))


def test_other_pictures_altogether_are_refused() -> None:
    shot, track = plain_shot(), plain_track()
    for other, word in (
        (replace(shot, seed=5), "seed"),
        (replace(shot, render=RenderSettings(steps=4)), "quality"),
        (replace(shot, portrait="else.png"), "portrait"),
        (replace(shot, fps=Fraction(24)), "25 frames"),
    ):
        assert word in picture_difference((shot, track), (other, track))
        with pytest.raises(Fault) as caught:
            reuse_of("/o.mp4", 10, (shot, track), (other, track))
        assert caught.value.code == "take-differs"
    fitted = replace(track, portrait_landmarks=track.portrait_landmarks + 1)
    assert "fitted" in picture_difference((shot, track), (shot, fitted))
    assert not picture_difference((shot, track), (shot, track))


@given(st.lists(st.booleans(), max_size=40))
def test_runs_cover_exactly_the_mask(mask: list[bool]) -> None:
    rebuilt = np.zeros(len(mask), bool)
    for first, end in runs_of(np.array(mask, bool)):
        assert first < end and not rebuilt[first:end].any()
        rebuilt[first:end] = True
    assert rebuilt.tolist() == mask


@pytest.mark.parametrize("runs", [((0, 5, 0), (4, 6, 4)), ((0, 11, 0),), ((3, 3, 0),), ((0, 2, -1),)])
def test_runs_that_do_not_fit_are_refused(runs: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(Fault):
        Reuse("/o.mp4", runs).checked(10)


@given(shot=shots(), track=tracks())
def test_a_shot_comes_back_from_its_folder(tmp_path_factory: pytest.TempPathFactory, shot: object, track: object) -> None:
    folder = tmp_path_factory.mktemp("take")
    shot = replace(shot, portrait="/p/a.png", voice=tuple(replace(piece, path="/p/v.wav") for piece in shot.voice))  # type: ignore[attr-defined,type-var]
    write_shot_folder(folder, ShotFolder(shot, track, {"actor": "Ada"}))  # type: ignore[arg-type]
    read = read_shot_folder(folder)
    assert same(read.shot, shot) and same(read.track, track) and read.record == {"actor": "Ada"}
    assert sorted(path.name for path in folder.iterdir()) == ["arrays.npz", "shot.json"]


def test_a_project_can_move(tmp_path: Path) -> None:
    project = tmp_path / "film"
    (project / "autter").mkdir(parents=True)
    shot = replace(plain_shot(str(project / "ada.png"), 3), voice=(Voice(str(tmp_path / "elsewhere.wav")),))
    write_shot_folder(project / "autter" / "take", ShotFolder(shot), project=project)
    written = read_description(project / "autter" / "take")["shot"]
    assert written["portrait"] == "../../ada.png" and written["voice"][0]["path"] == str(tmp_path / "elsewhere.wav")
    project.rename(tmp_path / "moved")
    read = read_shot_folder(tmp_path / "moved" / "autter" / "take")
    assert read.shot.portrait == str(tmp_path / "moved" / "ada.png") and read.track is None


def test_a_job_takes_its_files_along(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "ada.png").write_bytes(b"picture")
    (tmp_path / "a" / "v.wav").write_bytes(b"one")
    (tmp_path / "b" / "v.wav").write_bytes(b"another")
    voices = (Voice(str(tmp_path / "a" / "v.wav")), Voice(str(tmp_path / "b" / "v.wav")), Voice(str(tmp_path / "a" / "v.wav"), 1.0))
    shot = replace(plain_shot(str(tmp_path / "ada.png"), 3), voice=voices)
    write_shot_folder(tmp_path / "job", ShotFolder(shot, plain_track(3)), collect=True)
    (tmp_path / "job").rename(tmp_path / "sent")
    read = read_shot_folder(tmp_path / "sent")
    contents = [Path(piece.path).read_bytes() for piece in read.shot.voice]
    assert contents == [b"one", b"another", b"one"] and Path(read.shot.portrait).read_bytes() == b"picture"
    assert Path(read.shot.portrait).is_relative_to(tmp_path / "sent")
    assert len(list((tmp_path / "sent" / "files").iterdir())) == 3


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        write_shot_folder(tmp_path / "job", ShotFolder(plain_shot(str(tmp_path / "no.png"))), collect=True)
    assert caught.value.code == "file-missing"


@pytest.mark.parametrize("damage", ["[1]", "{", '{"format": 99}', '{"format": 1}', '{"format": 1, "shot": 3}'])
def test_damaged_folders_are_a_sentence(tmp_path: Path, damage: str) -> None:
    write_shot_folder(tmp_path, ShotFolder(plain_shot()))
    (tmp_path / "shot.json").write_text(damage)
    with pytest.raises(Fault):
        read_shot_folder(tmp_path)


def test_damaged_arrays_are_a_sentence(tmp_path: Path) -> None:
    write_shot_folder(tmp_path, ShotFolder(plain_shot()))
    (tmp_path / "arrays.npz").write_bytes(b"no archive")
    with pytest.raises(Fault) as caught:
        read_shot_folder(tmp_path)
    assert caught.value.code == "shot-folder-damaged"
    with pytest.raises(Fault) as caught:
        read_shot_folder(tmp_path / "nowhere")
    assert caught.value.code == "shot-folder-missing"


def test_the_record_grows(tmp_path: Path) -> None:
    write_shot_folder(tmp_path, ShotFolder(plain_shot(), None, {"actor": "Ada"}))
    update_record(tmp_path, {"report": {"frames": 3}})
    assert json.loads((tmp_path / "shot.json").read_text())["record"] == {"actor": "Ada", "report": {"frames": 3}}
