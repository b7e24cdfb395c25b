# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py demo`: the product's main job by real parts, from a portrait, a voice and keyed AUs to a finished shot.

A real Blender (bpy) installs the built zip and works it through the add-on's operators against a real backend process.
What is left in the output folder: talk.mp4, shot.blend, sheet.png. The movie is decoded again and checked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, List, Optional

from tools import release
from tools.environments import BACKEND, Environment, preferred_blender, set_up
from tools.say import ROOT, BuildFault, StatusLine, clean_environment, say, tail

SAMPLE = ROOT / "backend" / "sample"
MARK = "AUTTER "  # begins the lines of tools/demo_scene.py that are meant for us
LONGEST_DEMO = 1800  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `build.py demo`."""
    parser.add_argument("--portrait", type=Path, help="image of a face (default: the sample actor)")
    parser.add_argument("--audio", type=Path, help="recording of a voice (default: the sample line)")
    parser.add_argument("--aus", type=Path, help="CSV of Action Units to key, with OpenFace's columns (default: the sample's)")
    parser.add_argument("--fps", default="24", help="frame rate of the scene, e.g. 24, 29.97 or 30000/1001 (default: 24)")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="folder for the result (default: out/demo)")
    parser.add_argument("--blender", help="which Blender: 4.5, 5.0 or 5.2 (default: the one that is set up or quickest to set up)")


def run(choice: argparse.Namespace) -> int:
    """Set up, build, shoot, check, and say what came of it."""
    shot = check_arguments(choice)
    blender = blender_for(choice.blender)
    set_up([BACKEND, blender])
    began = time.monotonic()
    shot["zip"] = str(release.build_zip(blender, anew=False))
    out = Path(shot["out"])
    make_folder(out)
    with tempfile.TemporaryDirectory(prefix="autter-demo-") as scratch:
        shot["result"] = str(Path(scratch) / "result.json")
        shot["rig"] = str(Path(scratch) / "rig.npz")
        look_at_input(shot, Path(scratch))
        say("==> Shooting in Blender ({})".format(blender.name))
        result = shoot(blender, shot, Path(scratch))
        say("==> Reading the movie back and drawing the sheet")
        facts = draw_sheet(shot, Path(scratch))
    summarize(shot, result, facts, time.monotonic() - began)
    return 0


def check_arguments(choice: argparse.Namespace) -> Dict[str, Any]:
    """The shot as plain data, or a BuildFault for what can be seen without opening the files."""
    fps = frame_rate(choice.fps)
    shot: Dict[str, Any] = {"fps": [fps.numerator, fps.denominator], "out": str(choice.out.resolve())}
    defaults = {"portrait": "portrait.*", "audio": "line.*", "aus": "aus.csv"}
    for name, pattern in defaults.items():
        given = getattr(choice, name)
        path = given if given is not None else next(iter(sorted(SAMPLE.glob(pattern))), SAMPLE / pattern)
        if not path.is_file():
            kind = {"portrait": "portrait", "audio": "recording", "aus": "table of Action Units"}[name]
            raise BuildFault("The {} {} is not there.".format(kind, path), "Check the path after --{}.".format(name))
        shot[name] = str(path.resolve())
    return shot


def frame_rate(text: str) -> Fraction:
    """A rate in frames a second; NTSC rates may be written as decimals."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise BuildFault("{!r} is no frame rate.".format(text), "Use e.g. 24, 25, 29.97 or 30000/1001.") from None
    if not 1 <= rate <= 240:
        raise BuildFault("A frame rate of {} is not possible.".format(text), "Use a rate from 1 to 240.")
    ntsc = Fraction(round(rate) * 1000, 1001)
    return ntsc if rate != ntsc and abs(rate - ntsc) < Fraction(1, 100) and rate.denominator != 1 else rate


def blender_for(version: Optional[str]) -> Environment:
    """The named Blender, or the handiest. 4.2's Python module has no sound, so it cannot hold a voice strip."""
    from tools.environments import BLENDERS

    if version is None:
        return preferred_blender()
    if version not in BLENDERS or version == "4.2":
        raise BuildFault("The demo does not run in Blender {}.".format(version), "Choose 4.5, 5.0 or 5.2.")
    return BLENDERS[version]


