# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment variables of programs that run another Python than Blender's. Standard library only: the set-up needs it too."""

from __future__ import annotations

import os

SOURCE_VARIABLE = "AUTTER_SOURCE"  # developers: the checkout whose `backend` and `bridge` are to run
# Blender's own Python settings would make another Python load the wrong standard library.
UNWANTED_VARIABLES = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONEXECUTABLE",
    "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV",
)


def child_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would mislead another Python; ``extra`` has the last word."""
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED_VARIABLES}
    if source := os.environ.get(SOURCE_VARIABLE, "").strip():
        environment["PYTHONPATH"] = source
    environment.update(PYTHONUTF8="1", PYTHONIOENCODING="utf-8")
    environment.update(extra or {})
    return environment
