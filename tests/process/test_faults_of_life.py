# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that befall the two processes: killed, put to sleep, out of time, out of room. ``docs/faults.md`` names them all."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.channel import Listener
from bridge.client import BackendState, Client
from bridge.process import RestartLimiter
from tests.bridge.shots import plain_shot, plain_track
from tests.process.backends import (
    ROOT,
    SLOW_BACKEND,
    backend_pid,
    finished,
    gather,
    is_gone,
    outcome,
    running_backend,
    saw,
    script_client,
    wait_until,
)
from tests.process.test_orphans import SECONDS, start_parent
from tests.process.waiting import WouldWait, no_waiting

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="puts processes to sleep and limits them as POSIX does"),
]

Maker = Callable[..., Client]
RUN = f"import runpy; runpy.run_path({str(SLOW_BACKEND)!r}, run_name='__main__')"


def test_parent_and_child_killed_at_once(tmp_path: Path) -> None:
    """Nobody is left to remove the socket: the next backend does."""
    parent, pid = start_parent(tmp_path, "slow", "wait")
    os.kill(pid, signal.SIGSTOP)  # so that it cannot notice its parent's end
    parent.kill()
    parent.wait(30)
    os.kill(pid, signal.SIGKILL)
    parent.stdout.close()  # type: ignore[union-attr]
    wait_until(lambda: is_gone(pid), SECONDS)
    assert list(tmp_path.glob("autter-*/socket")), "this test is about a socket that was left"
    (tmp_path / "autter-precious").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    script = "from bridge.channel import Listener; Listener().close()"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    assert [path.name for path in tmp_path.glob("autter-*")] == ["autter-precious"]


def test_a_listener_in_use_is_not_taken_for_a_stale_one() -> None:
    first = Listener()
    second = Listener()
    assert Path(first.address[5:]).is_socket()
    first.close(), second.close()


def test_several_blenders_at_once(make_client: Maker) -> None:
    clients = [make_client() for _ in range(3)]
    slow = clients[0].find_portrait("/x/slow")
    pid = backend_pid(clients[0], slow)
    jobs = [client.find_portrait("/x/fast") for client in clients[1:]]
    assert all(outcome(client, job).kind == "result" for client, job in zip(clients[1:], jobs, strict=True))
    os.kill(pid, signal.SIGKILL)
    assert outcome(clients[0], slow).header["code"] == "backend-died"
    assert all(client.state is BackendState.READY for client in clients[1:])
    assert all(outcome(client, client.find_portrait("/x/fast")).kind == "result" for client in clients)


def test_the_backend_sleeps_and_goes_on(client: Client) -> None:
    """As when the computer is put to sleep: nothing is taken for dead, and the job ends as if nothing had been."""
    job = client.find_portrait("/x/slow")
    pid = backend_pid(client, job)
    os.kill(pid, signal.SIGSTOP)
    for _ in range(100):
        client.poll()
        time.sleep(0.01)
    os.kill(pid, signal.SIGCONT)
    gather(client, saw("progress", job))
    assert client.open_jobs == {job} and client.state is BackendState.BUSY
    client.cancel(job)
    assert outcome(client, job).header["code"] == "cancelled"
    assert outcome(client, client.find_portrait("/x/fast")).kind == "result"


SLEEPER = """
import sys, time
from pathlib import Path
from tests.process.backends import backend_pid, finished, gather, slow_client
client = slow_client(Path(sys.argv[1]))
print(backend_pid(client, client.find_portrait("/x/slow")), flush=True)
sys.stdin.readline()
job = client.find_portrait("/x/fast")
for open_job in client.open_jobs - {job}:
    client.cancel(open_job)
print([event.kind for event in gather(client, finished(job)) if event.job == job][-1], flush=True)
client.close()
"""


def test_blender_sleeps_and_the_backend_waits_for_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SLEEPER, str(tmp_path)]
    parent = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin and parent.stdout
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGSTOP)
    time.sleep(3.0)  # longer than the backend's look at its parent takes
    assert not is_gone(pid)
    parent.send_signal(signal.SIGCONT)
    said, _ = parent.communicate("go on\n", timeout=60)
    assert said.strip() == "result" and parent.returncode == 0
    wait_until(lambda: is_gone(pid))


