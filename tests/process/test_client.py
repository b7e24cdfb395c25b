# SPDX-License-Identifier: GPL-3.0-or-later
"""The client and its backend process: jobs, cancellation, death and restart, and every way a start can fail."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bridge import PROTOCOL, VERSION
from bridge.client import BackendState, Client
from bridge.process import Backoff, Ready, RestartLimiter, command_line
from bridge.shot import Track
from tests.bridge.shots import plain_shot, plain_track
from tests.process.backends import ROOT, SLOW_BACKEND, backend_pid, finished, gather, is_gone, outcome, saw, script_client, wait_until

pytestmark = pytest.mark.process

Maker = Callable[..., Client]


def test_every_request_gets_its_result(client: Client, tmp_path: Path) -> None:
    assert client.state is BackendState.OFF
    shot, track, out = plain_shot("fast", 50), plain_track(50), tmp_path / "Ünï cödé" / "movie.bin"
    out.parent.mkdir()
    jobs = [
        client.find_portrait("/pictures/fast"),
        client.predict(shot),
        client.render(shot, track, out, (0, 20)),
        client.preview_frame(shot, track, 7),
    ]
    assert client.state is BackendState.STARTING and client.open_jobs == set(jobs)
    events = gather(client, finished(jobs[-1]))
    results = {jobs.index(event.job) + 1: event for event in events if event.kind == "result" and event.job is not None}
    assert results[1].header["portrait_size"] == [640, 480] and results[1].arrays["mesh"].shape == (478, 3)
    predicted = Track.from_message(results[2].header, results[2].arrays)
    assert predicted.landmarks.shape == (50, 162, 2) and predicted.fps == shot.fps
    assert results[3].header["path"] == str(out) and results[3].header["report"] == {"frames": 50} and out.read_bytes() == b"half"
    assert np.array_equal(results[4].arrays["image"], np.full((48, 64, 3), 7, np.uint8))
    for job in jobs:
        kinds = [event.kind for event in events if event.job == job]
        assert kinds[:2] == ["queued", "started"] and kinds[-1] == "result"
    previews = [event.arrays["image"] for event in events if event.kind == "preview"]
    assert previews and previews[0].shape == (500, 400, 3)  # halved, for a quick look
    assert client.state is BackendState.READY and not client.open_jobs
    gather(client, lambda _: client.device != "")  # told once the jobs are done
    assert client.device == "test device"


def test_the_state_is_busy_while_jobs_are_open(client: Client) -> None:
    job = client.find_portrait("/x/slow")
    gather(client, saw("progress", job))
    assert client.state is BackendState.BUSY and client.memory_mb > 5 and client.backend_version
    client.cancel(job)
    assert outcome(client, job).header["code"] == "cancelled"
    assert client.state is BackendState.READY and client.last_fault is None


def test_cancelling_a_waiting_job_leaves_the_running_one(client: Client) -> None:
    running, waiting, last = client.find_portrait("/x/slow"), client.find_portrait("/x/slow"), client.find_portrait("/x/fast")
    gather(client, saw("progress", running))
    client.cancel(waiting)
    assert outcome(client, waiting).header["code"] == "cancelled"
    assert client.open_jobs == {running, last}
    client.cancel(running)
    assert outcome(client, last).kind == "result"


def test_a_cancelled_render_leaves_no_file(client: Client, tmp_path: Path) -> None:
    job = client.render(plain_shot("slow"), plain_track(), tmp_path / "movie.mp4")
    gather(client, saw("progress", job))
    client.cancel(job)
    assert outcome(client, job).header["code"] == "cancelled"
    assert not list(tmp_path.glob("movie*"))


def test_progress_comes_at_most_ten_times_a_second(client: Client) -> None:
    job = client.find_portrait("/x/slow")
    events = gather(client, lambda events: sum(event.kind == "progress" for event in events) >= 8)
    reports = [event.header for event in events if event.kind == "progress"]
    assert reports[0]["done"] == 0 and reports[0]["eta_s"] is None and reports[-1]["phase"] == "waiting"
    assert all(later["done"] - earlier["done"] >= 2 for earlier, later in zip(reports, reports[1:], strict=False))  # a step takes 10 ms
    assert 10 < reports[-1]["eta_s"] < 6000
    client.cancel(job)


def test_a_bug_in_a_job_fails_that_job_alone(client: Client) -> None:
    stumbling, next_one = client.find_portrait("/x/stumble"), client.find_portrait("/x/fast")
    failed = outcome(client, stumbling).header
    assert failed["code"] == "internal" and "RuntimeError" in failed["sentence"] and "Copy report" in failed["hint"]
    assert "a bug in the pipeline" in failed["log_tail"] and "Traceback" in failed["log_tail"]
    assert outcome(client, next_one).kind == "result"


def test_files_that_vanish_under_the_backend_are_told_as_that(client: Client) -> None:
    """As when somebody cleans up the disk while it runs: what is loaded works on, the next part cannot be imported."""
    failed = outcome(client, client.find_portrait("/x/lacking")).header
    assert failed["code"] == "backend-incomplete" and "no_such_package" in failed["sentence"] and "Repair" in failed["hint"]
    assert outcome(client, client.find_portrait("/x/fast")).kind == "result"


def test_a_wrong_shot_is_refused_in_a_sentence(client: Client, tmp_path: Path) -> None:
    shot, track = plain_shot("fast"), plain_track()
    shot.au_values[2, 8], shot.au_keyed[2, 8] = 9.0, True
    failed = outcome(client, client.predict(shot)).header
    assert failed["code"] == "au-range" and "AU12" in failed["sentence"] and failed["hint"]
    good = plain_shot("fast")
    assert outcome(client, client.preview_frame(good, track, 10)).header["code"] == "frame-invalid"
    assert outcome(client, client.render(good, track, tmp_path / "m.mp4", (5, 99))).header["code"] == "frame-invalid"
    assert outcome(client, client.render(good, track, "movie.mp4")).header["code"] == "path-invalid"
    assert outcome(client, client.find_portrait("fast")).header["code"] == "path-invalid"
    bad = plain_track()
    bad.landmarks[0] = np.nan
    assert outcome(client, client.render(good, bad, tmp_path / "m.mp4")).header["code"] == "track-invalid"


def test_data_that_cannot_be_sent_fails_its_job_alone(client: Client) -> None:
    shot = plain_shot("fast")
    object.__setattr__(shot, "seed", object())
    broken, good = client.predict(shot), client.predict(plain_shot("fast"))
    assert outcome(client, broken).header["code"] == "message-malformed"
    assert client.open_jobs <= {good}


def test_free_memory_and_status(client: Client) -> None:
    client.free_memory()  # off: nothing to free, nothing started
    assert client.state is BackendState.OFF and client.poll() == []
    client.start()
    gather(client, saw("hello"))
    client.request_status()
    client.free_memory()
    events = gather(client, saw("status"))
    status = next(event.header for event in events if event.kind == "status")
    assert status["state"] == "idle" and status["memory_mb"] > 5 and status["python"] and status["version"]


@pytest.mark.parametrize("how", ["crash", "kill"])
def test_a_backend_that_dies_fails_its_jobs_and_is_replaced(how: str, client: Client) -> None:
    client.start()
    first = backend_pid(client)
    job, waiting = client.find_portrait("/x/crash" if how == "crash" else "/x/slow"), client.find_portrait("/x/fast")
    if how == "kill":
        gather(client, saw("progress", job))
        os.kill(first, signal.SIGKILL)
    events = gather(client, finished(waiting))
    failed = {event.job: event.header for event in events if event.kind == "failed"}
    assert set(failed) == {job, waiting} and {header["code"] for header in failed.values()} == {"backend-died"}
    assert ("exit status 3" if how == "crash" else "SIGKILL") in failed[job]["sentence"]
    assert "doing " in failed[job]["log_tail"]  # what a library printed on standard output is in the log, too
    assert client.state is BackendState.FAILED and client.last_fault is not None and client.last_fault.code == "backend-died"
    assert ("last words" in failed[job]["log_tail"]) == (how == "crash")
    again = client.find_portrait("/x/fast")
    assert client.state is BackendState.STARTING and again > waiting
    second = backend_pid(client)
    assert outcome(client, again).kind == "result" and second != first and client.last_fault is None


def test_a_backend_that_always_dies_is_given_a_rest(make_client: Maker) -> None:
    client = make_client(script_client, "raise SystemExit('broken')", limiter=RestartLimiter(most=2, seconds=600))
    codes = [outcome(client, client.find_portrait("/x/fast")).header["code"] for _ in range(3)]
    assert codes == ["backend-start-failed", "backend-start-failed", "backend-restarts"]
    assert client.state is BackendState.FAILED and "2 times" in str(client.last_fault)


def test_quick_deaths_are_followed_by_longer_and_longer_waits(make_client: Maker) -> None:
    backoff, waits = Backoff(longest=3.0), []
    for lived in (0.1, 0.1, 0.1, 0.1, 0.1, 500.0, 0.1, 0.1):
        backoff.died(lived)
        waits.append(backoff.seconds)
    assert waits == [0.0, 0.5, 1.0, 2.0, 3.0, 0.0, 0.0, 0.5]
    client = make_client(script_client, "raise SystemExit('broken')", limiter=RestartLimiter(most=9))
    delays = []
    for _ in range(3):
        job = client.find_portrait("/x/fast")
        assert client.state is BackendState.STARTING and client._session is not None
        delays.append(client._session._delay)
        assert outcome(client, job).header["code"] == "backend-start-failed"
    assert delays == [0.0, 0.0, 0.5]
    client.find_portrait("/x/fast")
    client.close()
    assert client.state is BackendState.OFF, "it waited for a start that nobody wants any more"


def test_the_rest_ends() -> None:
    limiter = RestartLimiter(most=2, seconds=60)
    for now in (0.0, 1.0, 60.5, 61.5, 121.0):
        limiter.check(now)


READY = '{"autter": "ready", "address": "%s", "protocol": %d, "version": "9.9", "pid": 1}'
WAIT = "import sys, time; sys.stdin.read()"


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (WAIT, "backend-start-timeout", "within 1 seconds"),
        ("print('noise ' * 9); print([1])", "ready-line-garbled", "exit status 0"),
        (f"import os; os.close(1); {WAIT}", "ready-line-garbled", "without saying"),
        ("print('x' * 1000000)", "ready-line-garbled", "exit status"),
        ("raise SystemExit(7)", "backend-start-failed", "exit status 7"),
        ("import no_such_package", "backend-start-failed", "exit status 1"),
        (f"print('''{READY % ('unix:/nowhere/autter-x/socket', PROTOCOL)}'''); {WAIT}", "backend-unreachable", "/nowhere"),
        (f"print('''{READY % ('tcp:8.8.8.8:53', PROTOCOL)}'''); {WAIT}", "backend-unreachable", "not an address on this computer"),
        (f"print('''{READY % ('tcp:127.0.0.1:1', PROTOCOL - 1)}'''); {WAIT}", "protocol-mismatch", "the backend is too old"),
        (f"print('''{READY % ('tcp:127.0.0.1:1', PROTOCOL + 1)}'''); {WAIT}", "protocol-mismatch", "the add-on is too old"),
    ],
    ids=["silent", "noise", "closed", "flood", "exit", "import", "address", "far-away", "older", "newer"],
)  # fmt: skip
def test_a_start_that_fails_says_why(script: str, code: str, words: str, make_client: Maker) -> None:
    client = make_client(script_client, script, start_seconds=1.0 if code == "backend-start-timeout" else 30.0)
    failed = outcome(client, client.find_portrait("/x/fast")).header
    assert failed["code"] == code and words in failed["sentence"] and failed["hint"]
    assert client.state is BackendState.FAILED and client.last_fault is not None and client.last_fault.code == code
    if code == "protocol-mismatch":
        assert failed["hint"].startswith("Update the backend" if "backend is too old" in words else "Update the AUtter add-on")


@pytest.mark.parametrize("path", ["/no/such/python", os.sep, __file__], ids=["missing", "folder", "no-program"])
def test_a_python_that_is_none(path: str, make_client: Maker) -> None:
    client = make_client(lambda folder: Client(path, log_path=folder / "log"))
    failed = outcome(client, client.predict(plain_shot())).header
    assert failed["code"] in ("backend-python-missing", "backend-start-failed") and path in failed["sentence"]


def test_a_python_without_the_backend(make_client: Maker) -> None:
    command = [sys.executable, "-S", *command_line(sys.executable)[1:]]  # -S: a Python without any installed package
    client = make_client(lambda folder: Client(sys.executable, command=command, log_path=folder / "log"))
    failed = outcome(client, client.predict(plain_shot())).header
    assert failed["code"] == "backend-start-failed" and "does not hold AUtter's backend" in failed["hint"]


def test_noise_before_the_ready_line_is_forgiven(make_client: Maker) -> None:
    script = f"print('a library says hello'); import runpy; runpy.run_path({str(SLOW_BACKEND)!r}, run_name='__main__')"
    client = make_client(script_client, script)
    assert outcome(client, client.find_portrait("/x/fast")).kind == "result"


def test_no_call_waits_for_a_backend_that_hangs(client: Client) -> None:
    client.start()
    pid = backend_pid(client)
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    large = plain_track(4000)  # ten megabytes: far more than a socket holds
    jobs = [client.render(plain_shot("fast"), large, "/x/movie.mp4") for _ in range(5)]
    client.cancel(jobs[0])
    client.request_status()
    for _ in range(100):
        client.poll()
    assert time.monotonic() - started < 1.0, "a call waited for the backend"
    client.close(0.5)
    assert is_gone(pid) and client.state is BackendState.OFF


def test_closing_leaves_no_process_and_no_socket(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    job = client.find_portrait("/x/deaf")
    pid = backend_pid(client, job)
    assert list(tmp_path.glob("autter-*"))
    client.close()
    assert is_gone(pid) and not list(tmp_path.glob("autter-*")) and client.poll() == []
    assert (tmp_path / "logs" / "backend.log").read_text().count("portrait") >= 1


def test_stopping_does_not_wait_and_a_new_backend_may_follow_at_once(client: Client) -> None:
    old_job = client.find_portrait("/x/deaf")
    pid = backend_pid(client, old_job)
    client.stop()
    assert client.state is BackendState.OFF and not client.open_jobs and client.poll() == []
    new_job = client.find_portrait("/x/fast")
    events = gather(client, finished(new_job))
    assert new_job != old_job and all(event.job != old_job for event in events)
    wait_until(lambda: is_gone(pid))


def test_closing_while_the_backend_starts(make_client: Maker) -> None:
    client = make_client(script_client, WAIT)
    client.start()
    session = client._session
    assert session is not None
    wait_until(lambda: session._process is not None)
    pid = session._process.pid  # type: ignore[union-attr]
    client.close()
    assert is_gone(pid)


def test_a_log_that_cannot_be_written_does_no_harm(tmp_path: Path, make_client: Maker) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    client = make_client()
    assert outcome(client, client.find_portrait("/x/fast")).kind == "result"


def test_ready_lines_have_all_four_parts() -> None:
    from bridge.process import _parse_ready

    assert _parse_ready(READY % ("unix:/a/b", 1)) == Ready("unix:/a/b", 1, "9.9", 1)
    for line in ("", "3", "[]", "null", '{"autter": "ready"}', "[" * 100_000, READY % ("x", 1) + "}"):
        assert _parse_ready(line) is None


def test_the_real_backend_answers(make_client: Maker, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    environment = {"PYTHONPATH": str(ROOT), "AUTTER_HOME": str(tmp_path / "Ünï cödé")}
    client = make_client(lambda folder: Client(sys.executable, environment=environment, log_path=folder / "log"))
    (tmp_path / "text.png").write_text("no picture")
    for path in (tmp_path / "text.png", tmp_path / "missing.png"):
        failed = outcome(client, client.find_portrait(path), 120.0).header  # torch is imported first
        assert failed["code"].startswith("image-") and failed["sentence"] and failed["hint"]
    gather(client, lambda _: client.device != "", 120.0)
    assert client.backend_version == VERSION and client.state is BackendState.READY and client.memory_mb > 50


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads a process's time from /proc")
def test_the_real_backend_is_ready_within_five_seconds(make_client: Maker, tmp_path: Path) -> None:
    """By its own work: on a computer that does nothing else that is the time that passes. Large imports come after it is ready."""
    environment = {"PYTHONPATH": str(ROOT), "AUTTER_HOME": str(tmp_path / "home")}
    client = make_client(lambda folder: Client(sys.executable, environment=environment, log_path=folder / "log"))
    began = time.monotonic()
    client.start()
    pid = backend_pid(client)
    passed = time.monotonic() - began
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    worked = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    print(f"ready after {passed:.2f} s, {worked:.2f} s of work")
    assert worked < 5.0


def test_a_window_or_edited_rows_are_asked_for_and_come_back_with_their_place(client):
    shot = plain_shot("fast", 50)
    for asked, rows in (({"window": (3, 8)}, (3, 5)), ({"edited": (10, 12)}, (10, 2)), ({}, (0, 50))):
        result = outcome(client, client.predict(shot, **asked))
        track = Track.from_message(result.header, result.arrays)
        assert (track.first_frame, len(track.landmarks)) == rows
    for wrong in ({"window": (3, 51)}, {"edited": (4, 4)}):
        assert outcome(client, client.predict(shot, **wrong)).header["code"] == "frame-invalid"
