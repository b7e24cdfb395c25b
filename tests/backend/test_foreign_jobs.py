# SPDX-License-Identifier: GPL-3.0-or-later
"""A job folder may come from anybody: it names no file outside itself to write, runs nothing, and follows no link."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from backend.cli.main import main
from backend.files import written_beside
from bridge import shot_folder
from bridge.faults import Fault
from bridge.shot_folder import ARRAYS, ShotFolder, read_shot_folder, write_shot_folder
from tests.bridge.shots import plain_shot, plain_track

pytestmark = pytest.mark.unit


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def job(folder: Path, movie: str = "talk.mp4") -> Path:
    write_shot_folder(folder, ShotFolder(plain_shot(), plain_track(), {"movie": movie}))
    return folder


@pytest.mark.parametrize("name", ["../evil.mp4", "/srv/evil.mp4", "files/../../evil.mp4", ".."])
def test_its_movie_is_a_plain_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--job", str(job(tmp_path / "job", name)), "--quiet"]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told and told.strip()
    assert not list(tmp_path.rglob("evil*"))


def test_its_arrays_are_not_unpickled(tmp_path: Path) -> None:
    folder = job(tmp_path / "job")
    np.savez(folder / ARRAYS, **{"shot.au_values": np.array([Trap(tmp_path / "sprung")], dtype=object)})
    with pytest.raises(Fault) as caught:
        read_shot_folder(folder)
    assert caught.value.code == "shot-folder-damaged" and not (tmp_path / "sprung").exists()


def test_an_archive_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = job(tmp_path / "job")
    monkeypatch.setattr(shot_folder, "LARGEST_ARRAYS", 1000)
    with pytest.raises(Fault) as caught:
        read_shot_folder(folder)
    assert caught.value.code == "shot-folder-damaged"


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own there")
def test_a_link_in_the_movies_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "talk.mp4").symlink_to(tmp_path / "precious")
    with written_beside(tmp_path / "talk.mp4") as partial:
        partial.write_text("a movie")
    assert (tmp_path / "precious").read_text() == "mine" and not (tmp_path / "talk.mp4").is_symlink()
