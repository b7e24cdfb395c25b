# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of the real backend: ``backend.pipeline``, imported with the first job."""

from __future__ import annotations

import dataclasses
import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.reuse import Reuse
from bridge.shot import Shot, Track

from .memory import give_back_heap
from .runner import Arrays, Fields, PreviewCallback, ProgressCallback


class PipelineRunner:
    """Does the work with the trained models, which stay loaded between jobs."""

    def warm_up(self) -> str:
        """Imports what every job needs; the device that models run on."""
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"

    def portrait(self, path: Path, progress: ProgressCallback) -> tuple[Fields, Arrays]:
        """Finds the landmarks of a portrait."""
        from backend import pipeline

        progress(0, 1, "finding the face")
        face = pipeline.load_face(path)
        width, height = face.size
        arrays = {"landmarks": np.asarray(face.landmarks, np.float32), "mesh": np.asarray(face.mesh, np.float32)}
        return {"portrait_size": [int(width), int(height)]}, arrays

    def predict(
        self, shot: Shot, progress: ProgressCallback, *, window: tuple[int, int] | None = None, edited: tuple[int, int] | None = None
    ) -> Track:
        """The landmark track of a shot, of a window of it, or of what an edit of some rows reaches."""
        from backend import pipeline

        return pipeline.predict(shot, progress, window, edited)

    def capture(self, path: Path, progress: ProgressCallback) -> Track:
        """Landmarks, motion and estimated AUs of a video of a face."""
        from backend import pipeline

        return pipeline.track_movie(path, progress)

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
        """Writes the movie."""
        from backend import pipeline

        report = pipeline.render(shot, track, out, progress, frames=frames, preview=preview, keep_partial=keep_partial, reuse=reuse)
        return plain(report)

    def preview_frame(self, shot: Shot, track: Track, frame: int, progress: ProgressCallback) -> NDArray[np.uint8]:
        """One frame of the movie."""
        from backend import pipeline

        return pipeline.preview_frame(shot, track, frame, progress)

    def tiers(self) -> dict[str, Any]:
        """What is worth knowing of each tier before a render, see ``sd15.tier.tell``."""
        from backend.synthesis.sd15 import tier
        from bridge.shot import RenderSettings

        return {"sd15": tier.tell(RenderSettings(tier="sd15"))}

    def free_memory(self) -> None:
        """Lets go of the models."""
        from backend import pipeline

        pipeline.free_memory()
        gc.collect()
        if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        give_back_heap()


def plain(report: Any) -> dict[str, Any]:
    """A report (a dataclass or a mapping) as JSON can hold it."""
    data = dataclasses.asdict(report) if dataclasses.is_dataclass(report) and not isinstance(report, type) else dict(report)
    return {str(key): _plain_value(value) for key, value in data.items()}


def _plain_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_value(item) for item in value]
    return str(value)
