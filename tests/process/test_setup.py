# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting the backend up: done, broken off and gone on with, repaired, upgraded, uninstalled; all without a network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, unquote, urlsplit

import pytest

from bridge import paths
from bridge.faults import Fault
from bridge.setup import claim, extras, hardware, install, plan, tools
from bridge.setup.child import SetupProcess
from tests.bridge.wheels import make_release, make_wheel
from tests.process.backends import ROOT, is_gone, wait_until
from tests.process.waiting import no_waiting

pytestmark = pytest.mark.process

PROOF = "backend, bridge, torch, tinypackage"
SECONDS = 300.0  # a busy machine takes long over an environment


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with spaces and letters that are not ASCII."""
    folder = tmp_path / "Ünï cödé 人 folder"
    monkeypatch.setenv(paths.HOME_VARIABLE, str(folder))
    monkeypatch.delenv(paths.PYTHON_VARIABLE, raising=False)
    return folder


def a_plan(release: tuple[Path, Path]) -> plan.Plan:
    return plan.make_plan(release[0], release[1], Path(sys.executable), "cpu", PROOF)


def options(release: tuple[Path, Path]) -> list[str]:
    return ["--source", str(release[1]), "--build", "cpu", "--proof", PROOF]


def run_to_end(process: SetupProcess) -> None:
    wait_until(lambda: process.poll().ended, SECONDS)


def imports(names: str) -> bool:
    command = [str(paths.backend_python()), "-P", "-s", "-c", f"import {names}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def nothing(_phase: str, _share: float, _detail: str) -> None:
    pass


def test_from_nothing_to_uninstalled(tmp_path: Path, home: Path) -> None:
    """The whole life of an environment, in one test because making one takes seconds."""
    release = make_release(tmp_path)
    heard: list[tuple[str, float]] = []
    install.install(a_plan(release), lambda phase, share, _: heard.append((phase, share)))
    assert imports(PROOF) and str(home) in str(paths.backend_python())
    assert [phase for phase, _ in heard][-1] == "done" and all(0 <= share <= 1 for _, share in heard)
    assert {"venv", "torch", "packages", "backend", "proof"} <= {phase for phase, _ in heard}

    heard.clear()
    install.install(a_plan(release), lambda phase, share, _: heard.append((phase, share)))
    assert heard == [("done", 1.0)], "a second call set everything up again"

    lost = next(paths.default_environment().rglob("torch/large.py"))
    lost.unlink()
    assert install.broken(paths.default_environment()) == ["torch==2.0.0+cpu"]
    assert install.repair(a_plan(release), nothing) == ["torch==2.0.0+cpu"]
    assert lost.is_file() and imports(PROOF)

    lost.write_text("x = 2\n")  # another content of the same length
    assert install.broken(paths.default_environment()) == [], "the quick look reads nothing"
    assert install.repair(a_plan(release), nothing) == ["torch==2.0.0+cpu"] and lost.read_text() == "x = 1\n"
    lost.write_text("x")
    assert install.broken(paths.default_environment()) == ["torch==2.0.0+cpu"], "a file that is cut short passes for whole"

    former = paths.default_environment()
    newer = make_release(tmp_path / "newer", "0.0.2")
    running = subprocess.Popen([str(paths.backend_python()), "-c", "import time; time.sleep(600)"])
    try:
        install.install(a_plan(newer), nothing)
        assert paths.default_environment() != former and former.is_dir(), "the environment of a running backend was taken away"
        for take_away in (install.uninstall, lambda: install.repair(replace(a_plan(newer), folder=former), nothing)):
            with pytest.raises(Fault) as caught:
                take_away()
            assert caught.value.code == "setup-in-use" and caught.value.hint and former.is_dir()
    finally:
        running.kill()
        running.wait()
    install.remove_others(paths.default_environment())
    assert not former.exists()

    install.uninstall()
    assert not home.exists() or list(home.iterdir()) == []


def test_extras_are_added_kept_and_mended(tmp_path: Path, home: Path) -> None:
    """Added to an environment that is in use already, and taken along into the next one."""
    release = make_release(tmp_path)
    make_wheel(release[1], "tinydiffusion", "3.0", {"tinydiffusion/__init__.py": ""})
    (release[0] / "sd15.txt").write_text("# a lock\ntinydiffusion==3.0\n")
    install.install(a_plan(release), nothing)
    assert not imports("tinydiffusion")
    wanted = plan.make_plan(release[0], release[1], Path(sys.executable), "cpu", PROOF, ["sd15"])
    assert wanted.folder == a_plan(release).folder and wanted.disk > a_plan(release).disk
    second = SetupProcess("install", release[0], [*options(release), "--extra", "sd15"], Path(sys.executable))
    run_to_end(second)
    assert second.state.fault is None and imports("tinydiffusion") and extras.noted(wanted.folder) == ("sd15",)

    newer = make_release(tmp_path / "newer", "0.0.2")
    with pytest.raises(Fault) as caught:
        a_plan(newer)
    assert caught.value.code == "setup-incomplete-zip"  # this zip has no such list
    shutil.copy(release[0] / "sd15.txt", newer[0])
    make_wheel(newer[1], "tinydiffusion", "3.0", {"tinydiffusion/__init__.py": ""})
    install.install(a_plan(newer), nothing)
    assert paths.default_environment() != wanted.folder and imports("tinydiffusion, backend")


def test_two_blenders_share_it_and_it_outlives_the_one_that_made_it(tmp_path: Path, home: Path) -> None:
    release = make_release(tmp_path)
    made = install.install(a_plan(release), nothing)
    anothers = plan.make_plan(release[0], release[1], Path("/python/of/another/blender"), "cpu", PROOF)
    said: list[str] = []
    assert install.install(anothers, lambda *told: said.append(told[2])) == made and said == ["It was there already."]

    python = paths.environment_python(made)  # the Blender whose Python it was made with is uninstalled
    python.unlink()
    python.symlink_to(tmp_path / "gone" / "python")
    assert not paths.backend_python().is_file()
    assert install.install(a_plan(release), nothing) == made and imports(PROOF)


def test_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than what a script's first line may name, and than Windows likes; nothing of it is run by its scripts."""
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "Ünï cödé 人 folder" / ("long name " * 12) / ("another one " * 10)))
    monkeypatch.delenv(paths.PYTHON_VARIABLE, raising=False)
    release = make_release(tmp_path)
    install.install(a_plan(release), nothing)
    assert imports(PROOF) and len(str(paths.backend_python())) > 300
    install.uninstall()


