# SPDX-License-Identifier: GPL-3.0-or-later
"""The authenticated channel: handshake between versions of Python, strangers, limits and addresses."""

from __future__ import annotations

import functools
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.channel import Channel, Listener, connect, remove_socket, welcome
from bridge.faults import Fault
from bridge.messages import LARGEST_MESSAGE
from tests.process.backends import ROOT

pytestmark = pytest.mark.process

TOKEN = "7" * 64
ECHO = """
import sys
from bridge.channel import Listener, connect, welcome
role, token = sys.argv[1], "7" * 64
if role == "listen":
    listener = Listener(tcp=sys.argv[2] == "tcp")
    print(listener.address, flush=True)
    channel = welcome(listener.accept(), token)
    listener.close()
else:
    channel = connect(sys.argv[2], token)
channel.send(b"from " + role.encode())
print(channel.receive().decode(), flush=True)
channel.release()
"""


@pytest.fixture(params=["unix", "tcp"])
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    """A listener of each kind."""
    opened = Listener(tcp=request.param == "tcp")
    yield opened
    opened.close()


def pair(listener: Listener) -> tuple[Channel, Channel]:
    """The two ends of a connection."""
    ends: list[Channel | None] = []
    thread = threading.Thread(target=lambda: ends.append(welcome(listener.accept(), TOKEN)))  # type: ignore[arg-type]
    thread.start()
    near = connect(listener.address, TOKEN)
    thread.join()
    assert ends[0] is not None
    return near, ends[0]


def bare(address: str) -> socket.socket:
    """A connection that does not know how to behave."""
    scheme, _, place = address.partition(":")
    family, target = (socket.AF_UNIX, place) if scheme == "unix" else (socket.AF_INET, ("127.0.0.1", int(place.rpartition(":")[2])))
    opened = socket.socket(family)
    opened.connect(target)
    return opened


def test_frames_of_all_sizes_cross_both_ways(listener: Listener) -> None:
    near, far = pair(listener)
    for size in (0, 1, 16384, 16385, 3_000_000):
        sender = threading.Thread(target=near.send, args=(bytes(size),))
        sender.start()
        assert far.receive() == bytes(size)
        sender.join()
        far.send(b"x")
        assert near.receive() == b"x"
    near.release()
    with pytest.raises((EOFError, OSError)):
        far.receive()
    far.release()


def test_the_wrong_token_is_told_in_one_sentence(listener: Listener) -> None:
    welcomed: list[Channel | None] = []
    thread = threading.Thread(target=lambda: welcomed.append(welcome(listener.accept(), TOKEN)))  # type: ignore[arg-type]
    thread.start()
    with pytest.raises(Fault) as caught:
        connect(listener.address, "8" * 64)
    thread.join()
    assert caught.value.code == "token-wrong" and caught.value.hint and welcomed == [None]


def test_a_listener_that_does_not_know_the_token_is_not_trusted(listener: Listener) -> None:
    def pretend() -> None:
        from multiprocessing.connection import Connection

        accepted = listener.accept()
        assert accepted is not None
        connection = Connection(accepted.detach())
        connection.send_bytes(b"#CHALLENGE#" + bytes(20))
        connection.recv_bytes(256)
        connection.send_bytes(b"#WELCOME#")  # accepts anybody
        connection.recv_bytes(256)
        connection.send_bytes(bytes(16))  # but cannot answer our own challenge
        connection.recv_bytes(256)
        connection.close()

    thread = threading.Thread(target=pretend)
    thread.start()
    with pytest.raises(Fault) as caught:
        connect(listener.address, TOKEN)
    thread.join()
    assert caught.value.code == "token-wrong"


@pytest.mark.parametrize(
    "stranger",
    [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 100, struct.pack("!i", 2**31 - 1), struct.pack("!i", 16) + bytes(16)],
    ids=repr,
)
def test_strangers_only_end_their_own_connection(stranger: bytes, listener: Listener) -> None:
    other = bare(listener.address)
    accepted = listener.accept()
    assert accepted is not None
    other.sendall(stranger)
    other.shutdown(socket.SHUT_WR)
    assert welcome(accepted, TOKEN) is None
    other.close()
    near, far = pair(listener)
    near.release(), far.release()


def test_a_handshake_that_never_ends_is_given_up(listener: Listener) -> None:
    other = bare(listener.address)
    accepted = listener.accept()
    assert accepted is not None
    assert welcome(accepted, TOKEN, timeout=0.2) is None
    other.close()
    silent = bare(listener.address)  # and from the other side: a listener that says nothing
    with pytest.raises(Fault) as caught:
        connect(listener.address, TOKEN, timeout=0.2)
    assert caught.value.code == "backend-unreachable"
    silent.close()