def make_folder(folder: Path) -> None:
    """Create the output folder and prove that it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BuildFault("Nothing can be written to {}: {}.".format(folder, error.strerror), "Choose another folder with --out.") from None


def backend_answer(arguments: List[str], what: str) -> Dict[str, Any]:
    """The JSON object that one of our modules prints last in the backend's Python."""
    command = [str(BACKEND.interpreter), "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not done.stdout.strip():
        raise BuildFault(what + " failed.", "Last lines:\n" + tail(done.stderr))
    answer: Dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if "fault" in answer:
        raise BuildFault(answer["fault"])
    return answer


def look_at_input(shot: Dict[str, Any], scratch: Path) -> None:
    """Check portrait, voice and table with the backend's own readers; adds ``frames`` and ``keyed`` to the shot."""
    request = scratch / "input.json"
    request.write_text(json.dumps(shot), encoding="utf-8")
    shot.update(backend_answer(["tools.demo_input", str(request)], "Reading the input"))


def shoot(blender: Environment, shot: Dict[str, Any], scratch: Path) -> Dict[str, Any]:
    """Run tools/demo_scene.py in Blender; what it reports."""
    request = scratch / "shot.json"
    request.write_text(json.dumps(shot), encoding="utf-8")
    extra = {
        "AUTTER_BACKEND_PYTHON": str(BACKEND.interpreter),
        "AUTTER_HOME": str(ROOT / "work" / "demo-home"),
        "AUTTER_SOURCE": str(ROOT),
        "BLENDER_USER_RESOURCES": str(scratch / "blender"),
        "PYTHONUNBUFFERED": "1",
    }
    command = [str(blender.interpreter), str(ROOT / "tools" / "demo_scene.py"), str(request)]
    log: List[str] = []
    status = StatusLine()
    pipes: Dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    process = subprocess.Popen(command, cwd=scratch, env=clean_environment(extra), **pipes)
    try:
        for line in process.stdout or ():
            log.append(line.rstrip())
            if line.startswith(MARK):
                status.show(line[len(MARK) :].strip())
        code = process.wait(LONGEST_DEMO)
    finally:
        status.end()
        if process.poll() is None:
            process.kill()
    result = Path(shot["result"])
    if not result.exists():
        raise BuildFault("Blender stopped (exit code {}).".format(code), "Its last lines:\n" + tail("\n".join(log), 25))
    answer: Dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    if "fault" in answer:
        raise BuildFault(answer["fault"])
    return answer


def draw_sheet(shot: Dict[str, Any], scratch: Path) -> Dict[str, Any]:
    """Check the movie and draw the contact sheet with the backend's Python."""
    out = Path(shot["out"])
    arguments = ["tools.contact_sheet", "--portrait", shot["portrait"], "--movie", str(out / "talk.mp4")]
    arguments += ["--rig", shot["rig"], "--voice", shot["audio"], "--out", str(out / "sheet.png")]
    facts = backend_answer(arguments, "Drawing the contact sheet")
    if facts["wrong"]:
        raise BuildFault("The movie is not right. " + " ".join(facts["wrong"]))
    return facts


def summarize(shot: Dict[str, Any], result: Dict[str, Any], facts: Dict[str, Any], seconds: float) -> None:
    """What lies where, what it is, and what took how long."""
    out = Path(shot["out"])
    shown = out.relative_to(ROOT) if ROOT in out.parents else out
    width, height = facts["size"]
    say()
    say(
        "{}/talk.mp4    {} + {}, {}x{}, {} frames at {} fps, {:.2f} s (voice {:.2f} s)".format(
            shown,
            facts["video_codec"],
            facts["audio_codec"],
            width,
            height,
            facts["frames"],
            facts["fps"],
            facts["video_seconds"],
            facts["voice_seconds"],
        )
    )
    say("{}/shot.blend  actor {}, {} keyed AUs, strips: {}".format(shown, result["actor"], len(shot["keyed"]), ", ".join(result["strips"])))
    say("{}/sheet.png   portrait, rig and video side by side".format(shown))
    phases = ["{} {:.1f} s".format(name, took) for name, took in result["seconds"].items()]
    say("Blender {}: {}; {:.0f} s in all after set-up".format(result["blender"], ", ".join(phases), seconds))
    if os.name == "nt" or sys.platform == "darwin":
        say("Open {} in Blender 4.5 or newer.".format(shown / "shot.blend"))
