# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the process tests. Every test ends with the check that nothing is left, and no call of a client may wait or work long."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from bridge.client import Client
from tests.process.backends import RunningBackend, is_gone, running_backend, slow_client, wait_until
from tests.process.waiting import no_waiting

PATIENCE = 20.0  # seconds in which what ends behind our back must have ended
LONGEST_CALL = 0.005  # seconds of processor time, the watch over it included: what other programs take of the computer does not count
CHANCE = 1  # call of a test may be longer: a virtual computer's pause counts as the work of whoever it befalls
calls: list[tuple[float, str]] = []  # of all clients of this run: seconds and name
REQUESTS = ("start", "find_portrait", "predict", "render", "preview_frame", "capture", "cancel", "free_memory", "request_status", "poll")


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[Path]:
    """Sockets and temporary files of these tests and their backends, where nobody else's lie. Short: a socket's path may not be long."""
    folder = Path(tempfile.mkdtemp(prefix="ap-", dir="/tmp" if Path("/tmp").is_dir() else None))
    former, os.environ["TMPDIR"] = os.environ.get("TMPDIR"), str(folder)
    tempfile.tempdir = None
    yield folder
    os.environ.pop("TMPDIR")
    if former is not None:
        os.environ["TMPDIR"] = former
    tempfile.tempdir = None
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def nothing_left(own_temporary_folder: Path, tmp_path: Path) -> Iterator[None]:
    """After every test: no process, socket, thread of ours, temporary file or half-written file more than before it."""
    before = left_now(own_temporary_folder)
    yield
    ends = time.monotonic() + PATIENCE
    while more := {name: found - before[name] for name, found in left_now(own_temporary_folder).items() if found - before[name]}:
        assert time.monotonic() < ends, f"left behind: {more}"
        time.sleep(0.02)
    half = [path for path in tmp_path.rglob("*") if path.name.startswith(".") and path.name.endswith((".partial", ".probe"))]
    assert not half, f"half-written: {half}"


def left_now(temporary: Path) -> dict[str, set[str]]:
    """Children, sockets and threads of this process, and what lies in its temporary folder."""
    found: dict[str, set[str]] = {"threads": {f"{thread.name} {id(thread)}" for thread in threading.enumerate() if "autter" in thread.name}}
    found["temporary files"] = {entry.name for entry in temporary.iterdir() if not entry.name.startswith("pytest")}
    if Path("/proc/self/task").is_dir():
        found["processes"] = {pid for path in Path("/proc/self/task").glob("*/children") for pid in read(path).split()}
        found["sockets"] = {link for link in map(target, Path("/proc/self/fd").iterdir()) if link.startswith("socket:")}
    return found


def read(path: Path) -> str:
    """The text of a file that may be gone."""
    try:
        return path.read_text()
    except OSError:
        return ""


def target(link: Path) -> str:
    """Where a link points, empty once it is gone."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


@pytest.fixture(autouse=True)
def no_call_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request and every poll of every client here runs under ``no_waiting``, and its own work is timed."""

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*given: Any, **named: Any) -> Any:
            gc.disable()  # the rubbish of a whole test run, collected by chance in here, is not the call's work
            began = time.thread_time()
            try:
                with no_waiting():
                    return method(*given, **named)
            finally:
                calls.append((time.thread_time() - began, method.__name__))
                gc.enable()

        return call

    if sys.gettrace() is None:  # a debugger or a coverage tool has the place
        for name in REQUESTS:
            monkeypatch.setattr(Client, name, watched(getattr(Client, name)))


@pytest.fixture(autouse=True)
def no_call_works_long(no_call_waits: None) -> Iterator[None]:
    """After every test: its calls kept the main thread no longer than Blender's picture may stand still."""
    before = len(calls)
    yield
    long = [f"{name} took {seconds * 1000:.1f} ms" for seconds, name in calls[before:] if seconds > LONGEST_CALL]
    assert len(long) <= CHANCE, long


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints what the calls of the add-on's client took."""
    if calls:
        seconds = sorted(calls)
        longest, half, over = seconds[-1], seconds[len(seconds) // 2], sum(found > LONGEST_CALL for found, _ in seconds)
        terminalreporter.write_line(
            f"{len(calls)} calls of the add-on's client: none waited; the longest worked {longest[0] * 1000:.2f} ms ({longest[1]}), "
            f"half of them no longer than {half[0] * 1000:.3f} ms, {over} over {LONGEST_CALL * 1000:.0f} ms"
        )


@pytest.fixture
def make_client(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Makes clients, by default of the slow backend, and closes them."""
    made: list[Client] = []

    def make(maker: Callable[..., Client] = slow_client, *arguments: Any, **options: Any) -> Client:
        made.append(maker(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    pids = [client._session._process.pid for client in made if client._session and client._session._process]
    for client in made:
        client.close()
    for pid in pids:
        wait_until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """A client of the slow backend."""
    return make_client()


@pytest.fixture(scope="module")
def backend() -> Iterator[RunningBackend]:
    """One slow backend for all tests of a file."""
    with running_backend() as running:
        yield running
