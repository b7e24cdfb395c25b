# SPDX-License-Identifier: GPL-3.0-or-later
"""Text for others to read, without what folders tell of a person: no home folder, no user name, no names of projects.

What is kept of a path is what helps: the file's own name, and the whole path inside Python's and AUtter's own folders.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from . import paths

KEEP_VARIABLE = "AUTTER_LOG_PATHS"  # 1: logs keep whole paths
_SYSTEM = ("/usr/", "/lib", "/opt/", "/proc/", "/dev/", "/etc/", "/bin/", "/snap/", "/Applications/", "/Library/", "/System/")
# From a separator at the start of a word to the end of the last part: inner parts may hold spaces, the last one ends at a space.
_POSIX = re.compile(r"(?<![\w./~…-])/(?:[^/\s\"'<>|*?][^/\n\"'<>|*?]*/)+[^/\s\"'<>|*?:,;()\[\]]*")
_WINDOWS = re.compile(r"(?<!\w)(?:[A-Za-z]:[\\/]|\\\\)(?:[^\\/\n\"'<>|*?:]+[\\/])+[^\\/\s\"'<>|*?:,;()\[\]]*")
_USERS_FOLDER = re.compile(r"(?:[A-Za-z]:)?[\\/](?:home|Users|Documents and Settings)[\\/][^\\/\s\"':;,]+")


def whole_paths_wanted(environment: dict[str, str] | None = None) -> bool:
    """Whether the person asked for logs with whole paths: ``AUTTER_LOG_PATHS=1``, or everything to be logged."""
    told = os.environ if environment is None else environment
    return told.get(KEEP_VARIABLE, "") == "1" or told.get("AUTTER_LOG_LEVEL", "").upper() == "DEBUG"


def without_private_paths(text: str, own: Iterable[Path] = ()) -> str:
    """``text`` with folders that tell of a person left out. ``own``: folders that may be shown whole, besides ours and Python's."""
    home = _home()
    shown = [
        *map(str, own),
        str(paths.user_data_dir()),
        str(paths.cache_dir()),
        sys.prefix,
        sys.base_prefix,
        str(Path(__file__).parents[1]),
    ]

    def shortened(found: re.Match[str]) -> str:
        path = found[0]
        if path == home or _USERS_FOLDER.fullmatch(path):
            return "~"
        if path.startswith(_SYSTEM) or any(path.startswith(folder.rstrip("/\\") + os.sep) for folder in shown if len(folder) > 1):
            return path
        return "…/" + re.split(r"[\\/]", path)[-1]

    text = _WINDOWS.sub(shortened, _POSIX.sub(shortened, text))
    if len(home) > 1:
        text = re.sub(re.escape(home) + r"(?![\w.-])", "~", text)
    text = _USERS_FOLDER.sub("~", text)
    name = _user_name()
    return re.sub(rf"(?<=[\\/]){re.escape(name)}(?=[\\/\s\"':]|$)", "USER", text) if len(name) > 1 else text


def _home() -> str:
    return os.path.expanduser("~").rstrip("/\\")


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, e.g. in a container
        return ""
