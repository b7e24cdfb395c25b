# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for jobs on a local socket. Blender starts this by itself; in a terminal it shows address and token."""

from __future__ import annotations

import argparse
from typing import Any

from bridge.faults import Fault


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The server's own options."""
    parser.add_argument("--keep-running", action="store_true", help="go on when standard input ends; a signal or a client ends it")
    parser.add_argument("--tcp", action="store_true", help="listen on 127.0.0.1 instead of a socket file, e.g. behind an SSH tunnel")

    parser.add_argument(
        "--remote",
        action="store_true",
        help="for a Blender on another computer, through an SSH tunnel: files travel too; see command-line.md",
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="NUMBER", help="port on 127.0.0.1 for --tcp or --remote (default: any free one)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Serves until the parent, a client or a signal ends it."""
    from ..serve.server import serve

    if not 0 <= arguments.port < 65536:
        raise Fault("port-in-use", f"There is no port {arguments.port}.", "Give a number from 1024 to 65535, or leave --port out.")
    tcp = arguments.tcp or arguments.remote or arguments.port > 0
    return {
        "ok": serve(
            parent_watch=not (arguments.keep_running or arguments.remote), tcp=tcp, files_travel=arguments.remote, port=arguments.port
        )
        == 0
    }
