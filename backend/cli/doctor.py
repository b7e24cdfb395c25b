# SPDX-License-Identifier: GPL-3.0-or-later
"""Look whether everything is in place. Leaves with 2 where something that is needed is missing."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """``doctor`` has no options of its own."""


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prints a line for each finding."""
    from ..doctor import examine

    findings = examine()
    width = max(len(finding.name) for finding in findings)
    for finding in findings if not arguments.quiet else ():
        mark = "ok     " if finding.ok else "MISSING" if finding.needed else "note   "
        print(f"{mark} {finding.name:{width}}  {finding.detail}")
        if finding.hint:
            print(f"{'':{width + 8}}  {finding.hint}")
    ready = all(finding.ok for finding in findings if finding.needed)
    if not arguments.quiet:
        print("Everything is in place." if ready else "Something is missing.")
    return {"ok": ready, "findings": [asdict(finding) for finding in findings]}
