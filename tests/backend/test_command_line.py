# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: help, exit codes, JSON, and one clear sentence for every bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from backend_samples import ROOT, nothing_left, tone_samples, write_wav
from PIL import Image

from backend.cli import main as cli

pytestmark = pytest.mark.unit
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def blank_portrait(tmp_path: Path) -> Path:
    """A picture of nobody."""
    path = tmp_path / "wall.png"
    Image.new("RGB", (200, 200), (80, 90, 100)).save(path)
    return path


def fails(words: list[str], capsys: Captured, code: int = cli.EXIT_FAULT) -> dict[str, str]:
    """Runs a command that must fail with one sentence and a hint, in JSON too; the fault."""
    assert cli.main([*words, "--json"]) == code
    streams = capsys.readouterr()
    report = json.loads(streams.out.strip().splitlines()[-1])
    assert report["ok"] is False
    fault = report["fault"]
    assert fault["hint"] and fault["sentence"] and fault["sentence"] in streams.err and "Traceback" not in streams.err
    return fault


def test_help_is_fast_and_names_every_command() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-X", "importtime", "-m", "backend", "--help"]
    result = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60)
    assert result.returncode == 0 and all(command in result.stdout for command in cli.COMMANDS)
    for heavy in ("numpy", "torch", "mediapipe", "scipy", "PIL", "av"):
        assert f"| {heavy}\n" not in result.stderr.replace("  ", "").replace("|", "| ").replace("|  ", "| "), f"{heavy} was imported"


def test_threads_of_torch_sleep_while_they_wait() -> None:
    pytest.importorskip("torch")
    words = [sys.executable, "-c", "from backend.cli.main import main; main([]); import torch"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "KMP_", "GOMP_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "true"}  # OpenMP tells its settings when it is loaded
    told = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60).stderr
    if "OMP_WAIT_POLICY" not in told:
        pytest.skip("this torch's OpenMP does not tell its settings")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in told or "OMP_WAIT_POLICY='PASSIVE'" in told


@pytest.mark.parametrize("command", ["animate", "predict", "render", "track", "doctor"])
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0 and "--json" in capsys.readouterr().out


def test_unknown_commands_and_options(capsys: Captured) -> None:
    for words in (["dance"], ["animate"], ["render", "--nonsense"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 2
    assert cli.main([]) == 0 and "animate" in capsys.readouterr().out


def test_bad_portraits(tmp_path: Path, tone: Path, blank_portrait: Path, capsys: Captured) -> None:
    def fault(portrait: Path) -> str:
        return fails(["animate", "--portrait", str(portrait), "--audio", str(tone), "--out", str(tmp_path / "out" / "o.mp4")], capsys)[
            "code"
        ]

    assert fault(tmp_path / "gone.png") == "image-missing"
    assert fault(tone) == "image-unreadable"
    assert fault(blank_portrait) == "face-none"
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert fault(tmp_path / "dot.png") == "image-too-small"
    Image.new("1", (10000, 10000)).save(tmp_path / "huge.png")
    assert fault(tmp_path / "huge.png") == "image-too-large"
    assert not (tmp_path / "out").exists()


def test_bad_voices(tmp_path: Path, blank_portrait: Path, capsys: Captured) -> None:
    def fault(*words: str) -> str:
        return fails(["predict", "--portrait", str(blank_portrait), "--out", str(tmp_path / "out" / "o.npz"), *words], capsys)["code"]

    assert fault("--audio", str(tmp_path / "gone.wav")) == "audio-missing"
    assert fault("--audio", str(blank_portrait)) == "audio-unreadable"
    none = write_wav(tmp_path / "none.wav", np.zeros(0, np.float32), 8000)
    assert fault("--audio", str(none)) == "audio-empty"
    long = write_wav(tmp_path / "long.wav", np.zeros(8000 * 60 * 31, np.float32), 8000, subtype="PCM_U8")
    assert fault("--audio", str(long)) == "audio-too-long"
    assert fault("--audio", str(long), "--start", "60", "--duration", "2") == "face-none", "a part of it is welcome"
    assert fault("--audio", str(long), "--start", "99999") == "audio-range"
    assert fault("--audio", str(long), "--start", "-1") == "audio-range"
    assert fault("--audio", str(long), "--duration", "0") == "no-frames"
    assert fault("--duration", "nan") == "no-frames"
    assert fault() == "audio-needed"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rate", ["0", "-25", "nan", "inf", "fast", "", "25/0", "1000"])
def test_bad_frame_rates(tmp_path: Path, tone: Path, blank_portrait: Path, capsys: Captured, rate: str) -> None:
    words = ["predict", "--portrait", str(blank_portrait), "--audio", str(tone), f"--fps={rate}", "--out", str(tmp_path / "o.npz")]
    assert fails(words, capsys)["code"] == "frame-rate"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("timestamp,AU12_r\n0,nan\n", "au-not-finite"),
        ("timestamp,AU12_r\n0,9.0\n", "au-range"),
        ("time,smile\n0,1\n", "au-csv-columns"),
    ],
)
def test_bad_au_tables(tmp_path: Path, tone: Path, blank_portrait: Path, capsys: Captured, text: str, code: str) -> None:
    (tmp_path / "aus.csv").write_text(text)
    words = ["animate", "--portrait", str(blank_portrait), "--audio", str(tone), "--aus", str(tmp_path / "aus.csv")]
    assert fails([*words, "--out", str(tmp_path / "o.mp4")], capsys)["code"] == code