def test_no_call_waits_for_the_set_up(tmp_path: Path, home: Path) -> None:
    """Blender's main thread starts it, asks it and cancels it, and is never held up, not even for the start of a process."""
    release = make_release(tmp_path)
    words, python = options(release), Path(sys.executable)
    with no_waiting():
        process = SetupProcess("install", release[0], words, python)
        process.poll()
    ends = time.monotonic() + SECONDS
    while process.state.phase == "starting" and time.monotonic() < ends:
        with no_waiting():
            process.poll()
        time.sleep(0.02)
    with no_waiting():
        process.cancel()
    assert process.wait(SECONDS) and process.state.fault is not None and process.state.fault.code == "cancelled"
    at_once = SetupProcess("install", release[0], words, python)
    at_once.cancel()
    assert at_once.wait(SECONDS)
    none = SetupProcess("install", release[0], words, tmp_path / "no python")
    run_to_end(none)
    assert none.state.fault is not None and none.state.fault.code == "setup-python" and none.state.fault.hint


@pytest.mark.parametrize("phase", ["venv", "torch", "packages"])
def test_broken_off_and_gone_on_with(phase: str, tmp_path: Path, home: Path) -> None:
    release = make_release(tmp_path)
    before = {entry.name for entry in Path(tempfile.gettempdir()).iterdir()}
    first = SetupProcess("install", release[0], options(release), Path(sys.executable))
    wait_until(lambda: first.poll().phase == phase or first.state.ended, SECONDS)
    if phase != "venv":
        temporary = first.state.plan["folder"] + "/temporary"
        wait_until(lambda: bool(os.path.isdir(temporary) and os.listdir(temporary)) or first.poll().phase != phase, SECONDS)
    first.cancel()
    assert first.state.fault is not None and first.state.fault.code == "cancelled"
    assert first.wait(SECONDS)
    assert not paths.backend_python().is_file(), "a half-made environment is in use"
    assert {entry.name for entry in Path(tempfile.gettempdir()).iterdir()} == before, "pip's temporary files are left behind"
    second = SetupProcess("install", release[0], options(release), Path(sys.executable))
    run_to_end(second)
    assert second.state.fault is None, second.state.fault
    assert imports(PROOF) and not list(home.rglob(claim.MARKER)) and not list(home.rglob("temporary"))
    assert second.state.plan["disk"] > 0 and second.state.share == 1.0


