# SPDX-License-Identifier: GPL-3.0-or-later
"""build.py: finds Pythons, picks torch, sets up nothing twice, says what failed in a sentence."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tools import environments, pythons, release, suites, system_libraries, torch_build
from tools.say import BuildFault, clean_environment, run_quietly

from .sources import ROOT

pytestmark = pytest.mark.unit


def test_help_lists_every_command() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "build.py"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for command in ("setup", "demo", "test", "zip", "lint", "pictures"):
        assert command in done.stdout


def test_this_python_is_found() -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = pythons.installed_python(version)
    assert found is not None and pythons.fitting([str(found)], version) is not None


def test_another_version_does_not_fit() -> None:
    assert pythons.fitting([sys.executable], "2.7") is None
    assert pythons.fitting(["no-such-python-anywhere"], "3.11") is None


def test_a_missing_python_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "candidates", lambda version: iter(()))
    monkeypatch.setattr(pythons, "fetched_python", lambda version: None)
    with pytest.raises(BuildFault, match=r"Python 3\.11 was not found .* Install it"):
        pythons.find_python("3.11")


def test_torch_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_build.platform, "system", lambda: "Linux")
    monkeypatch.setattr(torch_build, "has_nvidia_driver", lambda: True)
    assert torch_build.torch_attempts("2.13.0", torch_build.torch_kind()) == [["torch==2.13.0"]]
    monkeypatch.setattr(torch_build, "has_nvidia_driver", lambda: False)
    attempts = torch_build.torch_attempts("2.13.0", torch_build.torch_kind())
    assert [attempt[0] for attempt in attempts] == ["torch==2.13.0+cpu"] * 2
    monkeypatch.setattr(torch_build.platform, "system", lambda: "Darwin")
    assert torch_build.torch_kind() == "plain"


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_libraries.platform, "system", lambda: "Linux")
    monkeypatch.setattr(system_libraries, "loads", lambda library: library != "libXi.so.6")
    monkeypatch.setattr(system_libraries, "has_software_driver", lambda: True)
    assert system_libraries.missing_packages() == ["libxi6"]


def test_without_root_one_line_to_run_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_libraries, "missing_packages", lambda: ["libxi6", "libgl1"])
    monkeypatch.setattr(system_libraries.shutil, "which", lambda name: name)
    monkeypatch.setattr(system_libraries.os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(BuildFault, match="sudo apt-get install -y --no-install-recommends libxi6 libgl1"):
        system_libraries.ensure_system_libraries()


@pytest.mark.parametrize(
    ("words", "names", "paths"),
    [
        ([], ["backend", "4.2", "4.5", "5.0", "5.2"], []),
        (["--only", "5.0"], ["5.0"], []),
        (["--only", "5.2,backend", "tests/house"], ["backend", "5.2"], ["tests/house"]),
        (["--only", "4.2", "5.2"], ["4.2", "5.2"], []),
    ],
)
def test_the_suites_to_run(words: list[str], names: list[str], paths: list[str]) -> None:
    parser = argparse.ArgumentParser()
    suites.add_arguments(parser)
    choice = parser.parse_args(words)
    assert suites.chosen_names(choice) == names and choice.paths == paths


def test_the_backends_tests_are_run_in_two_halves_that_are_the_whole() -> None:
    parser = argparse.ArgumentParser()
    suites.add_arguments(parser)
    halves = suites.make_suites("backend", parser.parse_args([]))
    assert [half.markers for half in halves] == [
        "not blender and not process and (not window and not slow)",
        "not blender and process and (not window and not slow)",
    ]
    assert len({tuple(half.paths) for half in halves}) == 1
    for words in (["-m", "process"], ["tests/house"]):
        assert len(suites.make_suites("backend", parser.parse_args(words))) == 1


@pytest.mark.parametrize("words", [["--only", "3.6"], ["tests/nowhere"]])
def test_a_suite_that_is_not_there_is_a_sentence(words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    suites.add_arguments(parser)
    with pytest.raises(BuildFault, match="There (is no environment|are no tests)"):
        suites.chosen_names(parser.parse_args(words))


@pytest.fixture
def small_environment(tmp_path: Path) -> environments.Environment:
    """An environment without packages, made by hand from this Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    return environments.Environment("small", tmp_path / "env", f"{sys.version_info[0]}.{sys.version_info[1]}", ("bpy-5.0.txt",), "json")


def test_a_stamp_stops_a_second_set_up(small_environment: environments.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(environments, "pip_install", lambda environment, arguments: (calls.append(list(arguments)), (0, ""))[1])
    monkeypatch.setattr(environments, "ensure_system_libraries", lambda: None)
    monkeypatch.setattr(environments, "ROOT", small_environment.folder.parent)
    small = replace(small_environment)
    in_place = property(lambda self: [ROOT / "requirements" / name for name in self.locks])
    monkeypatch.setattr(environments.Environment, "lock_files", in_place)
    assert not environments.is_ready(small)
    environments.set_up([small])
    environments.set_up([small])
    assert len(calls) == 1 and environments.is_ready(small)
    assert not environments.is_ready(replace(small, locks=("bpy-5.2.txt",)))


def test_a_failed_install_leaves_no_stamp(small_environment: environments.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "pip_install", lambda environment, arguments: (1, "no route to host"))
    with pytest.raises(BuildFault, match="no route to host"):
        environments.make(small_environment)
    assert not environments.is_ready(small_environment)


def test_torch_is_locked() -> None:
    assert environments.locked_version(environments.BACKEND, "torch").count(".") == 2


def test_a_failing_command_shows_its_last_lines() -> None:
    with pytest.raises(BuildFault, match="(?s)Counting failed .*three"):
        run_quietly([sys.executable, "-c", "print('one two three'); raise SystemExit(3)"], "Counting")


def test_other_pythons_are_not_led_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert "PYTHONPATH" not in clean_environment()
    assert clean_environment({"A": "b"})["A"] == "b"


def test_the_zip_is_named_after_the_version() -> None:
    assert release.zip_path().name == f"autter-{release.version()}.zip"


@pytest.mark.parametrize(
    ("log", "code", "line", "good"),
    [
        ("....\n==== 4 passed in 0.1s ====\n", 0, "4 passed in 0.1s", True),
        ("F\n1 failed, 3 passed in 2s\n", 1, "1 failed, 3 passed in 2s", False),
        ("Segmentation fault\n", -11, "no summary (exit code -11)", False),
        ("no tests ran in 0.01s\n", 5, "no tests ran in 0.01s", True),
    ],
)
def test_the_summary_tells_what_pytest_said(log: str, code: int, line: str, good: bool) -> None:
    suite = suites.Suite("any", environments.BACKEND, [], "", log, code)
    assert (suite.closing_line, suite.good) == (line, good)
