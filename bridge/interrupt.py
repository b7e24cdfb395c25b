# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C and a polite kill as an exception that a program can catch and then end with an exit code of its own."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import NoReturn


class Interrupted(KeyboardInterrupt):
    """Somebody asked the program to stop.

    A kind of its own, because CPython remembers a plain KeyboardInterrupt that leaves a string run by ``exec`` or ``eval`` (as when a
    module with dataclasses or named tuples is imported): a program run by ``python -m`` then kills itself with SIGINT at its end, although
    it caught the exception (``run_eval_code_obj`` and ``Py_RunMain``, seen in 3.11 to 3.13).
    """


def raise_when_interrupted() -> None:
    """Has SIGTERM, and SIGINT where it is not ignored, raise ``Interrupted`` in the main thread. Does nothing in another thread."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, interrupt)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # nohup and the shell's & are respected
            signal.signal(signal.SIGINT, interrupt)


def interrupt(*_: object) -> NoReturn:
    """A signal's handler: raises ``Interrupted``."""
    raise Interrupted
