# SPDX-License-Identifier: GPL-3.0-or-later
"""Single Action Units keyed from 0 to 5 and read again from the rendered faces; and whether a long shot drifts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_INDEX

from .synthesis_people import keyed_track, loaded_picture, middle_rows

if TYPE_CHECKING:
    from backend.training.small.cache import FaceClip

Picture = NDArray[np.uint8]
# Those that MediaPipe's blendshapes tell well; the others' estimates say more about the estimator.
SWEPT = ("AU01", "AU02", "AU04", "AU12", "AU15", "AU20", "AU25", "AU26", "AU45")
LEVELS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


def au_sweep(portraits: dict[str, Path], runtime: Any, steps: int = 2) -> dict[str, dict[str, float | None]]:
    """Per AU and portrait: Spearman's rank correlation of the intensity asked for and the reading on the rendered face."""
    from backend.synthesis.small.render import render_frames

    result: dict[str, dict[str, float | None]] = {unit: {} for unit in SWEPT}
    poses = [{unit: level} for unit in SWEPT for level in LEVELS]
    rows = middle_rows(len(poses))
    for name, portrait in portraits.items():
        track = keyed_track(portrait, poses)
        picture = loaded_picture(portrait)
        frames = render_frames(
            picture, track.portrait_landmarks, track.landmarks[rows], np.asarray(track.aus)[rows], steps=steps, runtime=runtime
        )
        readings = read_aus(list(frames))
        for index, unit in enumerate(SWEPT):
            part = slice(index * len(LEVELS), (index + 1) * len(LEVELS))
            result[unit][name] = rank_correlation(np.array(LEVELS), readings[part, AU_INDEX[unit]])
    return result


def read_aus(frames: list[Picture]) -> NDArray[np.float32]:
    """(n, 18) AUs estimated on each picture alone, relative to the first one; NaN where no face was found."""
    import mediapipe

    from backend.portrait.action_units import estimate_aus
    from backend.portrait.landmarker import open_landmarker

    shapes = np.full((len(frames), 52), np.nan, np.float32)
    with open_landmarker(faces=1) as landmarker:
        for row, frame in enumerate(frames):
            found = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame)))
            if found.face_blendshapes:
                shapes[row] = [category.score for category in found.face_blendshapes[0]]
    seen = np.isfinite(shapes[:, 0])
    result = np.full((len(frames), 18), np.nan, np.float32)
    if seen.any():
        result[seen] = estimate_aus(shapes[seen], neutral=shapes[seen][0])
    return result


def rank_correlation(asked: NDArray, found: NDArray) -> float | None:
    """Spearman's rho; 0 where the reading does not move, None where faces were not found."""
    from scipy.stats import spearmanr

    if not np.isfinite(found).all():
        return None
    return 0.0 if np.ptp(found) < 1e-6 else float(spearmanr(asked, found).statistic)


def sweep_mean(sweep: dict[str, dict[str, float | None]]) -> float | None:
    """Mean over AUs and portraits."""
    values = [value for readings in sweep.values() for value in readings.values() if value is not None]
    return float(np.mean(values)) if values else None


def drift(clip: FaceClip, rows: tuple[int, list[int]], runtime: Any, steps: int, seconds: float = 60.0, fps: float = 25.0) -> float:
    """PSNR in dB lost from the first to the last pass when a clip is driven to and fro for ``seconds`` at ``fps``.

    A network that never sees its own frames makes each frame afresh: its first and last pass are rendered, with as many frames
    between as a pass has, and not the whole minute.
    """
    from backend.synthesis.small.conditions import to_picture
    from backend.synthesis.small.render import CropRenderer

    from . import synthesis_measures as measures

    start, wanted = rows
    way = wanted + wanted[::-1]
    passes = max(round(seconds * fps / len(way)), 2) if runtime.uses_previous else 2
    renderer = CropRenderer(np.array(clip.frames[start]), clip.points[start], steps=steps, runtime=runtime)
    means = []
    for _ in range(passes):
        values = []
        for row in way:
            picture = to_picture(renderer(clip.points[row], clip.aus[row]).picture)
            values.append(measures.psnr(picture, np.array(clip.frames[row]), np.ones(picture.shape[:2], bool)))
        means.append(float(np.mean(values)))
    return means[0] - means[-1]
