# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's parts on their own: progress, the queue, the outbox, the worker."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.serve.jobs import MOST_WAITING, Job, JobQueue, Progress
from backend.serve.outbox import MOST_MESSAGES, Outbox
from backend.serve.pipeline_runner import plain
from backend.serve.work import LogTail, run_one, smaller
from bridge.faults import Fault
from bridge.messages import Message, decode
from tests.process.backends import ROOT, wait_until

pytestmark = pytest.mark.unit


class Inbox:
    """Collects events."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def put(self, message: Message) -> None:
        self.messages.append(message)

    def kinds(self) -> list[str]:
        return [message.kind for message in self.messages]


def job(inbox: Inbox, number: int = 1, kind: str = "portrait", **fields: Any) -> Job:
    """A job whose events go to ``inbox``."""
    return Job(Message(kind, number, fields), inbox)


def test_progress_reports_ten_times_a_second_and_every_phase_and_the_end() -> None:
    inbox, now = Inbox(), [100.0]
    progress = Progress(job(inbox), clock=lambda: now[0])
    for done in range(101):
        progress(done, 100, "frames")
        now[0] += 0.03
    progress(0, 2, "sound")
    progress(1, 2, "sound")
    progress(2, 2, "sound")
    told = [(m.fields["phase"], m.fields["done"]) for m in inbox.messages]
    assert told[0] == ("frames", 0) and ("frames", 100) in told and told[-2:] == [("sound", 0), ("sound", 2)]
    assert len(told) == 2 + 1 + 100 // 4  # every fourth step is 0.12 s after the last report
    at_half = next(m.fields for m in inbox.messages if m.fields["done"] == 52)
    assert at_half["eta_s"] == pytest.approx(48 * 0.03)


def test_progress_is_where_a_cancelled_job_stops() -> None:
    cancelled = job(Inbox())
    progress = Progress(cancelled)
    progress(0, 1, "x")
    cancelled.cancelled.set()
    with pytest.raises(Fault) as caught:
        progress(0, 1, "x")
    assert caught.value.code == "cancelled"


@pytest.mark.parametrize("end", ["the client is gone", "the backend ends"])
def test_nothing_is_kept_of_a_job_that_nobody_waits_for(end: str) -> None:
    """A person who cancels keeps the frames that are done; one who is gone does not."""
    queue, inbox = JobQueue(), Inbox()
    kept = job(inbox, 1)
    queue.add(kept)
    assert queue.next() is kept
    progress = Progress(kept)
    queue.drop(inbox) if end == "the client is gone" else queue.close()
    with pytest.raises(Fault) as caught:
        progress(0, 1, "x")
    assert caught.value.code == "backend-died"


def test_jobs_come_out_in_order_and_a_full_queue_says_so() -> None:
    queue, inbox = JobQueue(), Inbox()
    for number in range(MOST_WAITING):
        queue.add(job(inbox, number))
    with pytest.raises(Fault) as caught:
        queue.add(job(inbox, MOST_WAITING))
    assert caught.value.code == "queue-full"
    assert [message.fields["ahead"] for message in inbox.messages] == list(range(MOST_WAITING))
    first = queue.next()
    assert isinstance(first, Job) and first.number == 0 and queue.summary() == {"state": "busy", "running": 0, "waiting": MOST_WAITING - 1}
    with pytest.raises(Fault) as caught:
        queue.add(job(inbox, 0))
    assert caught.value.code == "job-duplicate"


def test_chores_wait_for_an_empty_queue() -> None:
    queue, done = JobQueue(), []
    chore = lambda: done.append(1)  # noqa: E731
    queue.add_chore(chore)
    queue.add_chore(chore)
    queue.add(job(Inbox()))
    assert isinstance(queue.next(), Job) and queue.next() is chore
    queue.close()
    assert queue.next() is None


def test_closing_the_queue_fails_what_waits() -> None:
    queue, inbox = JobQueue(), Inbox()
    queue.add(job(inbox))
    queue.close()
    assert queue.next() is None and inbox.messages[-1].fields["code"] == "backend-died" and queue.idle(0)


class SlowChannel:
    """A channel whose other side reads only when it is let."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.reads = threading.Event()
        self.closed = False

    def send(self, data: bytes) -> None:
        assert self.reads.wait(10)
        self.sent.append(decode(data))

    def close(self) -> None:
        self.closed = True


