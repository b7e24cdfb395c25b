# SPDX-License-Identifier: GPL-3.0-or-later
"""Stills turned into pairs: a picture is the target, and the same picture warped to other expressions the portraits.

They cannot show what a mouth hides, but skin, beards and glasses of people of whom no film is there: what the warp of a real picture
does to it, and what is to be put right. Expressions are borrowed from clips of others, as ways of landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.small.similarity import similarity
from backend.synthesis.small.warp import apply_field, landmark_warp
from bridge.facs import AU_COUNT
from bridge.faults import Fault
from bridge.landmarks import (
    LID_LOWER_LEFT,
    LID_LOWER_RIGHT,
    LID_UPPER_LEFT,
    LID_UPPER_RIGHT,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    REGIONS,
)

from .cache import FaceClip, crop_clip, for_choosing, write_clip
from .pairs import head_turn

DATASET = "stills"
WARPS = 8  # portraits made of each picture
TRIES = 80
# Eye distances by which lips may part or close, and the share by which lids may open: beyond it the warp smears what the picture lacks.
WIDEST_LIPS, WIDEST_LIDS = 0.06, 0.15
MOST_TURN = 0.05  # eye distances by which the nose may stand off the middle of the face: expressions are borrowed, not turned heads
LEAST_KEPT = 0.999  # a warp that would fold is drawn anew
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
LIDS = ((LID_UPPER_LEFT, LID_LOWER_LEFT), (LID_UPPER_RIGHT, LID_LOWER_RIGHT))
Array = NDArray[np.float32]


def cache_stills(pictures: Path, folder: Path, clips: Sequence[FaceClip], seed: int = 0) -> list[FaceClip]:
    """Caches every photograph of a folder that holds one face. Returns the new clips.

    ``clips``: of others, whose expressions are borrowed; held-out ones are left alone. Raises Fault ``data-missing`` without any; pictures
    that cannot be used are named and passed over.
    """
    found = []
    for path in sorted(path for path in pictures.iterdir() if path.suffix.lower() in PICTURES):
        name = f"{DATASET}_{path.stem}"
        if (folder / f"{name}.npz").is_file():
            continue
        still = _photograph(path, name)
        if still is not None:
            found.append(still)
    return _cached(found, folder, clips, seed)


def stills_of_clips(folder: Path, clips: Sequence[FaceClip], datasets: Sequence[str], each: int, seed: int = 0) -> list[FaceClip]:
    """The same of ``each`` frames, evenly spread, of every training clip of these data sets: real skin under more expressions."""
    found = []
    for clip in clips:
        if clip.dataset not in datasets or clip.validation:
            continue
        for row in np.linspace(0, len(clip.points) - 1, min(each, len(clip.points))).round().astype(int).tolist():
            name = f"{DATASET}_{clip.name}-{row:04d}"
            if not (folder / f"{name}.npz").is_file():
                shown = slice(row, row + 1)
                still = replace(clip, name=name, dataset=DATASET, person=f"{clip.person} ({DATASET})", consecutive=False)
                still = replace(still, frames=np.array(clip.frames[shown]), points=clip.points[shown], aus=clip.aus[shown])
                found.append(still)
    return _cached(found, folder, clips, seed)


def with_portraits(still: FaceClip, clips: Sequence[FaceClip], draw: np.random.Generator) -> FaceClip:
    """A clip of one frame, and behind it ``WARPS`` portraits made of it; fewer where nothing else can be made without folds."""
    picture, points = np.array(still.frames[0]), still.points[0]
    frames, places = [picture], [points]
    for _ in range(TRIES):
        if len(frames) > WARPS:
            break
        goal = (points + _borrowed(clips, points, draw)).astype(np.float32)
        if not _is_shown(points, goal):
            continue
        warp = landmark_warp(points, goal, led=True)
        if warp.kept >= LEAST_KEPT:
            frames.append(apply_field(picture, warp.field))
            places.append(goal)
    aus = np.repeat(still.aus, len(frames), 0).astype(np.float32)
    return replace(still, frames=np.stack(frames).astype(np.uint8), points=np.stack(places).astype(np.float32), aus=aus, originals=1)


def _cached(stills: Sequence[FaceClip], folder: Path, clips: Sequence[FaceClip], seed: int) -> list[FaceClip]:
    lenders = [clip for clip in clips if not clip.validation and not for_choosing(clip) and clip.originals is None and len(clip.points) > 1]
    if stills and not lenders:
        raise Fault("data-missing", "There is no clip whose expressions the stills could borrow.", "Run `prepare` first.")
    found = []
    for still in stills:
        made = with_portraits(still, lenders, np.random.default_rng([seed, *still.name.encode()]))
        if len(made.points) == 1:
            print(f"{still.name} is passed over: nothing can be made of it without folds.", flush=True)
            continue
        write_clip(folder, made)
        found.append(made)
    return found


def _photograph(path: Path, name: str) -> FaceClip | None:
    """A photograph's crop as a clip of one frame; None, and a word, where it cannot be used."""
    from backend.portrait.detect import detect_face
    from backend.portrait.image import read_image

    try:
        picture = read_image(path)
        landmarks = detect_face(picture).landmarks
    except Fault as fault:
        print(f"{path.name} is passed over: {fault.sentence}", flush=True)
        return None
    unknown = np.full((1, AU_COUNT), np.nan, np.float32)  # what a face does cannot be told from what it is by one picture
    return crop_clip(name, DATASET, path.stem, [picture], landmarks[None], unknown, validation=False, consecutive=False)


def _borrowed(clips: Sequence[FaceClip], points: Array, draw: np.random.Generator) -> Array:
    """How landmarks (162, 2) move from one random frame of somebody to another, head motion taken off, in the measure of this face."""
    clip = clips[int(draw.integers(len(clips)))]
    first, second = (clip.points[row] for row in draw.choice(len(clip.points), 2, replace=False).tolist())
    matrix = similarity(second, first)
    moved = (second - matrix[2]) @ matrix[:2] + matrix[3] - first
    return np.asarray(moved * (_eye_distance(points) / _eye_distance(first)) * draw.uniform(0.4, 1.0), np.float32)


def _is_shown(points: Array, goal: Array) -> bool:
    """Whether a picture of the face ``points`` holds all that a face ``goal`` shows."""
    lips = _gap(goal, LIP_INNER_UPPER, LIP_INNER_LOWER) - _gap(points, LIP_INNER_UPPER, LIP_INNER_LOWER)
    lids = max(_gap(goal, *pair) / max(_gap(points, *pair), 1e-3) - 1 for pair in LIDS)
    turn = np.linalg.norm(head_turn(goal) - head_turn(points))
    return abs(lips) <= WIDEST_LIPS and lids <= WIDEST_LIDS and bool(turn <= MOST_TURN)


def _eye_distance(points: Array) -> float:
    return float(np.linalg.norm(points[REGIONS["eye_left"][0]] - points[REGIONS["eye_right"][0]]))


def _gap(points: Array, upper: int, lower: int) -> float:
    """Eye distances between two landmarks."""
    return float(np.linalg.norm(points[upper] - points[lower])) / _eye_distance(points)
