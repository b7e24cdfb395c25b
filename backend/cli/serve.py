# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for jobs on a local socket. Blender starts this by itself; in a terminal it shows address and token."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """The server's own options."""
    from ..serve import server

    if hasattr(server, "add_arguments"):
        server.add_arguments(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Serves until the parent, a client or a signal ends it."""
    from ..serve import server

    if hasattr(server, "run"):
        return server.run(arguments)
    status = server.serve()
    return {"ok": status == 0}
