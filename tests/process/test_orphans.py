# SPDX-License-Identifier: GPL-3.0-or-later
"""However the parent ends, the backend ends with it and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.backends import ROOT, SLOW_BACKEND, is_gone, running_backend, wait_until

pytestmark = pytest.mark.process

SECONDS = 10.0  # what a backend gets to notice; it needs far less unless the machine is busy

PARENT = """
import sys, time
from pathlib import Path
from tests.process.backends import backend_pid, slow_client
client = slow_client(Path(sys.argv[1]))
job = client.find_portrait("/x/" + sys.argv[2])
pid = backend_pid(client, job)
print(pid, flush=True)
if sys.argv[3] == "wait":
    time.sleep(600)
if sys.argv[3] == "raise":
    raise RuntimeError("the add-on stumbled")
"""


def start_parent(folder: Path, job: str, end: str) -> tuple[subprocess.Popen[str], int]:
    """A program with a client whose backend works on ``job``; the program and the backend's process id."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    command = [sys.executable, "-c", PARENT, str(folder), job, end]
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert parent.stdout
    return parent, int(parent.stdout.readline())


@pytest.mark.parametrize(("job", "end"), [("slow", "kill"), ("deaf", "kill"), ("slow", "term"), ("slow", "return"), ("slow", "raise")])
def test_the_backend_ends_with_its_parent(job: str, end: str, tmp_path: Path) -> None:
    parent, pid = start_parent(tmp_path, job, "wait" if end in ("kill", "term") else end)
    if end in ("kill", "term"):
        parent.send_signal(signal.SIGKILL if end == "kill" else signal.SIGTERM)
    parent.wait(30)
    parent.stdout.close()  # type: ignore[union-attr]
    wait_until(lambda: is_gone(pid), SECONDS)
    assert not list(tmp_path.glob("autter-*")), "the socket was left behind"


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_the_backend_ends_although_its_input_stays_open(tmp_path: Path) -> None:
    """A program that inherited the pipe keeps it open: the parent's death must be noticed in another way."""
    holder = "import os, subprocess, sys; from tests.process.test_orphans import held; held(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    read, write = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", holder, str(read)], env=environment, pass_fds=[read], stdout=subprocess.PIPE, text=True
    )
    os.close(read)
    os.write(write, json.dumps({"token": "5" * 64}).encode() + b"\n")
    assert parent.stdout
    pid = int(json.loads(parent.stdout.readline())["pid"])
    parent.kill()
    parent.wait()
    wait_until(lambda: is_gone(pid), SECONDS)
    os.close(write)
    parent.stdout.close()


def held(descriptor: str) -> None:
    """A parent that starts a backend whose input somebody else holds open."""
    subprocess.run([sys.executable, "-P", "-su", str(SLOW_BACKEND)], stdin=int(descriptor))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_orderly(number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("this signal is ignored here, as under nohup, and so it is by the backend")
    with running_backend() as backend:
        talk = backend.talk()
        talk.send("portrait", 1, path="/x/slow")
        talk.next("progress", 1)
        backend.process.send_signal(number)
        assert backend.process.wait(SECONDS) == 0
        talk.channel.release()
    assert not Path(backend.address[5:]).parent.exists()


def test_a_client_may_ask_it_to_end() -> None:
    with running_backend() as backend:
        talk = backend.talk()
        talk.send("shutdown")
        assert backend.process.wait(SECONDS) == 0
        talk.channel.release()


@pytest.mark.parametrize(
    "first_line",
    [b"", b"\n", b"hello\n", b'{"token": 3}\n', b'{"token": "short"}\n', b"[]\n", b"\xff" * 10_000],
    ids=lambda line: repr(line[:20]),
)
def test_without_a_token_it_does_not_start(first_line: bytes) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(SLOW_BACKEND)], input=first_line, env=environment, capture_output=True, timeout=60)
    assert done.returncode != 0 and done.stdout == b"" and b"without a token" in done.stderr


def test_by_hand_it_makes_a_token_and_shows_it() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(SLOW_BACKEND), "--no-parent-watch"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    assert process.stdout
    ready = json.loads(process.stdout.readline())
    assert len(ready["token"]) == 64 and process.poll() is None
    process.terminate()
    assert process.wait(SECONDS) == 0
    process.stdout.close()


SLEEPER = """
import os, signal, threading
from backend.serve.lifeline import handle_signals
handle_signals(lambda reason: os._exit(0 if reason == "SIGTERM" else 1))
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("asleep", flush=True)
threading.Event().wait()
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="threads' signal masks are POSIX's")
def test_a_signal_is_heard_while_the_main_thread_sleeps_through_it() -> None:
    """As when a signal comes just before the main thread falls asleep: a handler in Python would not run until it wakes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], env=environment, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    process.terminate()
    try:
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.stdout.close()
