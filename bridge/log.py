# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backend writes on its error stream: kept in a rotating file, and the last lines in memory for reports."""

from __future__ import annotations

import logging
import logging.handlers
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO

from .privacy import without_private_paths

LARGEST_FILE = 1024 * 1024  # bytes before the file is rotated
OLD_FILES = 2
TAIL_LINES = 40
LONGEST_LINE = 2000


class BackendLog:
    """Collects lines; safe to use from several threads. A log file that cannot be written never stops the backend.

    ``keep_paths``: lines are kept as they come, with folders that may tell of a person.
    """

    def __init__(self, path: Path | None, keep_paths: bool = False) -> None:
        self.path, self._keep_paths = path, keep_paths
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lock = threading.Lock()
        self._file = _open(path)

    def add(self, line: str) -> None:
        """Keeps one line."""
        line = line.rstrip()[:LONGEST_LINE]
        line = line if self._keep_paths else without_private_paths(line)
        with self._lock:
            self._tail.append(line)
            if self._file is not None:
                self._file.emit(logging.LogRecord("autter.backend", logging.INFO, "", 0, line, None, None))

    def tail(self) -> str:
        """The last lines, oldest first."""
        with self._lock:
            return "\n".join(self._tail)

    def follow(self, stream: IO[bytes]) -> threading.Thread:
        """Starts a thread that reads ``stream`` to its end, so that the writer never waits on a full pipe."""
        thread = threading.Thread(target=self._read, args=(stream,), name="autter-backend-log", daemon=True)
        thread.start()
        return thread

    def _read(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError):  # the pipe was closed under us: the backend is gone
            while line := stream.readline(LONGEST_LINE):
                self.add(line.decode("utf-8", "replace"))

    def close(self) -> None:
        """Closes the file; the tail stays readable."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None


class _QuietFile(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the standard library's name)
        """A full disk or a file that another Blender holds open: the tail in memory goes on."""


def _open(path: Path | None) -> _QuietFile | None:
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _QuietFile(path, maxBytes=LARGEST_FILE, backupCount=OLD_FILES, encoding="utf-8", errors="backslashreplace")
    except OSError:
        return None
