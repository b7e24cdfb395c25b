# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing clips of any collection: found, divided, tracked, told about, and not done twice."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from backend.motion.measures import lip_gap
from backend.portrait.track import FaceReading
from backend.training.motion.clips import clip_video, clip_voice, load_tracked
from backend.training.motion.dataset import WindowSource
from backend.training.prepare.clips import prepare_all
from backend.training.prepare.pieces import Seen, find_pieces
from backend.training.prepare.prepared import at_rate, finished_report, is_prepared
from backend.training.prepare.sources import Source, find_sources
from backend.video.read import read_frames
from backend.video.write import write_movie
from bridge.facs import AU_INDEX
from bridge.faults import Fault

pytestmark = pytest.mark.unit
RATE = Fraction(25)


def face(x: float = 200.0, size: float = 120.0) -> FaceReading:
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 22), np.linspace(-0.5, 0.5, 22)), -1).reshape(-1, 2)[:478]
    mesh = np.concatenate([grid * size + [x, 150.0], np.zeros((478, 1))], axis=1).astype(np.float32)
    return FaceReading(mesh, np.zeros(52, np.float32), np.eye(4, dtype=np.float32))


def seen(*faces: FaceReading, change: float = 1.0) -> Seen:
    return Seen(faces, change)


def reasons(left_out) -> list[tuple[int, int, str]]:
    return [(part.first, part.last, part.reason) for part in left_out]


def test_a_plain_clip_is_one_piece():
    pieces, left_out = find_pieces([seen(face(200 + i)) for i in range(60)], RATE)
    assert [(p.first, p.last) for p in pieces] == [(0, 60)] and not left_out


def test_a_cut_divides_and_what_is_too_short_is_told():
    frames = [seen(face()) for _ in range(40)] + [seen(face(), change=80.0)] + [seen(face()) for _ in range(30)]
    frames += [seen(face(), change=80.0)] + [seen(face()) for _ in range(9)]
    pieces, left_out = find_pieces(frames, RATE)
    assert [(p.first, p.last) for p in pieces] == [(0, 40), (40, 71)]
    assert reasons(left_out) == [(71, 81, "too short")]


def test_a_short_loss_is_bridged_and_a_long_one_divides():
    frames = [seen(face()) for _ in range(30)] + [seen()] * 4 + [seen(face()) for _ in range(30)] + [seen()] * 12
    frames += [seen(face()) for _ in range(30)] + [seen()] * 3
    pieces, left_out = find_pieces(frames, RATE)
    assert [(p.first, p.last) for p in pieces] == [(0, 64), (76, 106)]
    assert reasons(left_out) == [(64, 76, "no face"), (106, 109, "no face")]
    tracked = pieces[0].tracked(RATE, (400, 300))
    assert tracked.found.sum() == 60 and len(tracked.landmarks) == 64 and np.isfinite(tracked.mesh).all()


def test_a_face_that_jumps_is_another_shot():
    frames = [seen(face(200)) for _ in range(30)] + [seen(face(500)) for _ in range(30)]
    pieces, _ = find_pieces(frames, RATE)
    assert [(p.first, p.last) for p in pieces] == [(0, 30), (30, 60)]


def test_two_people_are_left_out_and_a_bystander_is_not():
    two = [seen(face(200), face(500, 100)) for _ in range(40)]
    bystander = [seen(face(200), face(500, 50)) for _ in range(40)]
    assert reasons(find_pieces(two, RATE)[1]) == [(0, 40, "several faces")]
    pieces, _ = find_pieces(bystander, RATE)
    assert len(pieces) == 1 and all(reading is not None and reading.mesh[:, 0].mean() < 300 for reading in pieces[0].readings)


def test_tiny_faces_are_left_out():
    assert reasons(find_pieces([seen(face(200, 30)) for _ in range(40)], RATE)[1]) == [(0, 40, "face too small")]


@pytest.mark.parametrize("rate", ["30", "30000/1001", "50", "24"])
def test_tracks_come_to_the_rate_of_the_motion(rate):
    fps = Fraction(rate)
    times = np.arange(int(3 * fps)) / float(fps)
    rows = np.sin(2 * times)[:, None, None].repeat(2, 1).astype(np.float32)
    there = at_rate(rows, fps, RATE)
    assert there.shape == (round(len(rows) / fps * 25), 2, 1)
    np.testing.assert_allclose(there[:70, 0, 0], np.sin(2 * np.arange(len(there)) / 25)[:70], atol=0.01)
    assert at_rate(rows, RATE, RATE) is rows


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_clips_of_any_kind_are_found_with_what_lies_beside_them(tmp_path):
    touch(
        tmp_path / "a.MOV", tmp_path / "a.wav", tmp_path / "b" / "a.webm", tmp_path / "b" / "a.csv", tmp_path / "c.mkv", tmp_path / "c.mp4"
    )
    touch(tmp_path / "notes.txt", tmp_path / ".hidden.mp4")
    found = {source.name: source for source in find_sources("clips", tmp_path)}
    assert set(found) == {"a", "b_a", "c.mkv", "c.mp4"}
    assert found["a"].audio.name == "a.wav" and found["b_a"].audio == found["b_a"].video
    assert found["b_a"].table.name == "a.csv" and found["a"].table is None and found["b_a"].person == "b"


