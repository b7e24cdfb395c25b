# SPDX-License-Identifier: GPL-3.0-or-later
"""What a panel may say of the tiers: which are ready, what they need, what is missing. Worked out seldom, for it asks the disk."""

from __future__ import annotations

import logging
import time
from typing import Any

FRESH_SECONDS = 10.0
log = logging.getLogger("autter.serve")


class TierNews:
    """The news of a runner that has any (``tiers()``). Nothing is asked before ``start``: the large imports come first."""

    def __init__(self, runner: object) -> None:
        self._ask = getattr(runner, "tiers", None)
        self._started = False
        self._asked = 0.0
        self._told: dict[str, Any] = {}

    def start(self) -> None:
        """From now on the runner may be asked."""
        self._started = True

    def current(self) -> dict[str, Any]:
        """By tier, at most ten seconds old."""
        if self._started and self._ask is not None and time.monotonic() - self._asked > FRESH_SECONDS:
            self._asked = time.monotonic()
            try:
                self._told = self._ask()
            except Exception:  # a panel without this line is better than no status
                log.exception("the tiers could not be looked at")
        return self._told
