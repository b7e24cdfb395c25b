# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting backends and clients for the process tests, and waiting for what they do."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge import PROTOCOL, VERSION
from bridge.channel import Channel, connect
from bridge.client import Client, Event
from bridge.messages import Message, decode, encode

ROOT = Path(__file__).resolve().parents[2]
SLOW_BACKEND = Path(__file__).with_name("slow_backend.py")
PATIENCE = 30.0  # seconds: a busy machine is slow to start a Python


def slow_client(folder: Path, **options: Any) -> Client:
    """A client of the slow backend that keeps its log in ``folder``."""
    options.setdefault("command", [sys.executable, "-P", "-su", str(SLOW_BACKEND)])
    environment = {"PYTHONPATH": str(ROOT), **options.pop("environment", {})}
    return Client(sys.executable, environment=environment, log_path=folder / "logs" / "backend.log", **options)


def script_client(folder: Path, script: str, **options: Any) -> Client:
    """A client whose backend is the Python program ``script``."""
    return slow_client(folder, command=[sys.executable, "-P", "-su", "-c", script], **options)


def gather(client: Client, enough: Callable[[list[Event]], bool], patience: float = PATIENCE) -> list[Event]:
    """Polls until ``enough(events so far)``; all events. Fails after ``patience`` seconds."""
    events: list[Event] = []
    ends = time.monotonic() + patience
    while not enough(events):
        assert time.monotonic() < ends, f"waited in vain; state {client.state}, events {[(event.kind, event.header) for event in events]}"
        events += client.poll()
        time.sleep(0.01)
    return events


def finished(job: int) -> Callable[[list[Event]], bool]:
    """Whether the events hold the end of ``job``."""
    return lambda events: any(event.job == job and event.kind in ("result", "failed") for event in events)


def saw(kind: str, job: int | None = None) -> Callable[[list[Event]], bool]:
    """Whether the events hold one of that kind."""
    return lambda events: any(event.kind == kind and event.job == job for event in events)


def outcome(client: Client, job: int, patience: float = PATIENCE) -> Event:
    """The event that ends ``job``."""
    return next(event for event in gather(client, finished(job), patience) if event.job == job and event.kind in ("result", "failed"))


def backend_pid(client: Client, job: int | None = None) -> int:
    """Process id of the client's backend, once it is ready or, if a job is given, once it works on that."""
    events = gather(client, saw("hello") if job is None else saw("started", job))
    return next(int(event.header["pid"]) for event in events if event.kind == "hello")


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a dead one that nobody has collected yet counts as ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return not Path("/proc/self").exists() or is_gone(pid)


def wait_until(true: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Waits until ``true()``; fails after ``patience`` seconds."""
    ends = time.monotonic() + patience
    while not true():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)


class RunningBackend:
    """A slow backend started without a client: ``address``, ``token`` and the process."""

    def __init__(self, process: subprocess.Popen[bytes], token: str, ready: dict[str, Any]) -> None:
        self.process, self.token, self.ready = process, token, ready
        self.address = str(ready["address"])

    def talk(self) -> Talk:
        """A new connection that has said hello."""
        talk = Talk(connect(self.address, self.token))
        talk.send("hello", protocol=PROTOCOL, version=VERSION)
        assert talk.next("hello").fields["protocol"] == PROTOCOL
        return talk


class Talk:
    """A bare connection: sends requests and receives events one by one."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def send(self, kind: str, job: int | None = None, **fields: Any) -> None:
        """Sends a request without arrays."""
        self.channel.send(encode(Message(kind, job, fields)))

    def next(self, kind: str, job: int | None = None) -> Message:
        """The next event of that kind and job; others are skipped."""
        while True:
            message = decode(self.channel.receive())
            if (message.kind, message.job) == (kind, job):
                return message


@contextmanager
def running_backend() -> Iterator[RunningBackend]:
    """A slow backend that ends with the block."""
    token = secrets.token_hex(32)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-su", str(SLOW_BACKEND)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps({"token": token}).encode() + b"\n")
        process.stdin.flush()
        yield RunningBackend(process, token, json.loads(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