def test_meads_tree_is_read_neutral_first(tmp_path):
    for view in ("front", "left_30"):
        for emotion, level in (("angry", 3), ("neutral", 1)):
            touch(tmp_path / "M003" / "video" / view / emotion / f"level_{level}" / "001.mp4")
    touch(
        tmp_path / "M003" / "audio" / "angry" / "level_3" / "001.m4a", tmp_path / "W009" / "video" / "front" / "sad" / "level_2" / "004.mp4"
    )
    found = find_sources("mead", tmp_path)
    assert [source.name for source in found] == ["M003_front_neutral_1_001", "M003_front_angry_3_001", "W009_front_sad_2_004"]
    assert found[0].at_rest and found[1].audio.suffix == ".m4a" and found[2].audio == found[2].video
    assert (found[1].person, found[1].emotion, found[1].level) == ("M003", "angry", 3)
    assert len(find_sources("mead", tmp_path, ("left_30",))) == 2
    assert len(find_sources("mead", tmp_path / "M003")) == 2, "one person's folder will do"


@pytest.mark.parametrize("layout", ["grid", "clips", "mead"])
def test_folders_without_clips_are_named(tmp_path, layout):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(Fault) as fault:
            find_sources(layout, folder)
        assert fault.value.code == "data-missing" and str(folder) in fault.value.sentence and fault.value.hint
    with pytest.raises(Fault) as fault:
        load_tracked(tmp_path, True)
    assert fault.value.code == "data-missing"
    (tmp_path / "half.npz").write_bytes(b"broken")
    assert not is_prepared(tmp_path / "half.npz")