def test_a_frame_that_claims_too_much_is_refused_unread(listener: Listener) -> None:
    near, far = pair(listener)
    os.write(near._connection.fileno(), struct.pack("!iQ", -1, LARGEST_MESSAGE + 1))
    with pytest.raises(OSError):
        far.receive()
    near.release(), far.release()


def test_a_frame_cut_off_is_an_end_not_a_message(listener: Listener) -> None:
    near, far = pair(listener)
    os.write(near._connection.fileno(), struct.pack("!i", 1000) + bytes(10))
    near.release()
    with pytest.raises((EOFError, OSError)):
        far.receive()
    far.release()


def test_closing_wakes_who_waits(listener: Listener) -> None:
    near, far = pair(listener)
    woken: list[type[BaseException]] = []

    def wait(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except (OSError, EOFError) as error:
            woken.append(type(error))

    threads = [threading.Thread(target=wait, args=(work,)) for work in (near.receive, lambda: near.send(bytes(50_000_000)))]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    near.close()
    for thread in threads:
        thread.join(10)
    assert len(woken) == 2
    near.release(), far.release()


def test_closing_the_listener_wakes_accept_and_leaves_nothing(listener: Listener) -> None:
    accepted: list[object] = []
    thread = threading.Thread(target=lambda: accepted.append(listener.accept()))
    thread.start()
    time.sleep(0.05)
    listener.close()
    thread.join(10)
    assert accepted == [None]
    if listener.address.startswith("unix:"):
        assert not Path(listener.address[5:]).parent.exists()
    with pytest.raises(Fault) as caught:
        connect(listener.address, TOKEN)
    assert caught.value.code == "backend-unreachable"


def test_only_this_computer_and_this_user_can_reach_it() -> None:
    tcp, unix = Listener(tcp=True), Listener()
    assert tcp._socket.getsockname()[0] == "127.0.0.1" and tcp._socket.getsockname()[1] > 0
    if unix.address.startswith("unix:"):
        assert stat.S_IMODE(Path(unix.address[5:]).parent.stat().st_mode) == 0o700
    tcp.close(), unix.close()


ELSEWHERE = ["tcp:0.0.0.0:80", "tcp:example.org:80", "tcp:127.0.0.1:", "tcp:127.0.0.1:x", "tcp:127.0.0.1:99999", "tcp:127.0.0.1:\u0661"]
ELSEWHERE += ["unix:relative", "unix:", "", "http://127.0.0.1:80", "pipe:x"]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_addresses_elsewhere_are_refused(address: str) -> None:
    with pytest.raises(Fault) as caught:
        connect(address, TOKEN)
    assert caught.value.code == "backend-unreachable"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets in the file system")
def test_long_temporary_folders_fall_back_to_tcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    opened = Listener()
    assert opened.address.startswith("tcp:127.0.0.1:") and not list(folder.iterdir())
    opened.close()


def test_only_our_own_leftovers_are_removed(tmp_path: Path) -> None:
    ours, other = tmp_path / "autter-abc", tmp_path / "other"
    for folder in (ours, other):
        folder.mkdir()
        (folder / "socket").touch()
        remove_socket(f"unix:{folder / 'socket'}")
    (ours.parent / "autter-kept").mkdir()
    (ours.parent / "autter-kept" / "precious").touch()
    remove_socket(f"unix:{ours.parent / 'autter-kept' / 'precious'}")
    remove_socket("tcp:127.0.0.1:80")
    assert not ours.exists() and (other / "socket").exists() and (ours.parent / "autter-kept" / "precious").exists()


@functools.cache
def other_pythons() -> list[str]:
    """Pythons of another version with numpy: Blender's own in the folder of test environments."""
    found: dict[str, str] = {}
    for python in sorted(ROOT.glob(".venvs/*/bin/python")):
        asked = subprocess.run([python, "-c", "import numpy, sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if asked.returncode == 0 and asked.stdout.strip() != str(sys.version_info[:2]):
            found.setdefault(asked.stdout.strip(), str(python))
    return list(found.values())


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("ours_listens", [True, False])
def test_the_handshake_works_between_versions_of_python(ours_listens: bool, transport: str) -> None:
    others = other_pythons()
    if not others:
        pytest.skip("needs an environment with another version of Python")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for other in others:
        listening, connecting = (sys.executable, other) if ours_listens else (other, sys.executable)
        host = subprocess.Popen([listening, "-c", ECHO, "listen", transport], env=environment, stdout=subprocess.PIPE, text=True)
        assert host.stdout
        address = host.stdout.readline().strip()
        guest = subprocess.run([connecting, "-c", ECHO, "connect", address], env=environment, capture_output=True, text=True, timeout=60)
        assert guest.stdout.strip() == "from listen", guest.stderr
        assert host.stdout.read().strip() == "from connect" and host.wait(30) == 0
        host.stdout.close()
