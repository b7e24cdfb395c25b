# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for jobs on a local socket. Blender starts this by itself; in a terminal it shows address and token."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The server's own options."""
    parser.add_argument("--keep-running", action="store_true", help="go on when standard input ends; a signal or a client ends it")
    parser.add_argument("--tcp", action="store_true", help="listen on 127.0.0.1 instead of a socket file, e.g. behind an SSH tunnel")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Serves until the parent, a client or a signal ends it."""
    from ..serve.server import serve

    return {"ok": serve(parent_watch=not arguments.keep_running, tcp=arguments.tcp) == 0}
