# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job does: the pipeline behind the requests. Heavy imports wait until the first job needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bridge.reuse import Reuse
from bridge.shot import Shot, Track

Fields = dict[str, Any]
Arrays = dict[str, NDArray[Any]]
ProgressCallback = Callable[[int, int, str], None]
PreviewCallback = Callable[[NDArray[np.uint8]], None]


class Runner(Protocol):
    """The work behind the requests. Every method runs on the one worker thread; ``progress`` may raise to cancel."""

    def warm_up(self) -> str:
        """Called once, when no job waits. The name of the device that models run on."""

    def portrait(self, path: Path, progress: ProgressCallback) -> tuple[Fields, Arrays]:
        """Fields and arrays of the ``portrait`` result."""

    def predict(
        self, shot: Shot, progress: ProgressCallback, *, window: tuple[int, int] | None = None, edited: tuple[int, int] | None = None
    ) -> Track:
        """The landmark track of a shot, of a window of it, or of what an edit of some rows reaches."""

    def capture(self, path: Path, progress: ProgressCallback) -> Track:
        """Landmarks, motion and estimated AUs of a video of a face."""

    def render(
        self,
        shot: Shot,
        track: Track,
        out: Path,
        progress: ProgressCallback,
        *,
        frames: tuple[int, int] | None,
        keep_partial: bool,
        preview: PreviewCallback,
        reuse: Reuse | None = None,
    ) -> Fields:
        """Writes a movie. The report that goes into the result. ``keep_partial``: a cancelled render leaves what is done.

        ``reuse``: frames that are taken over from a former movie.
        """

    def preview_frame(self, shot: Shot, track: Track, frame: int, progress: ProgressCallback) -> NDArray[np.uint8]:
        """One frame, (height, width, 3) uint8 RGB."""

    def free_memory(self) -> None:
        """Lets go of all models."""
