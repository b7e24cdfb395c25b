# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that a piece of code waits for nobody: whatever could keep a thread waiting is refused while it runs.

A clock would tell how busy the computer is; this tells whether the code can be held up at all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

WAITING_NAMES = frozenset(("sleep", "select", "poll", "epoll", "communicate", "waitpid", "wait4", "fork_exec", "join", "fsync", "system"))
WAITING_MODULES = frozenset(("_socket", "select", "_posixsubprocess", "_ssl"))
SOCKET_CALLS = frozenset(("send", "sendall", "sendto", "recv", "recv_into", "connect", "accept"))
FILE_CALLS = frozenset(("open", "read", "write", "flush", "stat", "scandir", "listdir", "unlink", "replace", "mkdir", "rmdir"))
FILE_MODULES = frozenset(("_io", "posix", "nt", "io"))


class WouldWait(AssertionError):
    """Something was called that may keep its thread waiting."""


@contextmanager
def no_waiting() -> Iterator[None]:
    """In this thread nothing may be called that waits: no sleep, no lock that is held, no socket, no file, no process."""
    refused: list[str] = []

    def watch(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and (name := _waits(called)) and not _starts_a_thread(frame):
            refused.append(f"{name} at {frame.f_code.co_filename}:{frame.f_lineno}")

    former = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(former)
    if refused:
        raise WouldWait(f"the main thread could have waited: {refused}")


def _waits(called: Any) -> str:
    """The name of a C function that may wait, empty for others."""
    name = getattr(called, "__name__", "")
    owner = getattr(called, "__self__", None)
    module = getattr(called, "__module__", None) or type(owner).__module__
    place = owner.__name__ if type(owner).__name__ == "module" else module
    if name in WAITING_NAMES and not isinstance(owner, (str, bytes)):
        return f"{place}.{name}"
    if place in WAITING_MODULES or (place in FILE_MODULES and name in FILE_CALLS) or (place == "socket" and name in SOCKET_CALLS):
        return f"{place}.{name}"
    if name in ("acquire", "__enter__", "acquire_lock") and "lock" in type(owner).__name__.lower() and owner.locked():
        return f"a held {type(owner).__name__}"
    return "a queue's get" if name == "get" and "Queue" in type(owner).__name__ else ""


def _starts_a_thread(frame: FrameType | None) -> bool:
    """Whether this happens inside ``Thread.start``, which waits for the new thread's first step and for nothing of ours."""
    while frame is not None:
        if frame.f_code.co_name == "start" and frame.f_code.co_filename.endswith("threading.py"):
            return True
        frame = frame.f_back
    return False
