# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding and reading prepared clips: one folder per data set, one npz per clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.speech.load import load_voice
from backend.training.motion.dataset import Clip, actor_clip, held_out, tracked_clip
from backend.training.prepare.prepared import is_prepared
from bridge.faults import Fault
from bridge.shot import Voice


def load_tracked(folder: Path, validation: bool | None, most: int | None = None) -> list[Clip]:
    """Clips of a folder that ``prepare`` wrote; ``validation`` chooses the held-out ones, the others, or (None) all.

    Raises Fault ``data-missing`` where there are none.
    """
    paths = [
        path for path in sorted(folder.glob("*.npz")) if (validation is None or held_out(path.stem) == validation) and is_prepared(path)
    ]
    if not paths:
        raise Fault(
            "data-missing", f"There are no prepared clips in {folder}.", "Make them with `python -m backend prepare --layout grid`."
        )
    loaded = (tracked_clip(path, clip_voice(path)) for path in paths[:most])
    return [clip for clip in loaded if clip is not None]


def load_actors(folder: Path, validation: bool | None = None, most: int | None = None) -> list[Clip]:
    """Clips of synthetic actors in a folder, by the mark they carry; none is no error."""
    paths = [path for path in sorted(folder.glob("*.npz")) if _is_wanted_actor(path, validation)]
    return [actor_clip(path, clip_voice(path)) for path in paths[:most]]


def clip_video(path: Path) -> Path:
    """The video that a prepared clip was tracked from."""
    with np.load(path, allow_pickle=False) as data:
        return Path(str(data["video"]))


def _is_wanted_actor(path: Path, validation: bool | None) -> bool:
    with np.load(path, allow_pickle=False) as data:
        return "landmarks_still" in data.files and (validation is None or bool(data["validation"]) == validation)


def clip_voice(path: Path) -> np.ndarray:
    """The clip's voice at 16 kHz, as long as its motion."""
    with np.load(path, allow_pickle=False) as data:
        frames = len(data["landmarks"])
        rate = np.atleast_1d(data["fps"]).astype(float)
        seconds = frames * (rate[1] / rate[0] if len(rate) == 2 else 1 / rate[0])
        start = float(data["audio_start"]) if "audio_start" in data.files else 0.0
        if not str(data["audio"]):  # acting without a word
            return np.zeros(round(seconds * 16000), np.float32)
        return load_voice([Voice(str(data["audio"]), trim_start=start)], seconds)