def test_a_missing_package_is_said_and_the_former_environment_stays(tmp_path: Path, home: Path) -> None:
    release = make_release(tmp_path)
    next(release[1].glob("tinypackage*")).unlink()
    process = SetupProcess("install", release[0], options(release), Path(sys.executable))
    run_to_end(process)
    fault = process.state.fault
    assert fault is not None and fault.code == "setup-network" and fault.hint and "tinypackage" in fault.log_tail
    assert not paths.backend_python().is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends the tree by a Job Object")
def test_it_ends_with_the_program_that_started_it(tmp_path: Path, home: Path) -> None:
    release = make_release(tmp_path)
    script = (
        "import sys, time; from pathlib import Path; from bridge.setup.child import SetupProcess\n"
        "p = SetupProcess('install', Path(sys.argv[1]), sys.argv[2:], Path(sys.executable))\n"
        "while p._process is None: time.sleep(0.01)\n"
        "print(p._process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(release[0]), *options(release)]
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: is_gone(pid), 20.0)


def test_two_at_once_do_not_disturb_each_other(tmp_path: Path, home: Path) -> None:
    release = make_release(tmp_path)
    chosen = a_plan(release)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "bridge.setup"])
    try:
        wait_until(lambda: claim._is_setting_up(other.pid), SECONDS)  # a process that just started has no words yet
        chosen.folder.mkdir(parents=True)
        (chosen.folder / claim.MARKER).write_text(json.dumps({"done": [], "pid": other.pid}))
        with pytest.raises(Fault) as caught:
            install.install(chosen, nothing)
        assert caught.value.code == "setup-busy"
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_home_is_said(tmp_path: Path, home: Path) -> None:
    release = make_release(tmp_path)
    home.mkdir()
    home.chmod(0o500)
    with pytest.raises(Fault) as caught:
        install.install(a_plan(release), nothing)
    assert caught.value.code == "setup-read-only"


def test_a_place_where_nothing_can_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = make_release(tmp_path)
    (tmp_path / "a file").write_text("precious")
    for place in (tmp_path / "a file" / "home", Path("/proc/autter")):
        monkeypatch.setenv(paths.HOME_VARIABLE, str(place))
        with pytest.raises(Fault) as caught:
            install.install(a_plan(release), nothing)
        assert caught.value.code == "setup-read-only" and paths.HOME_VARIABLE in caught.value.hint
    assert (tmp_path / "a file").read_text() == "precious"


def test_a_full_disk_is_said_before_anything_is_begun(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = make_release(tmp_path)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 2**20))
    with pytest.raises(Fault) as caught:
        install.install(a_plan(release), nothing)
    assert caught.value.code == "disk-full" and "MB" in caught.value.sentence
    assert not list(home.rglob(claim.MARKER))
    chosen = a_plan(release)
    chosen.folder.mkdir()
    with (chosen.folder / "large").open("wb") as file:
        file.truncate((chosen.disk - 4) * 2**20)  # a former attempt came so far before the disk was full
    plan.check_place(chosen)


def test_a_zip_without_its_wheel_and_a_source_that_is_no_folder(tmp_path: Path, home: Path) -> None:
    for data, source, code in ((tmp_path, None, "setup-incomplete-zip"), (make_release(tmp_path)[0], tmp_path / "no", "setup-source")):
        with pytest.raises(Fault) as caught:
            plan.make_plan(data, source, Path(sys.executable))
        assert caught.value.code == code and caught.value.hint


def test_a_name_that_leads_elsewhere_is_not_followed(home: Path) -> None:
    home.mkdir()
    paths.current_environment_file().write_text("../../elsewhere")
    assert paths.default_environment() == paths.environments_dir() / "none"


