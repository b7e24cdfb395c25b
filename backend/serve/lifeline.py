# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend must not outlive the program that started it: three watches that need nobody's help.

The end of standard input (everywhere), PR_SET_PDEATHSIG (Linux) and a change of the parent's process id (POSIX). On
Windows the starting side adds a Job Object.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PARENT_CHECK_SECONDS = 2.0
LONGEST_FIRST_LINE = 4096
_STANDARD_INPUT = 0


def read_first_line() -> bytes:
    """The first line of standard input without its end, read byte by byte so that nothing after it is swallowed."""
    line = bytearray()
    while len(line) < LONGEST_FIRST_LINE:
        # os.read, not sys.stdin: a thread that waits in a buffered reader makes the interpreter abort at its end.
        byte = os.read(_STANDARD_INPUT, 1)
        if byte in (b"", b"\n"):
            break
        line += byte
    return bytes(line)


def watch(ended: Callable[[str], None], *, child: bool) -> None:
    """Calls ``ended(reason)`` from a thread when the parent is gone. ``child``: a program started us, not a person."""
    if child and sys.platform != "win32":
        _ask_for_signal()
        parent = os.getppid()
        _start(lambda: _watch_parent(parent, ended))
    _start(lambda: _watch_input(ended))


def handle_signals(ended: Callable[[str], None]) -> None:
    """Ends orderly on SIGTERM, SIGINT and SIGHUP. Main thread only.

    A handler in Python runs only when the main thread next runs bytecode, and a signal that comes just before that thread
    falls asleep in a lock would wait with it. The wake-up descriptor is written by the handler in C, so a thread that reads
    it hears every signal at once.
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # nohup and the shell's & are respected
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, _nothing)
    _start(lambda: _watch_signals(heard, told, ended))


def _nothing(_received: int, _frame: object) -> None:
    """The signal has been told through the wake-up descriptor already."""


def _watch_signals(heard: socket.socket, _told: socket.socket, ended: Callable[[str], None]) -> None:
    """Waits for signals' numbers; ``_told`` is held here so that the descriptor stays open as long as somebody listens."""
    while received := heard.recv(1):
        ended(signal.Signals(received[0]).name)


def limit_ending(seconds: float) -> None:
    """Ends the process after ``seconds`` whatever happens, even if an extension module holds the interpreter's lock."""
    with suppress(RuntimeError, OSError, ValueError):
        # A watchdog thread in C: the only one that needs no interpreter lock to end the process.
        faulthandler.dump_traceback_later(seconds, exit=True)


def _ask_for_signal() -> None:
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _watch_parent(parent: int, ended: Callable[[str], None]) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    ended("the parent process ended")


def _watch_input(ended: Callable[[str], None]) -> None:
    with suppress(OSError):
        while os.read(_STANDARD_INPUT, 4096):
            pass
    ended("standard input was closed")


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="autter-lifeline", daemon=True).start()