@pytest.mark.parametrize("jump", [86400.0, -86400.0], ids=["ahead", "back"])
def test_the_clock_is_set(jump: float, make_client: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Summer time, a time server, a hand: on both sides, in the middle of a job."""
    jumping = f"import time; true = time.time; start = true(); time.time = lambda: true() + ({jump} if true() > start + 0.3 else 0.0)"
    client = make_client(script_client, f"{jumping}; {RUN}", limiter=RestartLimiter(most=2))
    job = client.find_portrait("/x/slow")
    gather(client, saw("progress", job))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    time.sleep(0.3)
    events = gather(client, lambda events: sum(event.kind == "progress" for event in events) >= 5)
    assert all(event.header["eta_s"] is None or 0 < event.header["eta_s"] < 6000 for event in events if event.kind == "progress")
    client.cancel(job)
    assert outcome(client, job).header["code"] == "cancelled" and outcome(client, client.find_portrait("/x/fast")).kind == "result"


def test_nobody_reads_its_output() -> None:
    """A backend started by another program, which never looks at its standard output again."""
    with running_backend() as backend:
        talk = backend.talk()
        talk.send("portrait", 1, path="/x/noisy")  # two megabytes: more than any pipe holds
        assert talk.next("result", 1)
        talk.channel.release()


def test_floods_of_log_lines_are_cut(client: Client, tmp_path: Path) -> None:
    for _ in range(2):
        assert outcome(client, client.find_portrait("/x/noisy")).kind == "result"
    client.close()
    kept = list((tmp_path / "logs").iterdir())
    assert len(kept) <= 3 and sum(path.stat().st_size for path in kept) < 4 * 2**20
    assert client._session is None


def test_a_client_that_does_not_poll(client: Client) -> None:
    """Blender hangs in a modal operator for a while: progress is dropped, the result is not."""
    import bridge.session

    job = client.find_portrait("/x/fast")
    slow = client.find_portrait("/x/slow")
    session = client._session
    assert session is not None
    most, bridge.session.MOST_WAITING = bridge.session.MOST_WAITING, 5
    try:
        wait_until(lambda: session.arrivals.qsize() > 0)  # the backend is there
        time.sleep(2.0)
        assert session.arrivals.qsize() < 40
    finally:
        bridge.session.MOST_WAITING = most
    client.cancel(slow)
    events = gather(client, lambda events: finished(slow)(events) and finished(job)(events))
    assert any(event.job == job and event.kind == "result" for event in events)


def test_more_memory_is_wanted_than_there_is(make_client: Maker) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({4 * 2**30}, {4 * 2**30})); {RUN}"
    client = make_client(script_client, limited)
    failed = outcome(client, client.find_portrait("/x/hungry")).header
    assert failed["code"] == "out-of-memory" and "Free memory" in failed["hint"]
    assert outcome(client, client.find_portrait("/x/fast")).kind == "result"


def test_the_system_takes_the_backend_for_its_memory(client: Client) -> None:
    """Linux kills what has grown too large; the sentence says that it may have been that."""
    job = client.find_portrait("/x/slow")
    os.kill(backend_pid(client, job), signal.SIGKILL)
    failed = outcome(client, job).header
    assert "out of memory" in failed["hint"] and "Run it again" in failed["hint"]


def filming(client: Client, folder: Path, name: str = "movie.mp4") -> tuple[int, Path]:
    """A render by the real movie writer, under way: its job and its movie."""
    folder.mkdir(exist_ok=True)
    movie = folder / name
    job = client.render(plain_shot("film"), plain_track(), movie)
    gather(client, lambda _: bool(list(folder.glob(".*.partial"))))  # the encoder gathers frames before it writes
    return job, movie


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda number: number.name)
def test_killed_in_the_middle_of_a_movie(number: signal.Signals, client: Client, tmp_path: Path) -> None:
    client.start()
    pid = backend_pid(client)
    former = tmp_path / "takes" / "movie.mp4"
    former.parent.mkdir()
    former.write_bytes(b"the take of yesterday")
    job, movie = filming(client, tmp_path / "takes")
    os.kill(pid, number)
    assert outcome(client, job).header["code"] in ("backend-died", "cancelled")
    wait_until(lambda: not client.open_jobs)
    assert [path.name for path in movie.parent.iterdir()] == ["movie.mp4"] and movie.read_bytes() == b"the take of yesterday"


def test_blender_quits_in_the_middle_of_a_movie(client: Client, tmp_path: Path) -> None:
    _, movie = filming(client, tmp_path / "takes")
    client.close(5.0)
    assert not list(movie.parent.iterdir())


FILMER = """
import sys, time
from pathlib import Path
from bridge.reservations import reserve
from tests.bridge.shots import plain_shot, plain_track
from tests.process.backends import backend_pid, gather, slow_client
client, movie, kind = slow_client(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
assert reserve(movie)
pid = backend_pid(client, client.render(plain_shot(kind), plain_track(), movie))
gather(client, lambda _: bool(list(movie.parent.glob(".*.partial"))))
gather(client, lambda _: kind == "film" or (movie.parent.parent / "stuck").exists())
print(pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("kind", ["film", "stuck"])
def test_blender_is_killed_in_the_middle_of_a_movie(kind: str, tmp_path: Path) -> None:
    """The backend takes the half-written movie along, and the movie's name that Blender can no longer give back.

    ``film``: it ends within the moment that it takes Blender to die. ``stuck``: its renderer does not look up before it must go.
    """
    takes = tmp_path / "takes"
    takes.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FILMER, str(tmp_path), str(takes / "movie.mp4"), kind]
    blender = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert blender.stdout
    pid = int(blender.stdout.readline())
    assert len(list(takes.iterdir())) == 2, "this test is about a movie under way and its name"
    killed = time.monotonic()
    blender.kill()
    wait_until(lambda: is_gone(pid))
    took = time.monotonic() - killed
    blender.wait()
    blender.stdout.close()
    assert not list(takes.iterdir())
    assert kind == "film" or took > 2.0, "the renderer was to be stuck"


def test_the_disk_becomes_full_in_the_middle_of_a_movie(make_client: Maker, tmp_path: Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)); {RUN}"
    client = make_client(script_client, limited)
    (tmp_path / "takes").mkdir()
    failed = outcome(client, client.render(plain_shot("film"), plain_track(), tmp_path / "takes" / "movie.mp4")).header
    assert failed["code"] == "disk-full" and failed["hint"] and not list((tmp_path / "takes").iterdir())
    assert outcome(client, client.find_portrait("/x/fast")).kind == "result"


FULL_DISK = """
import sys
from pathlib import Path
from tests.bridge.shots import plain_shot, plain_track
from tests.process.backends import outcome, slow_client
disk = Path(sys.argv[1])
client = slow_client(Path(sys.argv[2]))
failed = outcome(client, client.render(plain_shot("film"), plain_track(), disk / "takes" / "movie.mp4"), 120).header
left = [path.name for path in disk.rglob("*") if path.is_file()]
after = outcome(client, client.find_portrait("/x/fast")).kind
client.close()
print(failed["code"], left, after, sep="|")
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk of its own")
def test_a_small_disk_is_really_full(tmp_path: Path) -> None:
    """A disk of one megabyte, in a space of mounts that ends with the test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, str(disk), sys.executable, "-c", FULL_DISK, str(disk), str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=180)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this computer gives out no spaces of mounts")
    assert done.stdout.strip() == "disk-full|[]|result", done.stdout + done.stderr