def test_a_bad_clip_is_told_and_the_others_go_on(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    still = np.full((64, 64, 3), 90, np.uint8)
    write_movie(tmp_path / "empty.mp4", [still] * 30, RATE, 30, np.zeros(19200, np.float32), None, 16000)
    write_movie(tmp_path / "mute.mp4", [still] * 30, RATE, 30, None)
    said: list[str] = []
    out = tmp_path / "out"
    counts, reports = prepare_all(find_sources("clips", tmp_path), out, tell=said.append)
    assert counts == {"written": 0, "kept": 0, "without_face": 1, "unusable": 2} and len(said) == 3
    by_name = {report.name: report.fault for report in reports}
    assert "face" in by_name["empty"] and "no sound" in by_name["mute"] and "broken.mp4" in by_name["broken"]
    assert prepare_all(find_sources("clips", tmp_path), out)[0]["kept"] == 3, "what is known to be bad is not tried again"
    (tmp_path / "mute.mp4").write_bytes(b"changed")
    source = next(source for source in find_sources("clips", tmp_path) if source.name == "mute")
    assert finished_report(out, source) is None, "a clip that changed is done again"


@pytest.fixture(scope="module")
def grid_clip(data_folder) -> Path:
    return data_folder / "grid" / "clips" / "bbaf2n.mp4"


def test_a_clip_becomes_motion_and_a_second_call_keeps_it(grid_clip, tmp_path):
    from backend.motion.face import reference_face

    clips = tmp_path / "clips"
    clips.mkdir()
    for ending in (".mp4", ".flac"):
        shutil.copy(grid_clip.with_suffix(ending), clips / f"bbaf2n{ending}")
    out = tmp_path / "out"
    counts, reports = prepare_all(find_sources("grid", clips), out)
    assert counts == {"written": 1, "kept": 0, "without_face": 0, "unusable": 0} and reports[0].used_seconds == pytest.approx(3.0)
    assert prepare_all(find_sources("grid", clips), out)[0]["kept"] == 1
    with np.load(out / "bbaf2n.npz") as data:
        assert data["landmarks"].shape == (75, 162, 2) and data["mesh"].shape == (75, 478, 3) and data["aus"].shape == (75, 18)
        assert data["pose"].shape == (75, 4, 4) and int(data["first_frame"]) == 0
    clip = load_tracked(out, None)[0]
    gap = lip_gap(clip.neutral + clip.motion * clip.scale)
    assert gap.max() > 0.08 and np.percentile(gap, 10) < 0.02 and clip.closed.any() and not clip.closed.all()
    assert np.abs(clip.motion).max() < 0.4
    assert clip_video(clip.path).name == "bbaf2n.mp4" and abs(len(clip_voice(clip.path)) - 48000) < 2000
    assert WindowSource([clip], [], reference_face(), 72, 0) is not None


def test_a_tree_like_meads_with_a_cut_inside_and_openface_tables(grid_clip, tmp_path, capsys):
    """Two clips of one person at 30 fps: neutral with the sound beside it; angry with a cut to nobody, its own sound and a table."""
    from backend.cli.main import main
    from backend.speech.load import load_voice
    from bridge.shot import Voice

    frames = list(read_frames(grid_clip))
    voice = load_voice([Voice(str(grid_clip.with_suffix(".flac")))], 6.0)
    person = tmp_path / "mead" / "M003"
    neutral = person / "video" / "front" / "neutral" / "level_1" / "001.mp4"
    angry = person / "video" / "front" / "angry" / "level_2" / "002.mp4"
    for path in (neutral, angry, person / "audio" / "neutral" / "level_1" / "001"):
        path.parent.mkdir(parents=True, exist_ok=True)
    fps = Fraction(30)
    write_movie(neutral, frames[:40], fps, 40, None)
    shutil.copy(grid_clip.with_suffix(".flac"), person / "audio" / "neutral" / "level_1" / "001.flac")
    nobody = np.full_like(frames[0], 250)
    write_movie(angry, frames[:35] + [nobody] * 10 + frames[:35], fps, 80, voice, None, 16000)
    rows = "".join(f"{frame + 1}, {frame / 30:.4f}, 1, 0.9, 4.5\n" for frame in range(80))
    angry.with_suffix(".csv").write_text("frame, timestamp, success, confidence, AU04_r\n" + rows)
    out = tmp_path / "out"
    assert main(["prepare", "--layout", "mead", "--clips", str(tmp_path / "mead"), "--out", str(out), "--quiet", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["written"] == 2
    second = next(clip for clip in report["clips"] if clip["name"] == "M003_front_angry_2_002")
    assert second["pieces"] == ["M003_front_angry_2_002-1", "M003_front_angry_2_002-2"]
    assert [part["reason"] for part in second["left_out"]] == ["no face"] and "AUs from 002.csv" in second["notes"]
    with np.load(out / "M003_front_angry_2_002-2.npz") as data:
        np.testing.assert_allclose(data["aus"][:, AU_INDEX["AU04"]], 4.5)
        assert float(data["audio_start"]) == pytest.approx(int(data["first_frame"]) / 30) and 45 <= int(data["first_frame"]) <= 47
        assert str(data["emotion"]) == "angry" and int(data["level"]) == 2 and str(data["person"]) == "M003"
        assert data["person_neutral"].shape == (478, 3), "from the neutral clip"
        length = len(data["landmarks"]) / 30
    voices = clip_voice(out / "M003_front_angry_2_002-2.npz")
    assert len(voices) == pytest.approx(length * 16000, abs=2)
    tracks = load_tracked(out, None)
    assert len(tracks) == 3 and {len(clip.motion) for clip in tracks} <= {27, 28, 29, 33}, "at 25 frames a second"


def test_a_smile_from_beginning_to_end_is_seen_beside_the_persons_own_rest():
    """A whole clip with one expression: with the person's neutral face it is motion, without it is taken for the face itself."""
    from backend.motion.canonical import clip_motion, neutral_mesh
    from bridge.landmarks import MEDIAPIPE_INDICES, MOUTH_CORNER_LEFT

    random = np.random.default_rng(0)
    rest = random.normal(0, 40, (478, 3))
    rest[263, :2], rest[33, :2] = (50, 0), (-50, 0)
    smiling = rest.copy()
    smiling[MEDIAPIPE_INDICES[MOUTH_CORNER_LEFT], 1] -= 10
    pose = np.repeat(np.eye(4, dtype=np.float32)[None], 8, 0)
    calm, smile = (np.repeat(points[None], 8, 0).astype(np.float32) for points in (rest, smiling))
    known = neutral_mesh(calm, pose)
    assert clip_motion(smile, pose, known).motion[:, MOUTH_CORNER_LEFT, 1].mean() == pytest.approx(-0.1, abs=0.01)
    assert np.abs(clip_motion(smile, pose).motion).max() < 1e-3


def test_one_source_can_be_named_by_hand():
    source = Source("x", Path("x.mp4"), Path("x.wav"))
    assert not source.at_rest and source.table is None
