# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``doctor --tier sd15`` and ``benchmark --tier sd15`` say."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from backend.synthesis.sd15 import catalogue
from bridge.faults import Fault

pytestmark = pytest.mark.unit
pytest.importorskip("huggingface_hub")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine."""
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AUTTER_SD15", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home"


def test_the_doctor_names_every_missing_part_with_size_licence_and_place(home: Path) -> None:
    from backend.doctor_sd15 import examine_sd15

    findings = {finding.name: finding for finding in examine_sd15("aniportrait")}
    for key in catalogue.WEIGHT_SETS["aniportrait"].parts:
        part = catalogue.PARTS[key]
        finding = findings[part.title]
        assert not finding.ok and finding.needed == part.needed
        assert part.licence in finding.detail and ("GB" in finding.detail or "MB" in finding.detail)
        assert str(home / "models" / "sd15" / part.folders[0]) in finding.hint and part.files[-1][0].name in finding.hint
    assert "10.9 GB" in findings["weights in use"].detail and "--fetch" in findings["weights in use"].hint
    everything = examine_sd15()
    assert len(everything) > len(findings) and not [f for f in everything if f.needed and not f.ok and "EchoMimic" in f.name]
    for name in catalogue.WEIGHT_SETS:  # the command that is told fetches the set that was asked about
        assert f"--fetch --weights {name};" in {finding.name: finding for finding in examine_sd15(name)}["weights in use"].hint
    voice = {finding.name: finding for finding in examine_sd15("echomimic_pose_acc")}[catalogue.VOICE_ENCODER.title]
    assert not voice.ok and not voice.needed and "Apache-2.0" in voice.detail and "whisper-tiny" in voice.hint
    with pytest.raises(Fault):
        examine_sd15("nobody's")


def test_the_doctor_says_what_is_there_and_what_a_render_needs(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.doctor_sd15 import examine_sd15

    monkeypatch.setenv("AUTTER_SD15", str(tiny_weights))
    findings = examine_sd15("echomimic_pose", verify=True)
    assert all(finding.ok for finding in findings if finding.needed)
    assert sum(finding.name.startswith("memory, ") and "GB" in finding.detail for finding in findings) == 3
    assert any("not the published file" in finding.detail for finding in findings)  # told, but the user's own folder is the user's
    monkeypatch.setenv("AUTTER_SD15", str(tiny_weights / "nowhere"))
    assert any(not finding.ok and "no folder" in finding.detail for finding in examine_sd15())


def test_the_benchmark_sets_a_preset_beside_the_released_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("diffusers")
    from backend.benchmark import sd15
    from backend.cli import benchmark as command

    parser = argparse.ArgumentParser()
    words = ["--tier", "sd15", "--device", "cpu", "--family", "echomimic", "--presets", "draft", "--frames", "3", "--no-load"]
    command.add_arguments(parser, words)
    arguments = parser.parse_args(words)
    assert arguments.stage == "sd15" and arguments.stage_modules == {"sd15": sd15}
    report = command.run(arguments)
    row = report["presets"]["draft"]
    assert report["network"] == "tiny" and row["frames"] == 3 and row["seconds_a_frame"] > 0 and row["planned_gb"] > 0
    assert row["released_over_this"] > 1  # 25 guided steps beside 4 unguided ones
    assert "released recipe" in capsys.readouterr().out


def test_the_benchmark_renders_under_every_plan_and_puts_the_environment_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("diffusers")
    from backend.cli import benchmark as command

    monkeypatch.delenv("AUTTER_SD15", raising=False)
    parser = argparse.ArgumentParser()
    words = ["--tier", "sd15", "--device", "cpu", "--plans", "--presets", "draft"]
    command.add_arguments(parser, words)
    report = command.run(parser.parse_args(words))
    assert list(report["plans"]) == ["whole", "frugal"]  # the processor's
    for rows in report["plans"].values():
        assert rows["draft"]["off"]["most"] <= 1 and rows["draft"]["evaluation_s"] > 0 and not rows["draft"]["notes"]
    assert report["running_out"] == [] and "NVIDIA card only" in capsys.readouterr().out
    assert "AUTTER_SD15" not in os.environ
