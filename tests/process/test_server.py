# SPDX-License-Identifier: GPL-3.0-or-later
"""The server among good and bad clients: whoever misbehaves is dropped, the others are served on."""

from __future__ import annotations

import json
import os
import struct
import threading

import pytest

from bridge import PROTOCOL, VERSION
from bridge.channel import connect
from bridge.faults import Fault
from bridge.messages import Message, decode, encode, pack_shot
from tests.bridge.shots import plain_shot, plain_track
from tests.process.backends import RunningBackend, Talk
from tests.process.test_channel import bare

pytestmark = pytest.mark.process


def dropped(talk: Talk) -> Message | None:
    """Reads until the server hangs up; the last event."""
    last = None
    try:
        while True:
            last = decode(talk.channel.receive())
    except (EOFError, OSError):
        talk.channel.release()
        return last


def serves_well(talk: Talk, job: int) -> bool:
    """Whether a small job gets its result."""
    talk.send("portrait", job, path="/x/fast")
    return talk.next("result", job).fields["portrait_size"] == [640, 480]


def test_the_wrong_token_is_refused(backend: RunningBackend) -> None:
    good = backend.talk()
    with pytest.raises(Fault) as caught:
        connect(backend.address, "0" * 64)
    assert caught.value.code == "token-wrong"
    assert serves_well(good, 1)
    good.channel.release()


def test_garbage_on_the_socket_while_a_good_client_is_served(backend: RunningBackend) -> None:
    good = backend.talk()
    good.send("portrait", 1, path="/x/slow")
    good.next("progress", 1)
    strangers = [bare(backend.address) for _ in range(6)]
    for stranger, data in zip(
        strangers, (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"\xff" * 9, struct.pack("!i", 2**31 - 1)), strict=False
    ):
        stranger.sendall(data)  # and then they stay, saying nothing more
    inside = Talk(connect(backend.address, backend.token))  # this one knows the token, but not the protocol
    inside.channel.send(os.urandom(300))
    assert (last := dropped(inside)) is not None and last.fields["code"] == "message-malformed"
    good.next("progress", 1)
    good.send("cancel", 1)
    assert good.next("failed", 1).fields["code"] == "cancelled"
    assert serves_well(good, 2)
    for stranger in strangers:
        stranger.close()
    good.channel.release()


@pytest.mark.parametrize("protocol", [PROTOCOL + 1, PROTOCOL - 1, None, "1"])
def test_another_protocol_version_is_told_who_is_too_old(protocol: object, backend: RunningBackend) -> None:
    talk = Talk(connect(backend.address, backend.token))
    talk.send("hello", protocol=protocol, version="7.7")
    assert talk.next("hello").fields["protocol"] == PROTOCOL  # so that the other side can say it, too
    last = dropped(talk)
    assert last is not None and last.fields["code"] == "protocol-mismatch"
    newer = isinstance(protocol, int) and protocol > PROTOCOL
    assert f"the {'backend' if newer else 'add-on'} is too old" in last.fields["sentence"] and VERSION in last.fields["sentence"]


def test_who_does_not_say_hello_is_dropped(backend: RunningBackend) -> None:
    talk = Talk(connect(backend.address, backend.token))
    talk.send("portrait", 1, path="/x/fast")
    last = dropped(talk)
    assert last is not None and last.fields["code"] == "hello-missing"


@pytest.mark.parametrize(
    "frame",
    [struct.pack("!i", 1000) + b"AUT1", struct.pack("!iQ", -1, 2**62), struct.pack("!i", -5)],
    ids=["truncated", "oversized", "negative"],
)
def test_bad_frames_end_their_own_connection(frame: bytes, backend: RunningBackend) -> None:
    good, bad = backend.talk(), backend.talk()
    os.write(bad.channel._connection.fileno(), frame)
    bad.channel._waker.shutdown(1)  # nothing more will come
    dropped(bad)
    assert serves_well(good, 1)
    good.channel.release()


def test_bad_requests_fail_and_the_connection_stays(backend: RunningBackend) -> None:
    talk = backend.talk()
    talk.send("dance", 1)
    assert talk.next("failed", 1).fields["code"] == "request-unknown"
    for job, path in enumerate((None, "", 3, "relative.png", "/nul\0l"), 2):
        talk.send("portrait", job, path=path)
        assert talk.next("failed", job).fields["code"] == "path-invalid"
    talk.send("predict", 20)
    assert talk.next("failed", 20).fields["code"] == "message-malformed"
    fields, arrays = pack_shot(plain_shot("fast"))
    talk.channel.send(encode(Message("predict", 21, {**fields, "shot": {**fields["shot"], "fps": [25, 0]}}, arrays)))
    assert talk.next("failed", 21).fields["code"] == "frame-rate"
    talk.send("cancel", 99)  # no such job: nothing happens
    assert serves_well(talk, 30)
    talk.channel.release()


