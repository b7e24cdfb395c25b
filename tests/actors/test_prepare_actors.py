# SPDX-License-Identifier: GPL-3.0-or-later
"""``prepare --layout actors``: plans, real and synthesised speech, clips that are kept, movies with both kinds of landmarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from backend.cli.main import main
from backend.training.actors import voices
from backend.training.actors.acting import EMOTIONS, draw_acting
from backend.training.actors.clips import Job, planned
from backend.training.actors.phones import Phone, SpokenLine, read_lines
from bridge.facs import AU_INDEX, AU_KEYS
from bridge.faults import Fault

pytestmark = pytest.mark.unit


def line(stem: str, seconds: float) -> SpokenLine:
    return SpokenLine(stem, Path(f"{stem}.flac"), "text", (Phone("AA", 0.1, 0.3), Phone("B", 0.3, 0.4)), seconds)


def test_every_person_speaks_as_long_as_asked_and_some_are_silent_too():
    lines = [line("a", 3.0), line("b", 5.0), line("c", 4.0)]
    jobs = planned(lines, people=10, passes=9, silent=9, seconds=20.0, first=40)
    assert {job.person for job in jobs} == set(range(40, 50)) and [job.number for job in jobs] == list(range(len(jobs)))
    for person in range(40, 50):
        spoken = [job.line.duration for job in jobs if job.person == person and job.line]
        assert 20.0 <= sum(spoken) < 25.0
    assert sum(job.line is None for job in jobs) == 3
    assert {job.line.stem for job in jobs if job.line} == {"a", "b", "c"}
    longer = planned(lines, people=10, passes=9, silent=9, seconds=20.0, first=40)
    assert longer == jobs, "the same numbers, the same set"


def test_without_a_length_every_line_is_said_so_many_times():
    jobs = planned([line("a", 3.0), line("b", 5.0)], people=5, passes=3, silent=2)
    assert len(jobs) == 8 and sum(job.line is None for job in jobs) == 2
    assert Job(7, 0, None).stem == "silent-0007" and jobs[0].stem == "a-0000"


def test_emotions_are_recipes_whose_units_move_in_their_own_time():
    assert all(set(recipe) <= set(AU_KEYS) for recipe in EMOTIONS.values())
    apart = 0
    for seed in range(60):
        aus = draw_acting(np.random.default_rng(seed), 150, "emotion")
        active = [aus[:, AU_INDEX[key]] for key in AU_KEYS if key != "AU45" and aus[:, AU_INDEX[key]].max() > 1.5]
        peaks = {int(curve.argmax()) for curve in active}
        apart += len(active) > 1 and len(peaks) > 1
    assert apart > 20, "units of one emotion do not rise as one"


def test_rise_and_fall_take_different_times():
    differences = []
    for seed in range(40):
        curve = draw_acting(np.random.default_rng(seed), 200, "single", "AU12")[:, AU_INDEX["AU12"]]
        if curve.max() > 1.5 and 20 < curve.argmax() < 180:
            above = np.flatnonzero(curve > 0.9 * curve.max())
            rise = (curve[: above[0]] > 0.1 * curve.max()).sum()
            fall = (curve[above[-1] :] > 0.1 * curve.max()).sum()
            differences.append(rise != fall)
    assert np.mean(differences) > 0.5


@pytest.mark.parametrize("name", ["nobody", "joe+", "heart+400", ""])
def test_unknown_voices_are_said(tmp_path, name):
    with pytest.raises(Fault) as fault:
        voices.speak_lines(tmp_path, (name,))
    assert fault.value.code == "voice-unknown" and "joe" in fault.value.hint


def test_a_missing_synthesiser_is_said_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(voices.PACKAGES, "joe", ("no_such_package_here",))
    with pytest.raises(Fault) as fault:
        voices.speak_lines(tmp_path, ("joe+3",))
    assert fault.value.code == "package-missing" and "pip install piper-tts" in fault.value.hint


def test_a_voice_is_shifted_and_lines_are_kept(tmp_path, monkeypatch):
    tone = np.sin(2 * np.pi * 200 * np.arange(22050) / 22050).astype(np.float32)
    monkeypatch.setattr(voices, "_joe", lambda text, slower: (np.tile(tone, 2)[: round(22050 * slower)], 22050))
    monkeypatch.setattr(voices, "_check", lambda voice: None)
    low, high = voices.speak("joe", "x"), voices.speak("joe+12", "x")
    assert len(low) - 8000 == pytest.approx(16000, abs=2) and len(high) - 8000 == pytest.approx(16000, abs=2), "at one pace"
    assert np.abs(np.fft.rfft(high[4000:12000])).argmax() == pytest.approx(200, abs=2), "400 Hz"
    monkeypatch.setattr(voices, "SENTENCES", voices.SENTENCES[:2])
    folder = voices.speak_lines(tmp_path, ("joe", "joe-3"))
    assert sorted(path.name for path in folder.glob("*.flac")) == ["joe-0000.flac", "joe-0001.flac", "joem3-0000.flac", "joem3-0001.flac"]
    before = (tmp_path / "joe-0000.flac").stat().st_mtime_ns
    voices.speak_lines(tmp_path, ("joe", "joe-3"))
    assert (tmp_path / "joe-0000.flac").stat().st_mtime_ns == before
    assert len((tmp_path / "transcripts.csv").read_text(encoding="utf-8").splitlines()) == 4


def test_speech_folders_without_lines_are_said(tmp_path):
    with pytest.raises(Fault) as fault:
        read_lines(tmp_path)
    assert fault.value.code == "data-missing" and "transcripts.csv" in fault.value.sentence
    pytest.importorskip("pocketsphinx")
    (tmp_path / "transcripts.csv").write_text("a|xqzw fhgk\n")
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    with pytest.raises(Fault) as fault:
        read_lines(tmp_path)
    assert "aligned" in fault.value.sentence


@pytest.fixture
def speech(data_folder: Path, tmp_path: Path) -> Path:
    """Two short lines of a real voice."""
    import csv
    import shutil

    pytest.importorskip("pocketsphinx")
    source, folder = data_folder / "speech" / "lj", tmp_path / "speech"
    folder.mkdir()
    rows = list(csv.reader((source / "transcripts.csv").open(encoding="utf-8"), delimiter="|", quoting=csv.QUOTE_NONE))
    rows.sort(key=lambda row: (source / f"{row[0]}.flac").stat().st_size if (source / f"{row[0]}.flac").is_file() else 1e9)
    with (folder / "transcripts.csv").open("w", encoding="utf-8") as file:
        for row in rows[:3]:
            shutil.copy(source / f"{row[0]}.flac", folder)
            file.write("|".join(row) + "\n")
    return folder


def test_people_and_seconds_make_clips_and_a_second_call_keeps_them(data_folder: Path, speech: Path, tmp_path: Path, capsys):
    words = [
        "prepare",
        "--layout",
        "actors",
        "--data",
        str(data_folder),
        "--speech",
        str(speech),
        "--out",
        str(tmp_path),
        "--what",
        "clips",
    ]
    words += ["--people", "3", "--seconds", "3", "--manner", "emotion", "--quiet", "--json"]
    assert main(words) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])["clips"]
    assert first["people"] == 3 and first["written"] >= 4 and first["kept"] == 0
    clips = sorted((tmp_path / "actors_motion").glob("*.npz"))
    assert len(clips) == first["written"]
    with np.load(clips[0]) as data:
        frames = len(data["aus"])
        assert data["landmarks"].shape == data["landmarks_still"].shape == (frames, 162, 2) and data["visemes"].shape == (frames, 15)
        assert data["aus"].max() > 0.5 and Path(str(data["audio"])).is_file()
    assert main(words) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])["clips"]
    assert again["written"] == 0 and again["kept"] == first["written"]


@pytest.mark.parametrize("words", [["--people", "0"], ["--seconds", "0"], ["--speech", "no/such/folder"]])
def test_bad_options_are_said(data_folder: Path, tmp_path: Path, words: list[str], capsys):
    assert main(["prepare", "--layout", "actors", "--data", str(data_folder), "--out", str(tmp_path), "--what", "clips", *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_movie_carries_the_mesh_and_the_tracker(data_folder: Path, tmp_path: Path):
    pytest.importorskip("moderngl")
    from backend.training.actors.parts import load_parts
    from backend.training.actors.videos import write_videos
    from backend.training.motion.clips import load_tracked

    short = SpokenLine("x", data_folder / "speech" / "lj" / "LJ001-0001.flac", "", (Phone("AA", 0.1, 0.35), Phone("B", 0.35, 0.5)), 0.6)
    try:
        report = write_videos(load_parts(data_folder), [Job(0, 3, short)], tmp_path, lambda *step: None, "calm")
    except Fault as fault:
        pytest.skip(fault.sentence)
    assert report["written"] == 1 and report["tracker_error_percent"] < 6
    with np.load(tmp_path / "x-0000.npz") as data:
        assert data["landmarks"].shape == data["landmarks_mesh"].shape == (15, 162, 2) and data["mesh"].shape == (15, 478, 3)
        assert str(data["au_source"]) == "exact" and data["aus"].shape == (15, 18) and (tmp_path / "x-0000.mp4").is_file()
    assert len(load_tracked(tmp_path, None)[0].motion) == 15
    assert write_videos(load_parts(data_folder), [Job(0, 3, short)], tmp_path, lambda *step: None, "calm")["kept"] == 1
