# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that travel with the jobs of a backend on another computer: how they are named, cut up and limited.

A file goes up in pieces (``upload``) and is known by its sha256 from then on; a request names it ``upload:SHA256.ending``. A finished
movie comes back in pieces that the client asks for one by one (``download``, answered by ``piece``), and ``discard`` removes it there.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from .faults import Fault
from .messages import Message

PIECE_BYTES = 1024 * 1024  # small enough that a cancellation is soon heard on a slow line
LARGEST_FILE = 2 * 2**30
LARGEST_FOLDER = 8 * 2**30  # of all files of one connection
MOST_FILES = 500
FILES_FIELD, FILES_TRAVEL = "files", "travel"  # in the hello of a backend that takes files
_SCHEME = "upload:"
_NAME = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]{1,8})?")
_ENDING = re.compile(r"\.[a-z0-9]{1,8}")


def is_name(name: object) -> bool:
    """Whether ``name`` is one that an uploaded file can have: never a path."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def name_of(path: Path) -> str:
    """sha256 of a file and its ending. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    ending = path.suffix.lower()
    return digest + (ending if _ENDING.fullmatch(ending) else "")


def reference(name: str) -> str:
    """What stands in a request instead of a path."""
    return _SCHEME + name


def referred(value: object) -> str:
    """The name in such a reference. Raises Fault ``path-outside`` for anything else, whatever it is."""
    if isinstance(value, str) and value.startswith(_SCHEME) and is_name(value.removeprefix(_SCHEME)):
        return value.removeprefix(_SCHEME)
    raise Fault(
        "path-outside",
        "The request names a file that was not sent to this backend.",
        "Choose the backend's address in AUtter's preferences, so that files are sent along.",
    )


def with_files(request: Message, change: Any) -> Message:
    """The request with every file that it reads named anew: ``change(path)`` gives the new name.

    Files are the path of a portrait or video, a shot's portrait and recordings, and a former take. What says where to write is left alone.
    """
    fields = dict(request.fields)
    if "path" in fields:
        fields["path"] = change(fields["path"])
    shot = fields.get("shot")
    if isinstance(shot, dict):
        voice = shot.get("voice", [])
        pieces = [{**piece, "path": change(piece.get("path"))} if isinstance(piece, dict) else piece for piece in voice]
        fields["shot"] = {**shot, "portrait": change(shot.get("portrait")), "voice": pieces}
    if isinstance(fields.get("reuse"), dict):
        fields["reuse"] = {**fields["reuse"], "path": change(fields["reuse"].get("path"))}
    return replace(request, fields=fields)
