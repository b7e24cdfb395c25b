# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender's main thread does again and again waits for nobody: not for a backend that works, hangs or dies, nor for a set-up."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")
from tests.bridge.wheels import make_release  # noqa: E402
from tests.process.waiting import no_waiting  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
LONGEST_TICK = 0.005  # seconds of processor time, the watch over it included
CHANCE = 2  # ticks may be longer: a virtual computer's pause counts as the work of whoever it befalls
PATIENCE = 60.0
pytestmark = [
    pytest.mark.blender,
    pytest.mark.skipif(not os.environ.get("AUTTER_BACKEND_PYTHON"), reason="needs AUTTER_BACKEND_PYTHON"),
    pytest.mark.skipif(sys.platform == "win32", reason="puts the backend to sleep as POSIX does"),
]


@pytest.fixture
def slow(addon, tmp_path):
    """The add-on with a backend whose jobs take a minute."""
    command = [os.environ["AUTTER_BACKEND_PYTHON"], "-P", "-su", str(ROOT / "tests" / "process" / "slow_backend.py")]
    options = {"command": command, "environment": {"PYTHONPATH": str(ROOT)}, "log_path": tmp_path / "backend.log"}
    addon.backend_link.client_factory = lambda python: addon.bridge.client.Client(python, **options)
    return addon


def ticking(addon, until) -> list[float]:
    """Ticks as Blender's timer does until ``until()``; the seconds of work of each."""
    took, ends = [], time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < ends, (addon.backend_link.state(), addon.reports.reports)
        began = time.thread_time()
        with no_waiting():
            addon.ticks.tick()
        took.append(time.thread_time() - began)
        time.sleep(0.01)
    return took


def ask(addon, name: str):
    """A job of the slow backend."""
    link = addon.backend_link
    return link.start_job("portrait", lambda client: client.find_portrait("/x/" + name), link.origin(bpy.context.scene), {})


def test_no_tick_waits_for_a_backend_that_starts_works_hangs_or_dies(slow, capsys) -> None:
    link, states = slow.backend_link, slow.bridge.client.BackendState
    job = ask(slow, "slow")
    took = ticking(slow, lambda: job.done > 20)
    pid = int(link.current_client()._session._process.pid)
    os.kill(pid, signal.SIGSTOP)
    hung = time.monotonic()
    took += ticking(slow, lambda: time.monotonic() > hung + 1.0)
    with no_waiting():
        link.cancel(job.number)
    os.kill(pid, signal.SIGCONT)
    took += ticking(slow, lambda: job.number not in link.book.open)
    dying = ask(slow, "slow")
    took += ticking(slow, lambda: dying.started)
    os.kill(pid, signal.SIGKILL)
    took += ticking(slow, lambda: link.state() is states.FAILED and not link.book.open)
    assert link.book.lost, "the job is not offered again"
    ask(slow, "deaf")
    took += ticking(slow, lambda: link.state() is states.BUSY)
    with no_waiting():
        link.close(wait=False)
    long = [seconds for seconds in took if seconds > LONGEST_TICK]
    with capsys.disabled():
        print(
            f"{len(took)} ticks, none waited; the longest worked {max(took) * 1000:.2f} ms, {len(long)} over {LONGEST_TICK * 1000:.0f} ms"
        )
    assert len(long) <= CHANCE, long


def test_no_tick_waits_for_the_set_up(addon, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    data, wheels = make_release(tmp_path)
    monkeypatch.setattr(addon.backend_setup, "DATA", data)
    with no_waiting():
        addon.backend_setup.start("install", str(wheels))
    process = addon.backend_setup._process
    took = ticking(addon, lambda: process.state.phase not in ("starting", "plan"))
    with no_waiting():
        addon.backend_setup.cancel()
    assert process.wait(PATIENCE) and sum(seconds > LONGEST_TICK for seconds in took) <= CHANCE, took
