# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmark tracks on disk, and tracks that belong to another portrait."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from backend_samples import fault_of, nothing_left
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.prediction import Piece
from backend.tracks import check_portrait, read_track, write_track, write_track_pieces
from bridge.faults import Fault
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT
from bridge.shot import Track

pytestmark = pytest.mark.unit


def some_track(frames: int = 6, aus: bool = True) -> Track:
    random = np.random.default_rng(1)
    face = random.uniform(100, 300, (162, 2)).astype(np.float32)
    face[EYE_OUTER_LEFT], face[EYE_OUTER_RIGHT] = (260, 180), (160, 180)
    landmarks = face + random.normal(0, 1, (frames, 162, 2)).astype(np.float32)
    motion = random.normal(0, 0.01, (frames, 162, 2)).astype(np.float32)
    values = random.uniform(0, 5, (frames, 18)).astype(np.float32) if aus else None
    return Track(landmarks, motion, Fraction(30000, 1001), (400, 500), face, values)


@pytest.mark.parametrize("aus", [True, False])
def test_what_was_written_comes_back(tmp_path: Path, aus: bool) -> None:
    track = some_track(aus=aus)
    write_track(tmp_path / "t.npz", track)
    again = read_track(tmp_path / "t.npz")
    assert again.fps == track.fps and again.portrait_size == (400, 500)
    for name in ("landmarks", "motion", "portrait_landmarks"):
        assert np.array_equal(getattr(again, name), getattr(track, name))
    assert np.array_equal(again.aus, track.aus) if aus else again.aus is None
    with np.load(tmp_path / "t.npz", allow_pickle=False) as fields:
        expected = {"landmarks", "motion", "fps", "portrait_size", "portrait_landmarks"} | ({"aus"} if aus else set())
        assert set(fields.files) == expected and fields["landmarks"].dtype == np.float32
    assert nothing_left(tmp_path)


def stored(path: Path, **changes: object) -> Path:
    track = some_track()
    fields: dict[str, object] = {
        "landmarks": track.landmarks,
        "motion": track.motion,
        "fps": 25.0,
        "portrait_size": [400, 500],
        "portrait_landmarks": track.portrait_landmarks,
    }
    fields.update(changes)
    np.savez(path, **{name: value for name, value in fields.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"landmarks": None}, "track-unreadable"),
        ({"landmarks": np.zeros((5, 100, 2))}, "track-invalid"),
        ({"landmarks": np.full((6, 162, 2), np.nan)}, "track-invalid"),
        ({"landmarks": np.zeros((0, 162, 2))}, "track-invalid"),
        ({"motion": np.zeros((2, 162, 2))}, "track-invalid"),
        ({"fps": 0.0}, "frame-rate"),
        ({"fps": np.nan}, "frame-rate"),
        ({"portrait_size": [1]}, "track-invalid"),
        ({"landmarks": np.array([{"a": 1}], dtype=object)}, "track-unreadable"),
        ({"landmarks": np.array(["text"])}, "track-unreadable"),
    ],
)
def test_wrong_tracks(tmp_path: Path, changes: dict[str, object], code: str) -> None:
    assert fault_of(lambda: read_track(stored(tmp_path / "t.npz", **changes))).code == code


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_are_faults(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = tmp_path_factory.getbasetemp() / "whole.npz"
    if not whole.exists():
        write_track(whole, some_track(2))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = whole.with_name("damaged.npz")
    damaged.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        assert read_track(damaged).landmarks.shape[1:] == (162, 2)
    except Fault as fault:
        assert fault.sentence and fault.hint


def test_other_files(tmp_path: Path) -> None:
    assert fault_of(lambda: read_track(tmp_path / "gone.npz")).code == "track-missing"
    (tmp_path / "t.npz").write_text("no track")
    assert fault_of(lambda: read_track(tmp_path / "t.npz")).code == "track-unreadable"


def test_a_track_for_another_portrait() -> None:
    track = some_track()
    check_portrait(track, (400, 500), track.portrait_landmarks + 5)
    check_portrait(track, (400, 500), None)
    assert fault_of(lambda: check_portrait(track, (512, 512), track.portrait_landmarks)).code == "track-other-portrait"
    assert fault_of(lambda: check_portrait(track, (400, 500), track.portrait_landmarks + 60)).code == "track-other-portrait"


def test_a_track_written_in_pieces_is_the_track(tmp_path: Path) -> None:
    whole = some_track(23)
    pieces = [Piece(a, whole.landmarks[a:b], whole.motion[a:b], whole.aus[a:b]) for a, b in ((0, 7), (7, 8), (8, 23))]
    fixed = (whole.fps, whole.portrait_size, whole.portrait_landmarks)
    aus = write_track_pieces(tmp_path / "pieces.npz", iter(pieces), *fixed)
    again = read_track(tmp_path / "pieces.npz")
    for name in ("landmarks", "motion", "aus", "portrait_landmarks"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert (again.fps, again.portrait_size) == (whole.fps, whole.portrait_size) and np.array_equal(aus, whole.aus)

    def broken():  # type: ignore[no-untyped-def]
        yield pieces[0]
        raise Fault("cancelled", "The job was cancelled.")

    with pytest.raises(Fault):
        write_track_pieces(tmp_path / "broken.npz", broken(), *fixed)
    assert [path.name for path in tmp_path.iterdir()] == ["pieces.npz"]
