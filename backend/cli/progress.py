# SPDX-License-Identifier: GPL-3.0-or-later
"""A progress bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import signal
import sys
from types import TracebackType
from typing import Any

from bridge.faults import Fault
from bridge.interrupt import interrupt


class ProgressBar:
    """Callable with (done, total, phase); one bar for each phase. A context manager.

    With ``gentle_interrupt`` the first Ctrl-C makes the next call raise Fault ``cancelled``, so that what is done can be
    kept; the second interrupts at once.
    """

    def __init__(self, quiet: bool = False, gentle_interrupt: bool = False) -> None:
        self._gentle, self._interrupted = gentle_interrupt, False
        self._former_handler: Any = None
        self._shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._bar: Any = None
        self._phase = ""

    def __call__(self, done: int, total: int, phase: str) -> None:
        if self._interrupted:
            raise Fault("cancelled", "The command was interrupted.", "Run it again when you want it.")
        if not self._shown:
            return
        from tqdm import tqdm

        if self._bar is None or phase != self._phase:
            self._close()
            self._phase = phase
            self._bar = tqdm(total=total, desc=phase, unit="frame" if phase in ("rendering", "motion", "tracking") else "step", leave=False)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> ProgressBar:
        if self._gentle:
            self._former_handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()
        if self._gentle:
            signal.signal(signal.SIGINT, self._former_handler)

    def _interrupt(self, *_: object) -> None:
        if self._interrupted:
            interrupt()
        self._interrupted = True

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
