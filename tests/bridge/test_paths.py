# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders: the conventions of platformdirs, and the variables that move them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import paths

pytestmark = pytest.mark.unit


def test_one_variable_moves_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "Ünï cödé"))
    folders = [paths.user_data_dir(), paths.cache_dir(), paths.models_dir(), paths.logs_dir(), paths.default_environment()]
    assert all(folder.is_relative_to(tmp_path / "Ünï cödé") for folder in folders) and len(set(folders)) == 5
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize(
    ("platform", "data", "cache"),
    [
        ("linux", "data/autter", "kept/autter"),
        ("darwin", "home/Library/Application Support/AUtter", "home/Library/Caches/AUtter"),
        ("win32", "local/AUtter", "local/AUtter/Cache"),
    ],
)
def test_the_conventions(platform: str, data: str, cache: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(paths.HOME_VARIABLE, raising=False)
    for variable, folder in (("HOME", "home"), ("XDG_DATA_HOME", "data"), ("XDG_CACHE_HOME", "kept"), ("LOCALAPPDATA", "local")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setattr(paths.sys, "platform", platform)
    monkeypatch.setattr(paths, "NAME", "autter" if platform == "linux" else "AUtter")
    assert (paths.user_data_dir(), paths.cache_dir()) == (tmp_path / data, tmp_path / cache)


def test_a_relative_xdg_folder_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(paths.HOME_VARIABLE, raising=False)
    monkeypatch.setattr(paths.sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "here")
    assert paths.user_data_dir() == tmp_path / ".local" / "share" / paths.NAME


def test_which_python_runs_the_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv(paths.PYTHON_VARIABLE, raising=False)
    assert paths.backend_python() == paths.environment_python(tmp_path / "environments" / "none")  # nothing is set up yet
    (tmp_path / "environments").mkdir(parents=True, exist_ok=True)
    (tmp_path / "environment.txt").write_text("0.1.0-cpu-12345678\n")
    assert paths.backend_python() == paths.environment_python(tmp_path / "environments" / "0.1.0-cpu-12345678")
    monkeypatch.setenv(paths.PYTHON_VARIABLE, "from-the-environment")
    assert paths.backend_python() == Path("from-the-environment")
    assert paths.backend_python(" chosen ") == Path("chosen")
