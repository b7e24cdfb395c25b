# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepared clips as windows: a portrait, consecutive frames of the same person, and the drawings of their landmarks."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.sd15.crop import portrait_crop
from backend.synthesis.sd15.drawing import DRAWINGS, draw
from backend.synthesis.small.crop import Crop, resized
from backend.training.small.cache import held_out
from bridge.faults import Fault

Picture = NDArray[np.uint8]
_CLIPS_KEPT = 8  # decoded clips in memory
_LEAST_SIDE = 32  # pixels


@dataclass(frozen=True)
class Example:
    """``portrait``: (s, s, 3). ``frames``, ``drawings``: (f, s, s, 3). All uint8."""

    portrait: Picture
    frames: Picture
    drawings: Picture


@dataclass(frozen=True)
class ClipFile:
    """A prepared clip that was not decoded yet. ``rows``: its frames with a face. ``consecutive``: whether they follow each other."""

    path: Path
    rows: int
    consecutive: bool


def find_clips(data: Path) -> list[ClipFile]:
    """The training clips below a folder: one folder per data set, one npz per clip, as ``prepare`` writes them.

    Clips that are held out elsewhere are left out here, too. Raises Fault ``data-missing`` where there are none.
    """
    clips = []
    for path in sorted(data.glob("*/*.npz")) or sorted(data.glob("*.npz")):
        with np.load(path, allow_pickle=False) as fields:
            pictures = "images" in fields.files or ("video" in fields.files and str(fields["video"]))
            if not pictures or "landmarks" not in fields.files or len(fields["landmarks"]) < 2:
                continue
            validation = bool(fields["validation"]) if "validation" in fields.files else held_out(path.stem)
            consecutive = bool(fields["consecutive"]) if "consecutive" in fields.files else "video" in fields.files
            if not validation:
                clips.append(ClipFile(path, len(fields["landmarks"]), consecutive))
    if not clips:
        raise Fault(
            "data-missing", f"There are no prepared clips with pictures in {data}.", "Run `prepare` first, or name the folder with --data."
        )
    return clips


class ExampleSampler:
    """Draws examples, every clip alike; the same seed draws the same ones."""

    def __init__(self, clips: list[ClipFile], family: str, size: int, frames: int, strides: tuple[int, ...]) -> None:
        """Raises Fault ``data-missing`` where no clip is long enough."""
        longest = (frames - 1) * min(strides) + 1
        self.clips = [clip for clip in clips if clip.rows >= longest and (clip.consecutive or frames == 1)]
        if not self.clips:
            raise Fault(
                "data-missing", f"No clip has {longest} consecutive frames.", "Prepare videos with `prepare --layout clips` or `grid`."
            )
        self.drawing, self.size, self.frames, self.strides = DRAWINGS[family], size, frames, strides
        self._decoded: OrderedDict[Path, tuple[list[Picture], NDArray[np.float32]]] = OrderedDict()

    def example(self, draw_number: np.random.Generator) -> Example:
        """A random example."""
        clip = self.clips[int(draw_number.integers(len(self.clips)))]
        pictures, points = self._clip(clip)
        usable = [stride for stride in self.strides if (self.frames - 1) * stride < len(pictures)]
        stride = int(draw_number.choice(usable))
        first = int(draw_number.integers(len(pictures) - (self.frames - 1) * stride))
        rows = [first + place * stride for place in range(self.frames)]
        portrait = int(draw_number.integers(len(pictures)))
        drawings = np.stack([draw(points[row], self.drawing, self.size) for row in rows])
        return Example(pictures[portrait], np.stack([pictures[row] for row in rows]), drawings)

    def _clip(self, clip: ClipFile) -> tuple[list[Picture], NDArray[np.float32]]:
        """Squares (s, s, 3) and landmarks (n, 162, 2), 0..1, of a clip's frames with a face."""
        if clip.path not in self._decoded:
            self._decoded[clip.path] = _decode(clip.path, self.size)
            while len(self._decoded) > _CLIPS_KEPT:
                self._decoded.popitem(last=False)
        self._decoded.move_to_end(clip.path)
        return self._decoded[clip.path]


def _decode(path: Path, size: int) -> tuple[list[Picture], NDArray[np.float32]]:
    with np.load(path, allow_pickle=False) as fields:
        content: dict[str, Any] = {
            name: fields[name] for name in fields.files if name in ("landmarks", "found", "images", "video", "first_frame")
        }
    landmarks = np.asarray(content["landmarks"], np.float32)
    found = np.asarray(content.get("found", np.ones(len(landmarks), bool)), bool)
    crop: Crop | None = None
    pictures = []
    for row, picture in enumerate(_pictures(content, len(landmarks))):
        if crop is None:
            middle = np.median(landmarks[found], axis=0).astype(np.float32)
            crop = portrait_crop(middle, landmarks[found], (picture.shape[1], picture.shape[0]))
            if crop.side < _LEAST_SIDE:
                raise Fault("data-missing", f"The face in {path.name} is too small to learn from.", "Leave this clip out.")
        if found[row]:
            pictures.append(resized(crop.cut(picture), size))
    assert crop is not None
    return pictures, np.stack([crop.to_unit(row) for row in landmarks[found]][: len(pictures)])


def _pictures(content: dict[str, Any], count: int) -> Any:
    if "images" in content:
        return iter(content["images"])
    from backend.video.read import read_frames

    return read_frames(str(content["video"]), int(content.get("first_frame", 0)), count)
