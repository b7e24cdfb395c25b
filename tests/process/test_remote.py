# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend on another computer: files travel both ways, nothing is left on either side, and nothing outside is reached.

A plain forwarder of TCP stands for the SSH tunnel; ``test_remote_namespaces.py`` goes through a real one.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bridge import PROTOCOL, VERSION
from bridge.channel import Channel, connect
from bridge.client import TakeMemory
from bridge.faults import Fault
from bridge.messages import Message, decode, encode, pack_shot
from bridge.remote import RemoteClient, RemotePlace
from bridge.reuse import Reuse
from bridge.shot import Shot, Voice
from bridge.shot_folder import read_shot_folder
from bridge.transfer import PIECE_BYTES
from tests.bridge.shots import plain_shot, plain_track
from tests.process.backends import ROOT, finished, gather, outcome, saw, wait_until

pytestmark = pytest.mark.process


class Tunnel:
    """Passes bytes between a port of this computer and another one, until it is torn down."""

    def __init__(self, port: int) -> None:
        self._far = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self.passed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._far))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self.passed += len(data)
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def tear(self) -> None:
        for end in [self._listener, *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def far(tmp_path: Path) -> Iterator[dict]:
    """A backend with a folder for its temporary files alone; what its ready line says."""
    place = tmp_path / "far"
    place.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(place), "AUTTER_HOME": str(place / "home")}
    with subprocess.Popen(
        [sys.executable, "-Psu", str(Path(__file__).with_name("remote_backend.py"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=environment,
        cwd=place,
    ) as process:
        assert process.stdout and process.stderr
        threading.Thread(target=process.stderr.read, daemon=True).start()
        ready = json.loads(process.stdout.readline())
        yield {**ready, "folder": place, "port": int(ready["address"].rpartition(":")[2])}
        process.terminate()
        assert process.wait(20) == 0
    assert list(place.glob("autter-*")) == [], "files of a client were left"


@pytest.fixture
def near(far: dict, tmp_path: Path) -> Iterator[tuple[RemoteClient, Tunnel]]:
    tunnel = Tunnel(far["port"])
    client = RemoteClient(RemotePlace.read(f"127.0.0.1:{tunnel.port}", far["token"]), log_path=tmp_path / "near.log")
    yield client, tunnel
    client.close()
    tunnel.tear()


def material(tmp_path: Path, recording: bytes) -> tuple[Path, Path]:
    place = tmp_path / "näher dran"
    place.mkdir()
    (place / "face.png").write_bytes(b"a face")
    (place / "line.wav").write_bytes(recording)
    return place / "face.png", place / "line.wav"


def shot_of(portrait: Path, voice: Path) -> Shot:
    return replace(plain_shot(), portrait=str(portrait), voice=(Voice(str(voice)),))


def raw(far: dict) -> Channel:
    channel = connect(far["address"], far["token"])
    channel.send(encode(Message("hello", None, {"protocol": PROTOCOL, "version": VERSION})))
    assert decode(channel.receive()).fields["files"] == "travel"
    return channel


def answer(channel: Channel, job: int) -> Message:
    while (message := decode(channel.receive())).job != job or message.kind not in ("failed", "result", "piece"):
        pass
    return message


def test_a_shot_is_rendered_far_away_and_comes_home(near, far: dict, tmp_path: Path) -> None:
    client, tunnel = near
    recording = np.random.default_rng(0).bytes(3 * PIECE_BYTES + 17)
    portrait, voice = material(tmp_path, recording)
    shot, track = shot_of(portrait, voice), plain_track()
    out = tmp_path / "takes" / "Ada take001.mp4"
    memory = TakeMemory(out.with_suffix(".take"), tmp_path, {"consent": "Ada agreed"})
    job = client.render(shot, track, out, memory=memory)
    events = gather(client, finished(job))
    result = events[-1]
    assert result.kind == "result", result.header
    assert out.read_bytes() == recording + b"a face" and result.header["path"] == str(out) == result.header["report"]["path"]
    phases = {event.header["phase"] for event in events if event.kind == "progress"}
    assert {"sending files", "rendering", "fetching the movie"} <= phases
    kept = read_shot_folder(out.with_suffix(".take"))
    assert kept.record["consent"] == "Ada agreed" and kept.record["models"] and Path(kept.shot.portrait) == portrait
    assert sorted(path.name for path in out.parent.iterdir()) == ["Ada take001.mp4", "Ada take001.take"]
    before = tunnel.passed
    again = client.render(shot, track, tmp_path / "again.mp4", reuse=Reuse(str(out), ((0, 1, 0),)))
    assert outcome(client, again).kind == "result"
    grown = tunnel.passed - before
    assert grown < 3.5 * 2 * len(recording), "files that are there were sent again"
    wait_until(lambda: not list(far["folder"].glob("autter-files-*/job-*")))


def test_the_connection_is_lost_while_files_are_sent_and_the_next_job_goes_through(near, far: dict, tmp_path: Path) -> None:
    client, tunnel = near
    portrait, voice = material(tmp_path, b"\0" * (40 * PIECE_BYTES))
    job = client.render(shot_of(portrait, voice), plain_track(), tmp_path / "talk.mp4")
    gather(client, saw("progress", job))
    tunnel.tear()
    failed = outcome(client, job)
    assert failed.kind == "failed" and failed.header["code"] == "remote-lost" and "tunnel" in failed.header["hint"]
    wait_until(lambda: not list(far["folder"].glob("autter-files-*")))
    assert not list(tmp_path.glob("*.mp4")) and not list(tmp_path.glob(".*.partial"))
    second = Tunnel(far["port"])
    client._place = RemotePlace.read(str(second.port), far["token"])
    found = outcome(client, client.find_portrait(portrait))
    assert found.kind == "result" and found.header["portrait_size"] == [6, 1]
    second.tear()


def test_a_job_is_cancelled_while_its_files_are_sent_and_they_go_on_where_they_stopped(near, tmp_path: Path) -> None:
    client, tunnel = near
    portrait, voice = material(tmp_path, b"\1" * (40 * PIECE_BYTES))
    shot = shot_of(portrait, voice)
    job = client.render(shot, plain_track(), tmp_path / "talk.mp4")
    gather(client, saw("progress", job))
    client.cancel(job)
    assert outcome(client, job).header["code"] == "cancelled"
    again = client.render(shot, plain_track(), tmp_path / "talk.mp4")
    assert outcome(client, again).kind == "result"
    assert hashlib.sha256((tmp_path / "talk.mp4").read_bytes()).digest() == hashlib.sha256(b"\1" * (40 * PIECE_BYTES) + b"a face").digest()


def test_a_waiting_job_far_away_can_be_cancelled(near, tmp_path: Path) -> None:
    client, _ = near
    (tmp_path / "slow.png").write_bytes(b"slow")
    job = client.find_portrait(tmp_path / "slow.png")
    gather(client, saw("started", job))
    client.cancel(job)
    assert outcome(client, job).header["code"] == "cancelled"


def test_a_movie_that_cannot_be_written_here_is_said_and_nothing_is_left(near, tmp_path: Path) -> None:
    client, _ = near
    portrait, voice = material(tmp_path, b"x")
    (tmp_path / "takes").write_text("a file where the folder should be")
    failed = outcome(client, client.render(shot_of(portrait, voice), plain_track(), tmp_path / "takes" / "talk.mp4"))
    assert failed.kind == "failed" and failed.header["code"] == "folder-read-only"


def test_a_missing_file_fails_its_job_only(near, tmp_path: Path) -> None:
    client, _ = near
    failed = outcome(client, client.find_portrait(tmp_path / "nobody.png"))
    assert failed.kind == "failed" and failed.header["code"] == "file-missing" and failed.header["hint"]
    (tmp_path / "face.png").write_bytes(b"a face")
    assert outcome(client, client.find_portrait(tmp_path / "face.png")).kind == "result"


@pytest.mark.parametrize("path", ["/etc/passwd", "upload:../../etc/passwd", "upload:" + "0" * 64 + "/../x", "face.png", None, 7])
def test_no_request_reaches_a_file_that_was_not_sent(path: object, far: dict) -> None:
    channel = raw(far)
    channel.send(encode(Message("portrait", 1, {"path": path})))
    told = answer(channel, 1)
    assert told.kind == "failed" and told.fields["code"] == "path-outside"
    channel.release()


@pytest.mark.parametrize("name", ["../../evil.mp4", "/srv/evil.mp4", "..\\..\\evil.mp4", ".mp4", "a/../../evil.mp4", "C:evil.mp4"])
def test_a_movie_is_written_nowhere_but_in_its_jobs_folder(name: str, far: dict) -> None:
    channel = raw(far)
    for number, content in enumerate((b"a face", b"a voice")):
        digest = hashlib.sha256(content).hexdigest()
        head = {"name": digest + ".bin", "offset": 0, "size": len(content)}
        channel.send(encode(Message("upload", 5, head, {"data": np.frombuffer(content, np.uint8)})))
        if number == 0:
            face = f"upload:{digest}.bin"
    shot = shot_of(Path(face), Path("v"))
    fields, arrays = pack_shot(shot, plain_track())
    fields["shot"]["portrait"], fields["shot"]["voice"][0]["path"] = face, f"upload:{digest}.bin"
    more = {"out_path": name, "folder": str(far["folder"] / "evil.take"), "project": "/", "record": {}}
    channel.send(encode(Message("render", 5, {**fields, **more}, arrays)))
    told = answer(channel, 5)
    assert told.kind in ("result", "failed")
    if told.kind == "failed":
        assert told.fields["code"] == "movie-format"
    else:
        assert "/" not in told.fields["path"] and "\\" not in told.fields["path"]
    assert not [path for path in far["folder"].rglob("evil*") if "job-5" not in str(path)]
    channel.release()


@pytest.mark.parametrize(
    ("fields", "data", "code"),
    [
        ({"name": "../x", "offset": 0, "size": 1}, b"x", "upload-malformed"),
        ({"name": "0" * 64, "offset": 0, "size": 1}, b"x", "upload-damaged"),
        ({"name": "0" * 64, "offset": 5, "size": 10}, b"x", "upload-malformed"),
        ({"name": "0" * 64, "offset": 0, "size": 2**40}, b"x", "upload-too-large"),
        ({"name": "0" * 64, "offset": 0, "size": 1}, b"xx", "upload-malformed"),
        ({"name": "0" * 64, "offset": 0, "size": 2**30}, b"x" * (PIECE_BYTES + 1), "upload-malformed"),
        ({"name": "0" * 64, "offset": -1, "size": 1}, b"x", "upload-malformed"),
        ({"name": 3, "offset": None, "size": []}, b"", "upload-malformed"),
    ],
)
def test_a_bad_piece_is_refused_and_the_connection_goes_on(fields: dict, data: bytes, code: str, far: dict) -> None:
    channel = raw(far)
    channel.send(encode(Message("upload", 1, fields, {"data": np.frombuffer(data, np.uint8)})))
    assert answer(channel, 1).fields["code"] == code
    channel.send(encode(Message("download", 2, {"offset": 0})))
    assert answer(channel, 2).fields["code"] == "download-missing"
    channel.send(encode(Message("status")))
    assert decode(channel.receive()).kind == "status"
    channel.release()


def test_a_backend_that_takes_no_files_is_told_apart(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-Psu", str(Path(__file__).with_name("remote_backend.py")), "--local"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        client = RemoteClient(RemotePlace.read(ready["address"], ready["token"]), log_path=tmp_path / "log")
        failed = outcome(client, client.find_portrait(tmp_path / "face.png"))
        assert failed.header["code"] == "remote-local" and "--remote" in failed.header["hint"]
        wrong = RemoteClient(RemotePlace.read(ready["address"], "0" * 64), log_path=tmp_path / "log")
        assert outcome(wrong, wrong.find_portrait(tmp_path / "face.png")).header["code"] == "token-wrong"
        process.terminate()


@pytest.mark.parametrize(
    "address", ["", "192.168.0.7:47001", "box:47001", "127.0.0.1:0", "127.0.0.1:99999", "unix:/srv/x", "0.0.0.0:47001"]
)
def test_only_the_near_end_of_a_tunnel_is_an_address(address: str) -> None:
    with pytest.raises(Fault) as caught:
        RemotePlace.read(address, "0" * 64)
    assert caught.value.code == "remote-address" and caught.value.hint


def test_addresses_as_people_write_them() -> None:
    for text in ("47001", "127.0.0.1:47001", " localhost:47001 ", "tcp:127.0.0.1:47001"):
        assert RemotePlace.read(text, " t ") == RemotePlace("tcp:127.0.0.1:47001", "t")