def test_a_number_is_used_by_one_open_job_at_a_time(backend: RunningBackend) -> None:
    talk = backend.talk()
    talk.send("portrait", 1, path="/x/slow")
    talk.next("progress", 1)
    talk.send("portrait", 1, path="/x/fast")
    assert talk.next("failed", 1).fields["code"] == "job-duplicate"
    talk.send("cancel", 1)
    assert talk.next("failed", 1).fields["code"] == "cancelled"
    assert serves_well(talk, 1)
    talk.channel.release()


def test_two_clients_use_the_same_numbers(backend: RunningBackend) -> None:
    first, second = backend.talk(), backend.talk()
    first.send("portrait", 1, path="/x/slow")
    first.next("progress", 1)
    second.send("portrait", 1, path="/x/fast")
    assert second.next("queued", 1).fields["ahead"] == 1
    second.send("cancel", 5)
    first.next("progress", 1)
    second.send("status")
    assert second.next("status").fields["state"] == "busy"
    first.send("cancel", 1)
    assert first.next("failed", 1).fields["code"] == "cancelled"
    assert second.next("result", 1)
    first.channel.release()
    second.channel.release()


def test_a_client_that_leaves_takes_its_jobs_along(backend: RunningBackend) -> None:
    leaving, staying = backend.talk(), backend.talk()
    for job in (1, 2, 3):
        leaving.send("portrait", job, path="/x/slow")
    leaving.next("progress", 1)
    leaving.channel.release()
    assert serves_well(staying, 1)  # would wait three minutes for the others
    staying.send("status")
    assert staying.next("status").fields["waiting"] == 0
    staying.channel.release()


def test_a_client_that_stops_reading_does_not_hold_up_the_worker(backend: RunningBackend) -> None:
    deaf, other = backend.talk(), backend.talk()
    fields, arrays = pack_shot(plain_shot("fast", 20_000))
    for job in range(1, 5):  # each result is 26 MB, more than any socket takes unread
        deaf.channel.send(encode(Message("predict", job, fields, arrays)))
    assert serves_well(other, 1)
    assert deaf.next("result", 4).arrays["landmarks"].shape == (20_000, 162, 2)  # nothing was lost for it
    deaf.channel.release()
    other.channel.release()


def test_free_memory_tells_everybody(backend: RunningBackend) -> None:
    talk = backend.talk()
    talk.send("free_memory")
    status = talk.next("status").fields
    assert status["state"] == "idle" and status["memory_mb"] > 5 and status["version"] == VERSION
    while not status["device"]:  # told a second after the start
        status = talk.next("status").fields
    assert status["device"] == "test device"
    talk.channel.release()


def test_many_connections_that_say_nothing(backend: RunningBackend) -> None:
    good = backend.talk()
    strangers = [bare(backend.address) for _ in range(40)]
    assert serves_well(good, 1)
    for stranger in strangers:
        stranger.close()
    tries = []
    for _ in range(50):  # the seats become free again as the strangers are gone
        try:
            tries.append(backend.talk())
            break
        except Fault:
            threading.Event().wait(0.1)
    assert tries and serves_well(tries[0], 1)
    tries[0].channel.release()
    good.channel.release()


def test_the_token_is_in_no_ready_line(backend: RunningBackend) -> None:
    assert backend.token not in json.dumps(backend.ready) and "token" not in backend.ready
    with open(f"/proc/{backend.ready['pid']}/cmdline", "rb") as file:
        assert backend.token.encode() not in file.read()


def test_render_with_bad_arguments(backend: RunningBackend) -> None:
    talk = backend.talk()
    fields, arrays = pack_shot(plain_shot("fast"), plain_track())
    for job, frames in enumerate(([3, 3], [5, 2], [0, 11], [-1, 4], "all", [1], [1.0, 2.0], {}), 1):
        talk.channel.send(encode(Message("render", job, {**fields, "out_path": "/x/m.mp4", "frames": frames}, arrays)))
        assert talk.next("failed", job).fields["code"] == "frame-invalid"
    talk.channel.release()
