# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into logs and reports tells nothing of the person: no home, no user name, no names of projects."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import paths, privacy
from bridge.log import BackendLog
from bridge.privacy import without_private_paths

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "_home", lambda: "/home/ada.lovelace")
    monkeypatch.setattr(privacy, "_user_name", lambda: "ada.lovelace")
    monkeypatch.setenv(paths.HOME_VARIABLE, "/home/ada.lovelace/.local/share/autter")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("There is no file /home/ada.lovelace/Secret Film/faces/bob.png.", "bob.png"),
        ("cannot read '/mnt/clients/Acme Corp/take 3/line.wav': no", "line.wav"),
        ("portrait=/media/ada.lovelace/disk/x/face.jpg frame 7", "frame 7"),
        (r"There is no file C:\Users\ada.lovelace\Secret Film\bob.png here", "bob.png"),
        (r"\\server\clients\Acme Corp\bob.png", "bob.png"),
        ("two: /home/ada.lovelace/Secret/a.wav and /home/ada.lovelace/Secret/b.wav", "b.wav"),
        ("the folder /home/ada.lovelace", "~"),
        ("the folder /Users/ada.lovelace is full", "is full"),
    ],
)
def test_private_folders_go_and_file_names_stay(text: str, kept: str) -> None:
    clean = without_private_paths(text)
    for secret in ("ada.lovelace", "Secret", "Acme", "clients"):
        assert secret not in clean, clean
    assert kept in clean


@pytest.mark.parametrize(
    "text",
    [
        'File "/usr/lib/python3.11/socket.py", line 3, in connect',
        "job 3: done in 0.25 s, 5 / 7 frames, 24/1 fps, and/or",
        "https://example.org/a/b/c.html",
        "tcp:127.0.0.1:47001",
    ],
)
def test_what_is_not_private_stays(text: str) -> None:
    assert without_private_paths(text) == text


def test_our_own_folders_are_told_below_home() -> None:
    text = 'File "/home/ada.lovelace/.local/share/autter/environments/0.1.0/lib/python3.11/site-packages/torch/x.py", line 3'
    assert without_private_paths(text) == text.replace("/home/ada.lovelace", "~")


def test_the_log_keeps_whole_paths_only_when_asked(tmp_path: Path) -> None:
    line = "cannot read /home/ada.lovelace/Secret Film/bob.png"
    for keep in (False, True):
        log = BackendLog(tmp_path / f"{keep}.log", keep_paths=keep)
        log.add(line)
        log.close()
        for text in (log.tail(), (tmp_path / f"{keep}.log").read_text()):
            assert ("Secret" in text) is keep and "bob.png" in text


def test_how_whole_paths_are_asked_for() -> None:
    assert not privacy.whole_paths_wanted({})
    assert privacy.whole_paths_wanted({"AUTTER_LOG_PATHS": "1"}) and privacy.whole_paths_wanted({"AUTTER_LOG_LEVEL": "DEBUG"})
