# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Blender with a window, worked by simulated keyboard and mouse. Needs AUTTER_WINDOW, the command that starts one:

AUTTER_WINDOW="xvfb-run -a -s '-screen 0 1280x800x24' blender --factory-startup" build.py test --only backend -m window tests/window
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tools.release import zip_path
from tools.say import ROOT

pytestmark = [
    pytest.mark.window,
    pytest.mark.skipif(not os.environ.get("AUTTER_WINDOW"), reason="AUTTER_WINDOW names no windowed Blender"),
]
SESSION = Path(__file__).with_name("session.py")
LONGEST = 600  # seconds of one scenario
SAMPLE = Path(os.environ.get("AUTTER_WINDOW_SHOT") or ROOT / "out" / "demo" / "shot.blend")  # a predicted shot


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user folder in which the zip is unpacked as an extension."""
    folder = tmp_path_factory.mktemp("user")
    archive = Path(os.environ.get("AUTTER_ZIP", zip_path()))
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder / "resources" / "extensions" / "user_default" / "autter")
    return folder


@pytest.fixture
def blend(tmp_path: Path) -> Path:
    """Where a scenario's copy of the sample's shot goes."""
    if not SAMPLE.is_file():
        pytest.skip("needs a shot: run build.py demo, or set AUTTER_WINDOW_SHOT")
    (tmp_path / "shot").mkdir()
    return tmp_path / "shot" / "shot.blend"


def play(scenario: str, blend: Path, home: Path, out: Path) -> dict[str, object]:
    """One scenario in a Blender of its own; what it saw."""
    environment = {
        **os.environ,
        "BLENDER_USER_RESOURCES": str(home / "resources"),
        "AUTTER_HOME": str(home / "home"),
        "AUTTER_BACKEND_PYTHON": os.environ.get("AUTTER_BACKEND_PYTHON", sys.executable),
        "BLENDER_SECONDS": str(LONGEST),
    }
    words = [*shlex.split(os.environ["AUTTER_WINDOW"]), "--enable-event-simulate", "--python", str(SESSION)]
    words += ["--", scenario, str(SAMPLE), str(blend), str(out)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, errors="replace", timeout=LONGEST + 30)
    assert out.is_file(), f"status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return dict(json.loads(out.read_text()))


@pytest.mark.parametrize(
    "scenario",
    [
        "first_five_minutes",
        "buttons_of_the_guide",
        "key_and_drag",
        "predict_and_preview",
        "live",
        "render_and_cancel",
        "open_during_job",
        "fit_by_mouse",
        "edit_over_the_prediction",
        "live_by_mouse",
        "pictures_while_working",
        "tab_of_the_sequencer",
    ],
)
def test_scenario(scenario: str, blend: Path, home: Path, tmp_path: Path) -> None:
    print(play(scenario, blend, home, tmp_path / "seen.json"))


def test_quitting_during_a_render_leaves_nothing_behind(blend: Path, home: Path, tmp_path: Path) -> None:
    told = play("quit_during_job", blend, home, tmp_path / "seen.json")
    ends = time.monotonic() + 20
    while time.monotonic() < ends and _runs(int(str(told["pid"]))):
        time.sleep(0.2)
    assert not _runs(int(str(told["pid"]))), "the backend outlived Blender"
    assert not list(blend.parent.rglob("*.partial")), "a half-written file was left"


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
