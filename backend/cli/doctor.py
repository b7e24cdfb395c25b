# SPDX-License-Identifier: GPL-3.0-or-later
"""Look whether everything is in place. Leaves with 2 where something that is needed is missing."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The tier to look at, and what to do about it."""
    parser.add_argument("--fix", action="store_true", help="install again what misses files, and fetch what can be fetched")
    parser.add_argument("--tier", choices=["small", "sd15"], default="small", help="sd15: the parts of the Stable Diffusion tier")
    parser.add_argument("--weights", default="", metavar="NAME", help="with --tier sd15: one set of weights instead of all")
    parser.add_argument("--verify", action="store_true", help="with --tier sd15: compare the files' checksums (reads them all once)")
    parser.add_argument("--fetch", action="store_true", help="with --tier sd15: fetch what is missing from the Hugging Face hub first")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prints a line for each finding."""
    from ..doctor import examine

    mended = _fix(arguments.quiet, arguments.tier) if arguments.fix else []
    if arguments.tier == "sd15":
        from ..doctor_sd15 import examine_sd15

        fetched = _fetch(arguments) if arguments.fetch else []
        findings = examine_sd15(arguments.weights, arguments.verify)
    else:
        findings, fetched = examine(), []
    width = max(len(finding.name) for finding in findings)
    for finding in findings if not arguments.quiet else ():
        mark = "ok     " if finding.ok else "MISSING" if finding.needed else "note   "
        print(f"{mark} {finding.name:{width}}  {finding.detail}")
        if finding.hint:
            print(f"{'':{width + 8}}  {finding.hint}")
    ready = all(finding.ok for finding in findings if finding.needed)
    if not arguments.quiet:
        print("Everything is in place." if ready else "Something is missing.")
    return {"ok": ready, "findings": [asdict(finding) for finding in findings], "fetched": fetched, "mended": mended}


def _fix(quiet: bool, tier: str) -> list[str]:
    """Mends this environment first; what was mended."""
    from ..doctor_fix import fix

    return fix(lambda line: None if quiet else print(line, flush=True), tier)


def _fetch(arguments: argparse.Namespace) -> list[str]:
    """Fetches what is missing of the set that was asked for, AniPortrait by default; the paths of the new files."""
    from ..synthesis.sd15.catalogue import WEIGHT_SETS
    from ..synthesis.sd15.fetch import fetch_missing
    from ..synthesis.sd15.store import weight_set

    chosen = weight_set(arguments.weights or next(iter(WEIGHT_SETS)))
    return [str(path) for path in fetch_missing(chosen, arguments.quiet)]
