# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tools.soak --minutes 60`: many small shots with random edits, cancels and kills, as one long working day does it.

The real backend renders the sample. After every shot memory, threads, open files and what lies about are noted; figures are printed at
the end, and the exit status is 1 where something grew, was lost or was left. Run it with the backend's own Python, on Linux.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from array import array
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from bridge.client import BackendState, Client, Event, TakeMemory
from bridge.facs import AU_COUNT
from bridge.process import RestartLimiter
from bridge.shot import HEAD_NEUTRAL, RenderSettings, Shot, Track, Voice
from tools.soak_figures import Sample, look, summary

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "backend" / "sample"
FPS = Fraction(25)
LONGEST_JOB = 600.0  # seconds after which a job is taken to hang
LONGEST_POLL = 0.005  # seconds of this thread's own work in one call
CHANCE = 1e-4  # share of the polls that may be longer: a virtual computer's pause counts as the work of whoever it befalls
IDLE_SECONDS = 4.0  # the models are let go after so long, so that the soak sees that too
QUIET_SHARE = 0.25  # of the shots, at the end, without a kill: one backend that lives long
ENDS = ("result", "failed")  # kinds of the last event of a job
KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)


class Soak:
    """One run. ``folder``: where movies, caches, logs and temporary files go."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self.takes = folder / "takes"
        self.takes.mkdir(parents=True)
        self.client = Client(sys.executable, log_path=folder / "backend.log", limiter=RestartLimiter(most=30))
        self.pid = 0
        self.samples: List[Sample] = []
        self.counts: Dict[str, int] = {}
        self.troubles: List[str] = []
        self.polls: "array[float]" = array("f")  # seconds of processor time
        self.movies: List[Path] = []

    def run(self, shots: int, seconds: float) -> None:
        """All shots, spread over the time; stops when the time is up by a fifth, or on Ctrl-C. Then looks at what is left."""
        try:
            self.all_shots(shots, seconds)
        except KeyboardInterrupt:
            self.trouble(f"stopped by hand after {len(self.samples)} of {shots} shots")
        self.client.close(5.0)
        self.end_check()

    def all_shots(self, shots: int, seconds: float) -> None:
        """One shot after another, as many as fit."""
        began = time.monotonic()
        for number in range(shots):
            if time.monotonic() - began > 1.2 * seconds:
                self.trouble(f"only {number} of {shots} shots fitted into the time")
                break
            self.one_shot(number, may_kill=number < shots * (1 - QUIET_SHARE))
            self.samples.append(look(number, time.monotonic() - began, self.pid, self.folder))
            self.tidy_check(number)
            self.wait_until(began + seconds * (number + 1) / shots)

    def one_shot(self, number: int, may_kill: bool) -> None:
        """Keys, a prediction, some edits, and a movie, with whatever befalls them on the way."""
        shot = self.random_shot()
        if self.draw.random() < 0.1:
            self.expect_failure(lambda: self.client.find_portrait(self.folder / "no such portrait.png"), "image-")
        track = self.predicted(shot)
        for _ in range(self.draw.randrange(3)):
            row = self.draw.randrange(shot.frame_count - 2)
            shot.au_values[row : row + 2, self.draw.randrange(AU_COUNT)] = self.draw.uniform(0, 5)
            edit = partial(self.client.predict, shot, edited=(row, row + 2))
            job = edit()
            if self.draw.random() < 0.3:
                self.count("cancelled")
                self.client.cancel(job)
                self.end_of(job)
            else:
                self.need(job, edit)
        movie = self.takes / f"take {number:03d} ü.mp4"
        memory = TakeMemory(movie.with_suffix(".take"), self.folder, {"number": number})
        ask = partial(self.client.render, shot, track, movie, memory=memory)
        fate = self.draw.random()
        if fate < 0.15:
            self.cancelled(ask, movie)
        elif may_kill and fate < 0.27:
            self.killed(ask, movie, self.draw.choice(KILLS))
        if self.draw.random() < 0.05:
            self.count("stopped")
            self.client.stop()
        self.need(ask(), ask)
        self.movies.append(movie)
        if self.draw.random() < 0.1:
            self.count("memory freed")
            self.client.free_memory()

    def random_shot(self) -> Shot:
        """The sample portrait and a piece of its voice, with a few random keys."""
        frames = self.draw.randrange(4, 10)
        values = np.zeros((frames, AU_COUNT), np.float32)
        keyed = np.zeros((frames, AU_COUNT), bool)
        for column in self.draw.sample(range(AU_COUNT), 3):
            values[:, column], keyed[:, column] = np.linspace(0, self.draw.uniform(1, 5), frames), True
        head = np.tile(np.array(HEAD_NEUTRAL, np.float32), (frames, 1))
        voice = Voice(str(SAMPLE / "line.wav"), trim_start=self.draw.uniform(0, 1.5))
        held = np.zeros((frames, len(HEAD_NEUTRAL)), bool)
        settings = RenderSettings(steps=1)
        return Shot(1, FPS, str(SAMPLE / "portrait.jpg"), (voice,), values, keyed, head, held, self.draw.randrange(99), render=settings)

    def predicted(self, shot: Shot) -> Track:
        """The shot's track."""
        ended = self.need(self.client.predict(shot), lambda: self.client.predict(shot))
        return Track.from_message(ended.header, ended.arrays)

    def cancelled(self, ask: Callable[[], int], movie: Path) -> None:
        """A render that is cancelled somewhere on its way leaves no movie."""
        self.count("cancelled")
        job = ask()
        events = self.pump(lambda events: self.draw.random() < 0.05, job)
        self.client.cancel(job)
        ended = self.end_of(job, events)
        if ended.kind == "failed" and movie.exists():
            self.trouble(f"{movie.name}: a cancelled render left a movie")

    def killed(self, ask: Callable[[], int], movie: Path, number: signal.Signals) -> None:
        """A backend that is killed or falls asleep in the middle of a render."""
        job = ask()
        events = self.pump(lambda events: any(event.kind == "progress" for event in events), job)
        if events[-1].kind in ENDS:
            return  # too quick for us
        self.count(f"{number.name}")
        if self.pid:
            os.kill(self.pid, number)
            if number is signal.SIGSTOP:
                self.wait_until(time.monotonic() + 1.0)
                os.kill(self.pid, signal.SIGCONT)
        ended = self.end_of(job)
        if number is signal.SIGSTOP and ended.kind != "result":
            self.trouble(f"{movie.name}: a sleep cost the job ({ended.header})")
        if number is signal.SIGKILL and ended.kind == "failed" and ended.header.get("code") != "backend-died":
            self.trouble(f"{movie.name}: {ended.header}")

    def expect_failure(self, ask: Callable[[], int], code: str) -> None:
        """A request that cannot be done is answered in a sentence."""
        self.count("wrong requests")
        ended = self.end_of(ask())
        if ended.kind != "failed" or not str(ended.header.get("code")).startswith(code) or not ended.header.get("hint"):
            self.trouble(f"expected a fault {code}, got {ended.kind} {ended.header}")

    def need(self, job: int, again: Callable[[], int]) -> Event:
        """The result of a job, asked for again where its backend had been told to end."""
        for _ in range(3):
            ended = self.end_of(job)
            if ended.kind == "result":
                return ended
            if ended.header.get("code") not in ("backend-died", "cancelled"):
                self.trouble(f"a good job failed: {ended.header}")
            self.count("asked again")
            job = again()
        raise SystemExit(f"a job failed three times: {ended.header}")

    def end_of(self, job: int, before: Sequence[Event] = ()) -> Event:
        """Pumps until the job has ended. ``before``: its events so far, among which its end may be: a short render is quick."""
        if before and before[-1].kind in ENDS:
            return before[-1]
        return self.pump(lambda events: bool(events) and events[-1].kind in ENDS, job)[-1]

    def pump(self, enough: Callable[[List[Event]], bool], job: int) -> List[Event]:
        """Polls as Blender's timer does until ``enough`` of the job's events have come; those."""
        events: List[Event] = []
        ends = time.monotonic() + LONGEST_JOB
        while not enough(events):
            if time.monotonic() > ends:
                raise SystemExit(f"job {job} hangs; state {self.client.state}, {events[-3:]}")
            events += [event for event in self.poll() if event.job == job]
            if events and events[-1].kind in ENDS:
                break
            time.sleep(0.01)
        return events

    def poll(self) -> List[Event]:
        """One poll, its own processor time noted."""
        gc.disable()  # the soak's own rubbish, collected by chance in here, is not the client's work
        began = time.thread_time()
        events = self.client.poll()
        self.polls.append(time.thread_time() - began)
        gc.enable()
        for event in events:
            if event.kind in ("hello", "status"):
                self.pid = int(event.header.get("pid") or self.pid)
        if self.client.state in (BackendState.OFF, BackendState.FAILED):
            self.pid = 0
        return events

    def wait_until(self, moment: float) -> None:
        """Polls until then, as an idle Blender does."""
        while time.monotonic() < moment:
            self.poll()
            time.sleep(0.05)

    def count(self, what: str) -> None:
        """Notes that it happened."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def trouble(self, what: str) -> None:
        """Notes what should not have happened."""
        print(f"TROUBLE {what}", flush=True)
        self.troubles.append(what)

    def tidy_check(self, number: int) -> None:
        """Nothing half-written beside the takes, and no more than one socket."""
        left = [path.name for path in self.takes.rglob("*") if "partial" in path.name or "probe" in path.name]
        sockets = list((self.folder / "tmp").glob("autter-*"))
        if left or len(sockets) > 1:
            self.trouble(f"after shot {number}: {left} {sockets}")
        if number % 10 == 9:
            sample = self.samples[-1]
            print(f"{number + 1} shots, {sample.seconds / 60:.1f} min: {sample.words()}", flush=True)

    def end_check(self) -> None:
        """Every movie is there and whole; no process, socket or temporary file is left."""
        import av

        for movie in self.movies:
            try:
                with av.open(str(movie)) as container:
                    if not sum(1 for _ in container.decode(video=0)):
                        self.trouble(f"{movie.name} has no frames")
            except (OSError, av.FFmpegError) as error:
                self.trouble(f"{movie.name} cannot be read: {error}")
        strangers = [path for path in self.takes.iterdir() if path not in self.movies and path.with_suffix(".mp4") not in self.movies]
        left = [path for path in self.folder.rglob("*.partial")] + list((self.folder / "tmp").iterdir()) + strangers
        if left:
            self.trouble(f"left behind: {[str(path) for path in left]}")
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if children or (self.pid and Path(f"/proc/{self.pid}").exists()):
            self.trouble(f"processes left: {children} {self.pid}")


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs the soak; 0 if all is well."""
    parser = argparse.ArgumentParser(prog="tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long the shots are spread over")
    parser.add_argument("--shots", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a JSON file for every figure")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="autter soak ü "))
    (folder / "tmp").mkdir()
    tempfile.tempdir = None
    os.environ.update(TMPDIR=str(folder / "tmp"), AUTTER_HOME=str(folder / "home"), AUTTER_IDLE_SECONDS=str(IDLE_SECONDS))
    soak = Soak(folder, chosen.seed)
    try:
        soak.run(chosen.shots, chosen.minutes * 60)
        lines, grown = summary(soak.samples)
        for what in grown:
            soak.trouble(what)
        over = sum(seconds > LONGEST_POLL for seconds in soak.polls)
        if over > CHANCE * len(soak.polls):
            soak.trouble(f"{over} of {len(soak.polls)} polls took more than {LONGEST_POLL * 1000:.0f} ms of the main thread")
    finally:
        soak.client.close(2.0)
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(lines))
    print(f"befell: {soak.counts}; {len(soak.movies)} movies, all read")
    print(
        f"{len(soak.polls)} polls, the longest {max(soak.polls) * 1000:.1f} ms of processor time, {over} over {LONGEST_POLL * 1000:.0f} ms"
    )
    print(f"{len(soak.troubles)} troubles" + "".join(f"\n  {what}" for what in soak.troubles))
    if chosen.out:
        told: Dict[str, Any] = {"samples": [vars(sample) for sample in soak.samples], "counts": soak.counts, "troubles": soak.troubles}
        chosen.out.write_text(json.dumps(told))
    return 1 if soak.troubles else 0


if __name__ == "__main__":
    sys.exit(main())