def test_only_the_newest_progress_and_preview_wait_and_results_are_kept() -> None:
    channel = SlowChannel()
    outbox = Outbox(channel, channel.close)  # type: ignore[arg-type]
    outbox.put(Message("started", 1))
    wait_until(lambda: not outbox._waiting)  # it is being sent
    for done in range(100):
        outbox.put(Message("progress", 1, {"done": done}))
        outbox.put(Message("progress", 2, {"done": done}))
        outbox.put(Message("preview", 1, {}, {"image": np.full((2, 2, 3), done, np.uint8)}))
    outbox.put(Message("result", 1))
    channel.reads.set()
    outbox.close(5.0)
    assert [(m.kind, m.job) for m in channel.sent] == [("started", 1), ("progress", 1), ("progress", 2), ("preview", 1), ("result", 1)]
    assert channel.sent[1].fields["done"] == 99 and channel.sent[3].arrays["image"][0, 0, 0] == 99 and channel.closed


def test_a_client_that_never_reads_is_given_up() -> None:
    channel = SlowChannel()
    outbox = Outbox(channel, channel.close)  # type: ignore[arg-type]
    for number in range(MOST_MESSAGES + 5):
        outbox.put(Message("result", number))
    assert channel.closed
    channel.reads.set()
    outbox.close(5.0)


def test_a_result_that_cannot_be_sent_becomes_a_failure() -> None:
    channel = SlowChannel()
    channel.reads.set()
    outbox = Outbox(channel, channel.close)  # type: ignore[arg-type]
    outbox.put(Message("result", 4, {"report": object()}))
    outbox.close(5.0)
    assert [(m.kind, m.job, m.fields["code"]) for m in channel.sent] == [("failed", 4, "message-malformed")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out-of-memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "out-of-memory"),
        (SystemExit(3), "internal"),
    ],
    ids=["memory", "torch", "exit"],
)
def test_whatever_a_runner_raises_fails_the_job_alone(error: BaseException, code: str) -> None:
    class Raising:
        def portrait(self, path: Path, progress: Any) -> Any:
            raise error

    inbox = Inbox()
    final = run_one(job(inbox, path="/x/p.png"), Raising(), LogTail())  # type: ignore[arg-type]
    assert (final.kind, final.fields["code"]) == ("failed", code) and final.fields["hint"] and inbox.kinds() == ["started"]


def test_previews_are_made_small() -> None:
    for shape, small in (((10, 10, 3), (10, 10, 3)), ((1024, 100, 3), (512, 50, 3)), ((1025, 1025, 3), (342, 342, 3))):
        image = smaller(np.zeros(shape, np.uint8))
        assert image.shape == small and image.flags.c_contiguous


def test_reports_become_plain_data() -> None:
    assert plain({"a": np.float32(1.5), "b": (1, Path("x")), 3: {"c": None}}) == {"a": 1.5, "b": [1, "x"], "3": {"c": None}}


def test_the_server_starts_without_the_large_libraries() -> None:
    script = (
        "import backend.serve.server, backend.serve.pipeline_runner, sys; print({'torch', 'mediapipe', 'scipy', 'av'} & set(sys.modules))"
    )
    asked = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert asked.stdout.strip() == "set()", asked.stderr


def test_after_a_while_without_jobs_the_worker_rests_once_and_sleeps_on() -> None:
    rests: list[str] = []
    queue, inbox = JobQueue(lambda: rests.append("rest"), 0.05), Inbox()

    def work() -> None:
        while (taken := queue.next()) is not None:
            if isinstance(taken, Job):
                queue.finished()
            else:
                taken()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    wait_until(lambda: worker.is_alive(), 5.0)
    worker.join(0.3)
    assert rests == [], "nothing had been loaded"
    for count in (1, 2):
        queue.add(job(inbox, count))
        wait_until(lambda count=count: len(rests) == count, 10.0)
        worker.join(0.3)
        assert len(rests) == count, "it rested again without a job in between"
    queue.close()
    worker.join(5.0)
    assert not worker.is_alive()
