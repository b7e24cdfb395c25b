# SPDX-License-Identifier: GPL-3.0-or-later
"""Face crops of prepared clips and rendered people, decoded once and kept as plain arrays.

A prepared file is an npz with landmarks of every frame, and either the path of its video or the pictures themselves. Its
crops are written as ``<name>.npy`` (n, 256, 256, 3) uint8, which training maps into memory, and ``<name>.npz``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.small.crop import Crop, resized, shot_crop
from backend.synthesis.small.runtime import NETWORK_SIDE

_ROOM = 1.08  # crops are kept a little wider than at render time, so that augmentation may shift and zoom
SAME_PERSON = ("grid",)  # data sets whose clips all show one person
MANY_PEOPLE = ("actors",)  # data sets of many people, of whom some can be spared


@dataclass(frozen=True)
class FaceClip:
    """Frames of one person under one camera.

    ``frames``: (n, 256, 256, 3) uint8, usually mapped from disk. ``points``: (n, 162, 2) float32 crop coordinates. ``aus``: (n, 18)
    float32 0..5, NaN where nobody knows. ``consecutive``: whether row i follows row i - 1 in time. ``validation``: whether it is held out.
    ``originals``: so many rows were seen by a camera, the others were made of them by warps (``stills.py``); None: all.
    """

    name: str
    dataset: str
    person: str
    frames: NDArray[np.uint8]
    points: NDArray[np.float32]
    aus: NDArray[np.float32]
    consecutive: bool
    validation: bool
    originals: int | None = None


def held_out(stem: str, modulo: int = 10) -> bool:
    """Whether a clip is validation: sha256 of its stem, as an integer, is 1 modulo ``modulo``."""
    return int(hashlib.sha256(stem.encode()).hexdigest(), 16) % modulo == 1


def for_choosing(clip: FaceClip) -> bool:
    """Whether a person is kept out of training to choose settings by, so that nobody chooses by the held-out figures.

    Every ninth or so of the rendered people; the real ones are too few to spare any.
    """
    return clip.dataset in MANY_PEOPLE and not clip.validation and held_out(clip.person, 9)


def load_clips(folder: Path) -> list[FaceClip]:
    """All cached clips of a folder, sorted by name; frames are mapped, not read."""
    clips = []
    for notes in sorted(folder.glob("*.npz")):
        with np.load(notes, allow_pickle=False) as data:
            fields = {key: data[key] for key in data.files}
        clips.append(
            FaceClip(
                name=notes.stem,
                dataset=str(fields["dataset"]),
                person=str(fields["person"]),
                frames=np.load(notes.with_suffix(".npy"), mmap_mode="r", allow_pickle=False),
                points=fields["points"],
                aus=fields["aus"],
                consecutive=bool(fields["consecutive"]),
                validation=bool(fields["validation"]),
                originals=originals_of(fields),
            )
        )
    return clips


def originals_of(fields: dict[str, Any]) -> int | None:
    """The stored number of a clip's originals."""
    return int(fields["originals"]) if "originals" in fields else None


def write_clip(folder: Path, clip: FaceClip) -> None:
    """Writes a clip into the cache, the notes last: a clip without notes is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{clip.name}.npy", clip.frames)
    notes: dict[str, Any] = {"dataset": clip.dataset, "person": clip.person, "consecutive": clip.consecutive, "validation": clip.validation}
    notes |= {} if clip.originals is None else {"originals": clip.originals}
    partial = folder / f".{clip.name}.partial.npz"
    arrays: dict[str, Any] = {key: np.array(value) for key, value in notes.items()}
    np.savez(partial, points=clip.points, aus=clip.aus, **arrays)
    partial.replace(folder / f"{clip.name}.npz")


def crop_clip(
    name: str,
    dataset: str,
    person: str,
    pictures: list[NDArray[np.uint8]],
    landmarks: NDArray[np.float32],
    aus: NDArray[np.float32],
    validation: bool,
    consecutive: bool = True,
) -> FaceClip:
    """A clip from whole pictures (h, w, 3) and landmarks (n, 162, 2) in their pixels. One crop serves all frames."""
    middle = np.median(landmarks, axis=0).astype(np.float32)
    tight = shot_crop(middle, landmarks)
    side = int(tight.side * _ROOM)
    crop = Crop(tight.left - (side - tight.side) // 2, tight.top - (side - tight.side) // 2, side)
    frames = np.stack([resized(crop.cut(picture), NETWORK_SIDE) for picture in pictures])
    return FaceClip(name, dataset, person, frames, crop.to_unit(landmarks), np.asarray(aus, np.float32), consecutive, validation)


def cache_prepared(prepared: Path, dataset: str, folder: Path, held_out_people: tuple[str, ...] = ()) -> list[FaceClip]:
    """Caches one prepared npz unless it is there already. Returns the new clips, one per segment.

    An npz may name ``segments`` (k, 2), first and last + 1 rows of the parts to use; each gets a crop of its own.
    ``held_out_people``: stems that are validation as a whole (people nobody trains on).
    """
    name = f"{dataset}_{prepared.stem}"
    if any(folder.glob(f"{name}.npz")) or any(folder.glob(f"{name}-[0-9]*.npz")):
        return []
    with np.load(prepared, allow_pickle=False) as data:
        fields = {key: data[key] for key in data.files}
    person = dataset if dataset in SAME_PERSON else prepared.stem
    if "validation" in fields:
        validation = bool(fields["validation"])
    else:
        validation = prepared.stem in held_out_people or (dataset in SAME_PERSON and held_out(prepared.stem))
    aus = fields["aus"] if "aus" in fields else _estimated_aus(fields["blendshapes"])
    consecutive = bool(fields.get("consecutive", "video" in fields))
    clips = []
    for index, rows in enumerate(_segments(fields)):
        shown = rows + int(fields.get("first_frame", 0))  # a piece of a longer video
        pictures = [fields["images"][row] for row in rows] if "images" in fields else _video_rows(str(fields["video"]), shown)
        part = f"{name}-{index}" if "segments" in fields else name
        clips.append(crop_clip(part, dataset, person, pictures, fields["landmarks"][rows], aus[rows], validation, consecutive))
        write_clip(folder, clips[-1])
    return clips


def _segments(fields: dict[str, NDArray]) -> list[NDArray[np.int64]]:
    """Rows of each part to use: those where a face was found, within the segments named, or all."""
    count = len(fields["landmarks"])
    found = fields["found"].astype(bool) if "found" in fields else np.ones(count, bool)
    spans = fields["segments"].tolist() if "segments" in fields else [[0, count]]
    return [first + np.flatnonzero(found[first:last]) for first, last in spans]


def _video_rows(path: str, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    from backend.video.read import read_frames

    wanted = set(rows.tolist())
    return [frame for index, frame in enumerate(read_frames(path)) if index in wanted]


def _estimated_aus(blendshapes: NDArray[np.float32]) -> NDArray[np.float32]:
    from backend.portrait.action_units import estimate_aus

    return estimate_aus(blendshapes)