def test_settings_out_of_range(tmp_path: Path, tone: Path, blank_portrait: Path, capsys: Captured) -> None:
    words = ["animate", "--portrait", str(blank_portrait), "--audio", str(tone), "--out", str(tmp_path / "o.mp4")]
    for wrong in (["--au-strength", "3"], ["--idle-head", "nan"], ["--variation=-1"]):
        fault = fails([*words, *wrong], capsys)
        assert fault["code"] == "setting-range" and wrong[0].split("=")[0] in fault["sentence"]
    assert fails([*words, "--tier", "sd15", "--preset", "finest"], capsys)["code"] == "preset-unknown"
    assert fails([*words, "--tier", "best"], capsys)["code"] == "tier-unknown"
    assert fails([*words, "--steps", "0"], capsys)["code"] == "steps-range"


STAGES = ["train motion", "train small"]
STAGES += [f"{command} --stage {stage}" for command in ("evaluate", "benchmark") for stage in ("motion", "synthesis")]
STAGES += [f"prepare --layout {layout}" for layout in ("grid", "mead", "clips", "actors")]


@pytest.mark.parametrize("words", STAGES)
def test_every_stage_has_its_own_help(words: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([*words.split(), "--help"])
    assert caught.value.code == 0 and "--json" in capsys.readouterr().out


def test_a_stage_must_be_chosen(capsys: Captured) -> None:
    for words in (["train"], ["train", "dance"], ["prepare"], ["prepare", "--layout"], ["evaluate", "--stage", "dance"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 2
    capsys.readouterr()


def test_the_first_interruption_cancels_and_the_second_ends() -> None:
    from backend.cli.progress import ProgressBar
    from bridge.faults import Fault

    former = signal.getsignal(signal.SIGINT)
    with ProgressBar(quiet=True, gentle_interrupt=True) as progress:
        progress(1, 2, "rendering")
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Fault, match="interrupted"):
            progress(2, 2, "rendering")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is former


def test_a_stage_without_a_module_is_said_to_come_later() -> None:
    from backend.cli.stages import stage_module
    from bridge.faults import Fault

    with pytest.raises(Fault, match="later release"):
        stage_module("train", "dance", {"dance": (), "small": ("backend.training.small.command",)})


def test_a_read_only_folder(tone: Path, portrait_file: Path, read_only_folder: Path, capsys: Captured) -> None:
    words = ["predict", "--portrait", str(portrait_file), "--audio", str(tone), "--out", str(read_only_folder / "o.npz")]
    assert fails(words, capsys)["code"] == "folder-read-only"


def test_bad_tracks(tmp_path: Path, blank_portrait: Path, capsys: Captured) -> None:
    words = ["render", "--portrait", str(blank_portrait), "--out", str(tmp_path / "o.mp4"), "--track"]
    assert fails([*words, str(tmp_path / "gone.npz")], capsys)["code"] == "track-missing"
    assert fails([*words, str(blank_portrait)], capsys)["code"] == "track-unreadable"


@pytest.mark.parametrize("text", ["0-3", "3-2", "1-99", "x", "-", "1-2-3"])
def test_bad_frame_ranges(text: str) -> None:
    from backend.cli.render import frame_range
    from bridge.faults import Fault

    with pytest.raises(Fault) as caught:
        frame_range(text, 10)
    assert caught.value.code == "frame-invalid"


def test_frame_ranges() -> None:
    from backend.cli.render import frame_range

    assert frame_range(None, 10) is None and frame_range("1-10", 10) == (0, 10) and frame_range(" 3 - 5 ", 10) == (2, 5)
    assert frame_range("4", 10) == (3, 4)


def test_a_missing_model_file(tmp_path: Path, tone: Path, blank_portrait: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTTER_FACE_LANDMARKER", str(tmp_path / "gone.task"))
    words = ["predict", "--portrait", str(blank_portrait), "--audio", str(tone), "--out", str(tmp_path / "o.npz")]
    assert fails(words, capsys)["code"] == "model-missing"


def test_faults_of_the_program_ask_for_a_report(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend import doctor

    monkeypatch.setattr(doctor, "examine", lambda: 1 / 0)
    assert cli.main(["doctor", "--json"]) == cli.EXIT_INTERNAL
    streams = capsys.readouterr()
    assert "ZeroDivisionError" in streams.err and "report this" in streams.err
    assert json.loads(streams.out.splitlines()[-1])["fault"]["code"] == "internal"


def test_missing_packages_are_no_fault_of_the_program(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "backend.cli.verify", None)
    assert cli.main(["verify", "x.mp4"]) == 2
    told = capsys.readouterr().err
    assert "Repair Backend" in told and "Traceback" not in told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_an_output_that_is_full_or_closed_is_no_fault_of_the_program() -> None:
    command = [sys.executable, "-m", "backend", "verify", "--json", str(Path(__file__).parents[2] / "backend" / "sample" / "portrait.jpg")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "ignored" not in done.stderr
    shell = ["sh", "-c", '"$@" >&-', "sh", *command]
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_the_shot_covers_the_voice(tmp_path: Path, blank_portrait: Path) -> None:
    import argparse

    from backend.cli import options

    def frames(seconds: float, *words: str) -> int:
        path = write_wav(tmp_path / "voice.wav", tone_samples(16000, seconds), 16000)
        parser = argparse.ArgumentParser()
        options.add_portrait_argument(parser)
        options.add_voice_arguments(parser)
        options.add_shot_arguments(parser)
        return options.shot_of(parser.parse_args(["--portrait", str(blank_portrait), "--audio", str(path), *words])).frame_count

    assert frames(2.0) == 50 and frames(2.01) == 51
    assert frames(1.0, "--fps", "23.976") == 24 and frames(1.001, "--fps", "23.976") == 24
    assert frames(2.0, "--start", "0.5") == 38 and frames(2.0, "--duration", "0.2") == 5 and frames(0.5, "--duration", "2") == 50


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_leaves_nothing_half_written(tmp_path: Path, kind: signal.Signals) -> None:
    """Tracking a long film is interrupted once the work has begun."""
    from fractions import Fraction

    from backend.video.write import write_movie

    film = tmp_path / "film.mp4"
    write_movie(film, (np.full((96, 128, 3), index % 200, np.uint8) for index in range(2500)), Fraction(25), 2500, None)
    out = tmp_path / "out"
    words = [sys.executable, "-m", "backend", "track", "--video", str(film), "--out", str(out / "t.npz"), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not out.exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(kind)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == cli.EXIT_INTERRUPTED, errors
    assert json.loads(output.splitlines()[-1])["fault"]["code"] == "interrupted" and "Traceback" not in errors
    assert not list(out.iterdir()) and nothing_left(tmp_path)


def test_the_doctor_looks_at_everything(capsys: Captured) -> None:
    code = cli.main(["doctor", "--json"])
    streams = capsys.readouterr()
    report = json.loads(streams.out.strip().splitlines()[-1])
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert {"Python", "torch", "movie encoders", "device", "face landmarker", "weights motion", "weights small", "disk"} <= set(findings)
    assert report["ok"] == all(finding["ok"] for finding in report["findings"] if finding["needed"])
    assert code == (cli.EXIT_GOOD if report["ok"] else cli.EXIT_FAULT)
    assert all(finding["hint"] for finding in report["findings"] if not finding["ok"])
    assert findings["movie encoders"]["ok"] and findings["Python"]["ok"]


def test_the_doctor_notices_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend import doctor

    (tmp_path / "motion.safetensors").write_bytes(b"damaged")
    (tmp_path / "motion.json").write_text('{"sha256": "00"}')
    monkeypatch.setattr(doctor, "_WEIGHTS", tmp_path)
    monkeypatch.setenv("AUTTER_FACE_LANDMARKER", str(tmp_path / "gone.task"))
    findings = {finding.name: finding for finding in doctor.examine()}
    assert not findings["weights motion"].ok and "card" in findings["weights motion"].detail
    assert not findings["weights small"].ok and "missing" in findings["weights small"].detail
    assert not findings["face landmarker"].ok and findings["face landmarker"].hint