def test_memory_is_given_back_when_nobody_asks_for_long(make_client: Maker, tmp_path: Path) -> None:
    """Once after a job, not again and again; and the next job is done as ever."""
    client = make_client(environment={"AUTTER_IDLE_SECONDS": "0.4"})
    log = tmp_path / "logs" / "backend.log"
    for times in (1, 2):
        assert outcome(client, client.find_portrait("/x/fast")).kind == "result"
        gather(client, saw("status"))  # the one that tells what memory is held now
        wait_until(lambda times=times: log.read_text().count("memory freed") == times)  # type: ignore[misc]
    time.sleep(1.5)
    assert log.read_text().count("memory freed") == 2


def test_the_folder_of_a_movie_is_taken_away(client: Client, tmp_path: Path) -> None:
    job, movie = filming(client, tmp_path / "takes")
    for path in movie.parent.iterdir():
        path.unlink()
    movie.parent.rmdir()
    client.cancel(job)
    assert outcome(client, job).header["code"] in ("cancelled", "path-invalid", "folder-read-only")
    assert outcome(client, client.find_portrait("/x/fast")).kind == "result" and not movie.exists()


@pytest.mark.parametrize(
    "place",
    ["a file/movie.mp4", "folder/folder.mp4", "folder/" + "x" * 300 + ".mp4", "/proc/movie.mp4"],
    ids=["file", "folder", "long", "proc"],
)
def test_places_where_no_movie_can_be(place: str, client: Client, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("precious")
    (tmp_path / "folder" / "folder.mp4").mkdir(parents=True)
    failed = outcome(client, client.render(plain_shot("film"), plain_track(), tmp_path / place)).header
    assert failed["code"] in ("folder-read-only", "path-invalid") and failed["hint"]
    assert (tmp_path / "a file").read_text() == "precious" and os.listdir(tmp_path / "folder") == ["folder.mp4"]


def test_a_slow_disk_does_not_hold_up_a_cancel(make_client: Maker, tmp_path: Path) -> None:
    """Every write of the log takes a second: the job is cancelled all the same, and Blender never waits."""
    slow = "import logging, time; true = logging.StreamHandler.emit; logging.StreamHandler.emit = lambda *a: (time.sleep(1.0), true(*a))"
    client = make_client(script_client, f"{slow}; {RUN}")
    job = client.find_portrait("/x/slow")
    gather(client, saw("progress", job))
    client.cancel(job)
    assert outcome(client, job).header["code"] == "cancelled"


def test_out_of_open_files(client: Client) -> None:
    """This process may open no more files: the start fails in a sentence, and works again later."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    try:
        failed = outcome(client, client.find_portrait("/x/fast")).header
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert failed["code"] in ("backend-start-failed", "internal") and failed["sentence"]
    assert outcome(client, client.find_portrait("/x/fast")).kind == "result"


def test_a_job_lost_with_its_backend_is_done_by_the_next(client: Client) -> None:
    client.start()
    pid = backend_pid(client)
    job, waiting = client.find_portrait("/x/slow"), client.find_portrait("/x/fast")
    gather(client, saw("progress", job))
    os.kill(pid, signal.SIGKILL)
    events = gather(client, lambda events: all(finished(number)(events) for number in (job, waiting)))
    lost = {event.job for event in events if event.kind == "failed" and event.header["code"] == "backend-died"}
    assert lost == {job, waiting}, "a job was neither done nor called lost"
    again = [client.find_portrait("/x/fast") for _ in lost]
    results = gather(client, lambda events: all(finished(number)(events) for number in again))
    assert {event.job for event in results if event.kind == "result"} == set(again)


def test_the_watch_over_waiting_sees_what_waits(tmp_path: Path) -> None:
    """The check of this folder's conftest would see a client that waits."""
    import queue
    import socket
    import threading

    held, (near, far) = threading.Lock(), socket.socketpair()
    held.acquire()
    waits = [lambda: time.sleep(0), lambda: near.send(b"x"), lambda: (tmp_path / "x").write_text("x")]
    waits += [lambda: held.acquire(timeout=0.01), lambda: subprocess.run(["true"]), lambda: queue.SimpleQueue().get(timeout=0)]
    for number, wait in enumerate(waits):
        with pytest.raises((WouldWait, queue.Empty)) as caught, no_waiting():
            wait()
        assert caught.type is WouldWait or number == len(waits) - 1
    with no_waiting():
        json.dumps([1])
    near.close(), far.close()