@pytest.mark.parametrize(
    ("found", "build"),
    [
        (hardware.Hardware("Linux", "x86_64"), "cpu"),
        (hardware.Hardware("Linux", "x86_64", rocm=True), "rocm"),
        (hardware.Hardware("Darwin", "arm64"), "mps"),
        (hardware.Hardware("Darwin", "x86_64"), "cpu"),
        (hardware.Hardware("Windows", "amd64", 13000, (hardware.Card("RTX 5090", (12, 0)),)), "cu130"),
        (hardware.Hardware("Linux", "x86_64", 12080, (hardware.Card("RTX 4090", (8, 9)),)), "cu126"),
        (hardware.Hardware("Linux", "x86_64", 13010, (hardware.Card("GTX 1080", (6, 1)),)), "cu126"),
        (hardware.Hardware("Linux", "x86_64", 11040, (hardware.Card("RTX 3080", (8, 6)),)), "cpu"),
        (hardware.Hardware("Linux", "x86_64", 12080, (hardware.Card("GTX 680", (3, 0)),)), "cpu"),
    ],
)
def test_the_build_fits_the_card_and_its_driver(found: hardware.Hardware, build: str) -> None:
    chosen, reason = hardware.torch_build(found)
    assert chosen == build and reason.endswith(".")
    sources = hardware.torch_sources(chosen, "2.13.0")
    assert all(words[0].startswith("torch==2.13.0") for words in sources)
    assert (sources[-1] == ["torch==2.13.0"]) == (chosen in ("cpu", "mps", "cu130")), "PyPI's build is no stand-in for this card's"
    if sys.platform == "linux":  # the wheels for cards leave the cards' libraries to packages of their own
        assert [hardware.needs_more(chosen, words) for words in sources][0] == (chosen not in ("cpu", "mps"))
        assert hardware.needs_more("cpu", ["torch==2.13.0"]) and not hardware.needs_more("cpu", ["torch==2.13.0+cpu"])


def test_pips_are_asked_for_what_they_can() -> None:
    assert tools.options_of_pip((23, 2)) == ("--progress-bar=off",)
    assert tools.options_of_pip((24, 2)) == ("--progress-bar=raw",)
    assert tools.options_of_pip((25, 3)) == ("--progress-bar=raw", "--resume-retries=20")
    assert tools.download_options(Path("/no/python")) == ("--progress-bar=off",)


class Mirror(BaseHTTPRequestHandler):
    """A proxy behind which a mirror of packages lies, as in a closed network. ``wheels``: what the mirror has."""

    wheels: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)  # through a proxy: the whole address
        name = unquote(urlsplit(self.path).path).rstrip("/").rpartition("/")[2]
        if name.endswith(".whl"):
            body = (self.wheels / name).read_bytes()
        else:
            found = [path.name for path in self.wheels.iterdir() if path.name.partition("-")[0] == name.replace("-", "_")]
            body = "".join(f'<a href="/files/{quote(wheel)}">{wheel}</a>' for wheel in found).encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html" if not name.endswith(".whl") else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_mirror_behind_a_proxy(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's own configuration and HTTP_PROXY reach the set-up; a proxy that is gone is told as the network."""
    release = make_release(tmp_path)
    monkeypatch.setattr(Mirror, "wheels", release[1], raising=False)
    monkeypatch.setattr(Mirror, "asked", [], raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[global]\nindex-url = http://mirror.invalid/simple\ntrusted-host = mirror.invalid\nretries = 0\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    words = ["--build", "cpu", "--proof", PROOF]
    process = SetupProcess("install", release[0], words, Path(sys.executable))
    run_to_end(process)
    server.shutdown()
    server.server_close()
    thread.join()
    assert process.state.fault is None, process.state.fault.log_tail
    assert imports(PROOF) and any(address.startswith("http://mirror.invalid/simple/torch") for address in Mirror.asked)

    again = SetupProcess("install", make_release(tmp_path / "newer", "0.0.2")[0], words, Path(sys.executable))
    run_to_end(again)
    assert again.state.fault is not None and again.state.fault.code == "setup-network" and "PROXY" in again.state.fault.hint
    assert imports(PROOF), "the environment that works is no longer in use"
