# SPDX-License-Identifier: GPL-3.0-or-later
"""``benchmark --stage blender``: what an animator waits for inside Blender: writing, playing, a live edit, stalls.

It runs in the Blenders that ``build.py setup`` has made, so it needs a checkout of the project.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bridge.faults import Fault

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {"write": 0.15, "live edit": 0.25, "stall": 5.0, "play": 0.6}
LONGEST = 900


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this stage."""
    parser.add_argument("--blender", metavar="VERSION", help="4.2, 4.5, 5.0 or 5.2 (default: all that are set up)")
    parser.add_argument("--no-backend", action="store_true", help="leave out the live edit, which starts a backend")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures in one Blender after the other and prints a table. Raises Fault ``blender-missing`` or ``benchmark-failed``."""
    reports = {version: measure(version, python, not arguments.no_backend) for version, python in interpreters(arguments.blender).items()}
    print_table(reports)
    return {"limits": LIMITS, "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None, "blender": reports}


def interpreters(version: str | None) -> dict[str, Path]:
    """The Python of each Blender that is set up, or of the one asked for."""
    inside = Path("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    found = {path.name.removeprefix("bpy-"): path / inside for path in sorted((ROOT / ".venvs").glob("bpy-*")) if (path / inside).is_file()}
    chosen = {name: python for name, python in found.items() if version in (None, name)}
    if not chosen or not (ROOT / "tools" / "blender_benchmark.py").is_file():
        what = f"Blender {version}" if version else "No Blender"
        raise Fault(
            "blender-missing", f"{what} is {'not ' if version else ''}set up here.", "Run `python3 build.py setup` in a checkout of AUtter."
        )
    return chosen


def measure(version: str, python: Path, with_backend: bool) -> dict[str, Any]:
    """The figures of one Blender, as tools/blender_benchmark.py writes them."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AUTTER_", "BLENDER_"))}
    environment["OMP_NUM_THREADS"] = "1"
    if with_backend:
        environment["AUTTER_BACKEND_PYTHON"] = sys.executable
    with tempfile.TemporaryDirectory(prefix="autter-benchmark-") as folder:
        out = Path(folder) / "figures.json"
        environment["AUTTER_HOME"] = str(Path(folder) / "home")
        command = [str(python), str(ROOT / "tools" / "blender_benchmark.py"), str(out)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
        if done.returncode or not out.is_file():
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise Fault(
                "benchmark-failed", f"Blender {version} could not be measured: {last}", "Run `python3 build.py setup` and try again."
            )
        figures: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return figures


def print_table(reports: dict[str, dict[str, Any]]) -> None:
    """A column for each Blender, and what is asked for."""
    rows: list[tuple[str, str, list[float | None]]] = [
        ("write 750 frames, ms", f"< {LIMITS['write'] * 1000:.0f}", [1000 * found["write"]["first"] for found in reports.values()]),
        ("write them again, ms", f"< {LIMITS['write'] * 1000:.0f}", [1000 * found["write"]["again"] for found in reports.values()]),
        ("play, ms a frame, median", f"< {LIMITS['play']}", [found["play"]["median"] for found in reports.values()]),
        ("play, ms a frame, best", f"< {LIMITS['play']}", [found["play"]["best"] for found in reports.values()]),
        ("play on one core, median", "", [(found["play_on_one_core"] or {}).get("median") for found in reports.values()]),
        ("play, processor, median", "", [found["play"]["busy"] for found in reports.values()]),
        ("play, keys for samples, median", "", [found["play_with_keys"]["median"] for found in reports.values()]),
        ("play with all handles, best", "", [found["play_with_handles"]["best"] for found in reports.values()]),
    ]
    live = [found.get("live") for found in reports.values()]
    for name, limit, key, scale in (
        ("live edit of a key, ms", f"< {LIMITS['live edit'] * 1000:.0f}", "edit", 1000),
        ("first prediction, 10 s, ms", "", "whole", 1000),
        ("stall of a tick, ms, median", "", "stall_median", 1),
        ("stall of a tick, ms, longest", f"< {LIMITS['stall']:.0f}", "stall_most", 1),
        ("its processor time, ms, most", "", "stall_busy", 1),
    ):
        rows.append((name, limit, [scale * found[key] if found else None for found in live]))
    print(f"{'':32s}{'wanted':>9s}" + "".join(f"{version:>9s}" for version in reports))
    for name, limit, values in rows:
        print(f"{name:32s}{limit:>9s}" + "".join(f"{value:9.2f}" if value is not None else f"{'-':>9s}" for value in values))
