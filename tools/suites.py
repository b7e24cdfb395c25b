# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py test` and `build.py lint`: the tests of the backend's environment and of each Blender, side by side."""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List

from tools import release
from tools.environments import BACKEND, BLENDERS, Environment, preferred_blender, set_up
from tools.say import ROOT, BuildFault, clean_environment, say

LONGEST_SUITE = 1200  # seconds after which a suite is taken to hang
LONGEST_SLOW = 4 * LONGEST_SUITE  # with the tests that are marked slow
NO_TESTS_COLLECTED = 5  # pytest's exit code
SIDE_BY_SIDE = 2
CLOSING = re.compile(r"\d+ (passed|failed|error|skipped|deselected)|no tests ran")
DEFAULT_MARKERS = "not window and not slow"


@dataclass
class Suite:
    """One run of pytest. ``log`` and ``code`` are there once it ran."""

    name: str
    environment: Environment
    paths: List[str]
    markers: str
    log: str = ""
    code: int = -1
    seconds: float = 0.0
    extra: Dict[str, str] = field(default_factory=dict)

    @property
    def closing_line(self) -> str:
        """pytest's own last line without its ruler of equals signs."""
        lines = [line for line in self.log.splitlines() if CLOSING.search(line)]
        return lines[-1].strip("= ") if lines else "no summary (exit code {})".format(self.code)

    @property
    def longest(self) -> int:
        """Seconds after which it is stopped."""
        return LONGEST_SUITE if "not slow" in self.markers else LONGEST_SLOW

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return self.code in (0, NO_TESTS_COLLECTED)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `build.py test`."""
    parser.add_argument("-m", dest="markers", metavar="MARKERS", help="pytest markers: unit, blender, process, slow, or an expression")
    parser.add_argument("-k", dest="words", metavar="WORDS", help="pytest's -k: only tests whose names match")
    parser.add_argument("--only", metavar="NAMES", default="", help="backend, 4.2, 4.5, 5.0, 5.2: one, or several with commas")
    parser.add_argument("paths", nargs="*", help="files or folders of tests, instead of all")


def chosen_names(choice: argparse.Namespace) -> List[str]:
    """The environments to test in, in their order."""
    known = ["backend", *BLENDERS]
    # "--only 4.2 5.2" reads naturally too: names among the paths are meant as names.
    asked = [name for name in choice.only.split(",") if name] + [path for path in choice.paths if choice.only and path in known]
    choice.paths = [path for path in choice.paths if path not in asked]
    for name in asked:
        if name not in known:
            raise BuildFault("There is no environment {!r}.".format(name), "Choose from {}.".format(", ".join(known)))
    for path in choice.paths:
        if not (ROOT / path.split("::")[0]).exists():
            raise BuildFault("There are no tests at {}.".format(path))
    return [name for name in known if name in asked] or known


def run(choice: argparse.Namespace) -> int:
    """Set up, build the zip, run the suites two at a time, print what came of it."""
    names = chosen_names(choice)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # Started in the background of a shell: the tests' own processes would inherit the deafness and never be interrupted.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    environments = [BACKEND, *(BLENDERS[name] for name in names if name in BLENDERS)]
    set_up(environments)
    if any(name in BLENDERS for name in names):
        release.build_zip(next((item for item in environments if item is not BACKEND), preferred_blender()), anew=False)
    suites = [suite for name in names for suite in make_suites(name, choice) if suite.paths]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="autter-test-") as scratch:
        run_all(suites, Path(scratch), choice.words)
    return summarize(suites, time.monotonic() - began)


def make_suites(name: str, choice: argparse.Namespace) -> List[Suite]:
    """The suites of the backend's environment or of one Blender."""
    wanted = choice.markers or DEFAULT_MARKERS
    if name == "backend" and not choice.markers and not choice.paths:
        # Two halves of about the same length: one that computes, and one that mostly waits for other processes.
        paths = ["tests", "--ignore=tests/blender"]
        halves = (("backend", "not process"), ("processes", "process"))
        return [Suite(half, BACKEND, paths, "not blender and {} and ({})".format(which, wanted)) for half, which in halves]
    if name == "backend":
        return [Suite("backend", BACKEND, choice.paths or ["tests", "--ignore=tests/blender"], "not blender and ({})".format(wanted))]
    # Only folders that hold tests for Blender: the others import what its Python does not have.
    paths = [path for path in choice.paths or ["tests/blender", "tests/end_to_end"] if mentions_blender(ROOT / path.split("::")[0])]
    return [Suite("Blender " + name, BLENDERS[name], paths, "blender and ({})".format(wanted))]


def mentions_blender(path: Path) -> bool:
    """Whether a test file under ``path`` carries the blender marker."""
    files = [path] if path.is_file() else sorted(path.rglob("test_*.py"))
    return any("mark.blender" in file.read_text(encoding="utf-8") for file in files)


def run_all(suites: List[Suite], scratch: Path, words: str) -> None:
    """Run every suite, two at a time; print each log as it ends."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        waiting = [pool.submit(run_suite, suite, scratch / str(number), words) for number, suite in enumerate(suites)]
        say("==> Running " + ", ".join(suite.name for suite in suites))
        for done in as_completed(waiting):
            suite = done.result()
            say("\n---- {} ----".format(suite.name))
            say(suite.log.strip())


def run_suite(suite: Suite, scratch: Path, words: str) -> Suite:
    """Run one suite with user data folders of its own."""
    scratch.mkdir(parents=True)
    extra = {
        "AUTTER_HOME": str(scratch / "home"),
        "AUTTER_BACKEND_PYTHON": str(BACKEND.interpreter),
        "AUTTER_ZIP": str(release.zip_path()),
        "BLENDER_USER_RESOURCES": str(scratch / "blender"),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    command = [str(suite.environment.interpreter), "-m", "pytest", "-q", "--durations=8", "-m", suite.markers]
    command += ["-o", "cache_dir=" + str(scratch / "cache")]
    command += ["--basetemp", str(scratch / "pytest"), *(["-k", words] if words else []), *suite.paths]
    began = time.monotonic()
    with open(scratch / "log.txt", "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=clean_environment(extra), stdout=log, stderr=subprocess.STDOUT)
        try:
            suite.code = process.wait(suite.longest)
        except subprocess.TimeoutExpired:
            process.kill()
            suite.code = process.wait()
            log.write("\nstopped: it ran longer than {} minutes\n".format(suite.longest // 60))
        log.seek(0)
        suite.log = log.read()
    suite.seconds = time.monotonic() - began
    return suite


def summarize(suites: List[Suite], seconds: float) -> int:
    """Print every suite's closing line; 0 if all are good."""
    say("\n==== summary ({:.0f} s) ====".format(seconds))
    for suite in suites:
        say("{:<12} {:<6} {}".format(suite.name, "ok" if suite.good else "FAILED", suite.closing_line))
    ran = any(suite.code == 0 for suite in suites)
    if not ran and all(suite.good for suite in suites):
        say("No test matched.")
        return 1
    return 0 if all(suite.good for suite in suites) else 1


def lint() -> int:
    """ruff, then mypy; 0 if both are content."""
    python = str(BACKEND.interpreter)
    codes = []
    for name, command in (("ruff", ["ruff", "check", "."]), ("mypy", ["mypy"])):
        say("==> " + name)
        codes.append(subprocess.run([python, "-m", *command], cwd=ROOT, env=clean_environment()).returncode)
    return max(codes)
