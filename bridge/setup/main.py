# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-up as a program of its own: it prints one JSON object a line, so that whoever started it never waits.

``{"phase", "share", "detail"}`` while it works, at the end ``{"ended": true, "folder"}`` or ``{"ended": true, "fault"}``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..faults import Fault
from ..interrupt import raise_when_interrupted
from .extras import NAMES
from .install import install, repair, uninstall
from .plan import PROOF, make_plan

_CANCELLED = Fault("cancelled", "The set-up was cancelled; it goes on where it stopped.", "Press Set Up Backend again to go on.")
TASKS = ("install", "repair", "uninstall")
_PARENT_CHECK_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one task; 0 when it was done, 2 when something stopped it."""
    parser = argparse.ArgumentParser(prog="setup", description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--data", type=Path, required=True, help="folder with the backend's wheel and locks")
    parser.add_argument("--source", type=Path, help="folder of wheels to install from, without a network")
    parser.add_argument("--python", type=Path, help="Python 3.11 to 3.13 to make the environment with")
    parser.add_argument("--build", help="build of torch: cpu, mps, rocm, cu126 or cu130")
    parser.add_argument("--proof", default=PROOF, help="modules that must import at the end")
    parser.add_argument("--extra", action="append", default=[], choices=NAMES, help="also these packages: sd15, for Stable Diffusion")
    parser.add_argument("--parent", type=int, help="process id of the program that started this: end when it ends")
    chosen = parser.parse_args(arguments)
    if chosen.parent and sys.platform != "win32":  # where the parent's end is seen by a change of its number
        threading.Thread(target=_watch_parent, args=(chosen.parent,), daemon=True).start()
    raise_when_interrupted()
    try:
        _say({"ended": True, **_do(chosen)})
    except Fault as fault:
        _say({"ended": True, "fault": fault.to_dict()})
        return 2
    except KeyboardInterrupt:
        _say({"ended": True, "fault": _CANCELLED.to_dict()})
        return 2
    return 0


def _do(chosen: argparse.Namespace) -> dict[str, Any]:
    if chosen.task == "uninstall":
        return {"removed": [str(folder) for folder in uninstall()]}
    plan = make_plan(chosen.data, chosen.source, chosen.python, chosen.build, chosen.proof, chosen.extra)
    _say({"phase": "plan", "share": 0.0, "detail": plan.reason, **plan.to_dict()})
    if chosen.task == "repair":
        return {"repaired": repair(plan, _report), "folder": str(plan.folder)}
    return {"folder": str(install(plan, _report))}


def _report(phase: str, share: float, detail: str) -> None:
    _say({"phase": phase, "share": round(share, 4), "detail": detail})


def _say(message: dict[str, Any]) -> None:
    with suppress(OSError, ValueError):  # nobody listens any more: the watch on the parent ends this
        print(json.dumps(message), flush=True)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os.killpg(0, signal.SIGKILL)  # its own group: pip goes too


if __name__ == "__main__":
    sys.exit(main())
