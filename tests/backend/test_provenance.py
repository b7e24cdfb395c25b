# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks of a synthetic movie: what is written with it, what survives copying, changing and encoding again."""

from __future__ import annotations

import math
import os
import stat
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from backend.cli.main import main
from backend.provenance import invisible_mark, signer
from backend.provenance.verify import verify_movie
from backend.video.write import write_movie
from bridge import paths
from bridge.faults import Fault

pytestmark = pytest.mark.unit

DETAILS = {"tier": "small", "seed": 7, "consent": "Ada agreed"}


@pytest.fixture(autouse=True)
def one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector of the invisible mark takes a second for each picture that it looks at."""
    monkeypatch.setattr(invisible_mark, "_FRAMES_READ", 1)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of its own, with no certificate named."""
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "home"))
    for variable in (signer.CERTIFICATE_VARIABLE, signer.PRIVATE_KEY_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


def movie(path: Path, details: dict | None = DETAILS, frames: int = 30) -> Path:
    drawn = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    write_movie(path, (np.roll(drawn, index, 1) for index in range(frames)), Fraction(25), frames, None, details=details)
    return path


def copied(source: Path, target: Path) -> Path:
    """The same packets in another file, tags left out."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target


def encoded_again(source: Path, target: Path, size: tuple[int, int] = (128, 96)) -> Path:
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for frame in old.decode(video=0):
            frame.pts = None
            new.mux(stream.encode(frame))
        new.mux(stream.encode())
    return target


def test_a_movie_says_that_it_is_synthetic(tmp_path: Path) -> None:
    found = verify_movie(movie(tmp_path / "talk.mp4"))
    assert found.synthetic is True and found.credentials == "valid"
    assert found.details["consent"] == "Ada agreed" and found.details["seed"] == 7
    assert found.stream_note and found.stream_note.startswith("Synthetic media made with AUtter") and found.tag_note
    assert "intact" in found.sentence


@pytest.mark.parametrize("name", ["talk.mov", "talk.m4v"])
def test_other_formats_carry_credentials_too(name: str, tmp_path: Path) -> None:
    assert verify_movie(movie(tmp_path / name)).credentials == "valid"


def test_matroska_keeps_the_notes_only(tmp_path: Path) -> None:
    found = verify_movie(movie(tmp_path / "talk.mkv"))
    assert found.credentials == "none" and found.synthetic is True and found.stream_note


def test_without_credentials_the_notes_stay(tmp_path: Path, home: Path) -> None:
    found = verify_movie(movie(tmp_path / "talk.mp4", None))
    assert found.credentials == "none" and found.synthetic is True and found.stream_note and found.tag_note
    assert not home.exists(), "a key was made that nobody asked for"


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_the_note_in_the_stream_survives_copying(ending: str, tmp_path: Path) -> None:
    found = verify_movie(copied(movie(tmp_path / "talk.mp4"), tmp_path / f"copy{ending}"))
    assert found.credentials == "none" and found.tag_note is None
    assert found.synthetic is True and "stream" in found.sentence


def test_encoding_again_removes_the_marks_and_verify_does_not_guess(tmp_path: Path) -> None:
    found = verify_movie(encoded_again(movie(tmp_path / "talk.mp4"), tmp_path / "again.mp4"))
    assert found.synthetic is None and found.credentials == "none" and "no mark" in found.sentence


def test_a_changed_movie_is_noticed(tmp_path: Path) -> None:
    path = movie(tmp_path / "talk.mp4")
    data = bytearray(path.read_bytes())
    place = data.rindex(b"mdat") + 2000
    data[place] ^= 0xFF
    path.write_bytes(data)
    found = verify_movie(path)
    assert found.credentials == "broken" and "changed" in found.sentence


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path, home: Path) -> None:
    first = signer.signing_files()
    assert signer.signing_files() == first
    key = home / "credentials" / "private-key.pem"
    if os.name == "posix":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.write_bytes(b"")
    (home / "credentials" / "certificates.pem").write_bytes(b"torn")
    assert signer.signing_files() != first, "a torn certificate was used"


def test_a_key_that_does_not_fit_its_certificate_is_made_anew(home: Path, tmp_path: Path) -> None:
    """As when two programs made a pair at the same moment."""
    signer.signing_files()
    (home / "credentials" / "private-key.pem").write_bytes(signer.make_files()[1])
    assert verify_movie(movie(tmp_path / "talk.mp4")).credentials == "valid"


def test_where_no_key_can_be_kept_movies_are_signed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "file" / "home"))
    assert verify_movie(movie(tmp_path / "talk.mp4")).credentials == "valid"
    assert "cannot be kept" in caplog.text and signer.signing_files() == signer.signing_files()


def test_the_users_own_certificate_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for variable, content in zip((signer.CERTIFICATE_VARIABLE, signer.PRIVATE_KEY_VARIABLE), signer.make_files(), strict=True):
        (tmp_path / variable).write_bytes(content)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    assert verify_movie(movie(tmp_path / "talk.mp4")).credentials == "valid"
    assert not home.exists()


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_certificate_of_no_use_is_said_and_nothing_is_left(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (signer.CERTIFICATE_VARIABLE, signer.PRIVATE_KEY_VARIABLE):
        if content is not None:
            (tmp_path / variable).write_bytes(content)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    folder = tmp_path / "out"
    with pytest.raises(Fault) as caught:
        movie(folder / "talk.mp4")
    assert caught.value.code == "certificate-unusable" and caught.value.hint
    assert list(folder.iterdir()) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(movie(tmp_path / "talk.mp4"))]) == 0
    assert "is synthetic" in capsys.readouterr().out
    text = tmp_path / "notes.mp4"
    text.write_text("no movie")
    assert main(["verify", str(text)]) == 2
    assert main(["verify", str(tmp_path / "missing.mp4")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_invisible_mark_is_found_in_what_was_encoded_again(tmp_path: Path) -> None:
    still = np.asarray(Image.open(Path(signer.__file__).parents[1] / "sample" / "portrait.jpg").resize((320, 400)))
    frames = [np.roll(still, number // 4, 1) for number in range(10)]
    write_movie(tmp_path / "talk.mp4", invisible_mark.marked(frames), Fraction(25), len(frames), None)
    again = verify_movie(encoded_again(tmp_path / "talk.mp4", tmp_path / "again.mp4", (320, 400)))
    assert again.stream_note is None and again.tag_note is None
    assert again.synthetic is True and again.invisible is not None and again.invisible.found and "invisible mark" in again.sentence
    worst = max(int(np.abs(new.astype(int) - old).max()) for new, old in zip(invisible_mark.marked(frames[:1]), frames))
    assert 0 < worst <= 8, "the mark can be seen"
    write_movie(tmp_path / "plain.mp4", iter(frames), Fraction(25), len(frames), None)
    plain = verify_movie(tmp_path / "plain.mp4", pictures=True)
    assert plain.invisible is not None and not plain.invisible.found and plain.synthetic is True


def test_chance_seldom_looks_like_the_mark() -> None:
    bits, least = len(invisible_mark.WORD), invisible_mark.LEAST_MATCHING
    by_chance = sum(math.comb(bits, right) for right in range(least, bits + 1)) / 2**bits
    assert by_chance < 1.5e-6


def test_a_missing_detector_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invisible_mark, "is_available", lambda: False)
    found = verify_movie(encoded_again(movie(tmp_path / "talk.mp4", None), tmp_path / "again.mp4"))
    assert found.invisible is None and found.synthetic is None and "not looked for" in found.sentence
    with pytest.raises(Fault) as caught:
        verify_movie(tmp_path / "talk.mp4", pictures=True)
    assert caught.value.code == "mark-unavailable" and caught.value.hint


def test_what_holds_no_pictures_is_no_movie() -> None:
    with pytest.raises(Fault) as caught:
        verify_movie(Path(signer.__file__).parents[1] / "sample" / "line.wav")
    assert caught.value.code == "video-unreadable"
