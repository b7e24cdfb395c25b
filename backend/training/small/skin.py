# SPDX-License-Identifier: GPL-3.0-or-later
"""``train skin``: fits the map from the 162 landmarks to the other points of the face mesh, see ``backend/synthesis/small/skin.py``."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from backend.synthesis.small.similarity import similarity
from backend.synthesis.small.skin import SKIN_FILE, SKIN_INDICES
from bridge.faults import Fault
from bridge.landmarks import MEDIAPIPE_INDICES, MIRROR

from .cache import FaceClip, for_choosing, load_clips

if TYPE_CHECKING:
    from backend.evaluation.synthesis import Picture

# Of the squared error, and how many directions of the landmarks' motion matter: with 48 the rest is a thousandth of what is told.
RIDGE, RANK = 5e-4, 48
DATASETS = ("actors", "grid", "pyfeat")
_OURS, _SKIN = list(MEDIAPIPE_INDICES), list(SKIN_INDICES)
_MIRRORED = np.array([-1.0, 1.0])
Meshes = NDArray[np.float64]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``train skin``."""
    parser.add_argument("--work", type=Path, default=Path("work/small"), help="where `train small` keeps its cache of face crops")
    parser.add_argument("--out", type=Path, default=SKIN_FILE, help="file to write (default: the backend's own)")
    parser.add_argument("--frames", type=int, default=1500, help="most frames of a data set, evenly spread over its clips")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Finds the meshes of the training people, fits, and writes file and card. Raises Fault ``data-missing``."""
    clips = [clip for clip in load_clips(arguments.work / "cache") if not clip.validation and not for_choosing(clip)]
    meshes, counts = [], Counter[str]()
    for dataset in DATASETS:
        found = meshes_of([clip for clip in clips if clip.dataset == dataset], arguments.frames)
        meshes += found
        counts[dataset] = len(found)
    if len(meshes) < 2 * RANK:
        hint = "Run `prepare`, then `train small`, which caches them."
        raise Fault("data-missing", f"There are {len(meshes)} faces to learn from in {arguments.work / 'cache'}.", hint)
    return write_map(fitted(np.stack(meshes)), arguments.out, dict(counts))


def meshes_of(clips: Sequence[FaceClip], most: int) -> list[Meshes]:
    """Meshes (478, 2), crop coordinates, of at most ``most`` frames; tracked as films are, for single pictures read a little otherwise."""
    found: list[Meshes] = []
    each = max(most // max(len(clips), 1), 1)
    for clip in tqdm(clips, desc="meshes", disable=None):
        rows = np.linspace(0, len(clip.frames) - 1, min(each, len(clip.frames))).round().astype(int).tolist()
        found += _tracked([np.array(clip.frames[row]) for row in rows])
    return found[:most]


def _tracked(frames: Iterable[Picture]) -> list[Meshes]:
    import mediapipe

    from backend.portrait.landmarker import open_landmarker
    from backend.portrait.track import face_readings

    found = []
    with open_landmarker(video=True, faces=2) as landmarker:
        for index, frame in enumerate(frames):
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
            readings = face_readings(landmarker.detect_for_video(picture, index * 40), 1, 1)
            found += [reading.mesh[:, :2].astype(np.float64) for reading in readings[:1]]
    return found


def fitted(meshes: Meshes) -> dict[str, NDArray[np.float32]]:
    """The tensors of a ``SkinMap`` from meshes (n, 478, 2): ridge regression, of its answers only the ``RANK`` strongest directions.

    Every face is seen in a mirror too.
    """
    reference = mean_shape(meshes)
    both = np.concatenate([meshes, mirrored(meshes, reference)])
    given, told = [], []
    for mesh in both:
        motion = similarity(mesh[_OURS], reference[_OURS])
        placed = (mesh - motion[2]) @ motion[:2]
        given.append(placed[_OURS].ravel())
        told.append(placed[_SKIN].ravel())
    x, y = np.array(given), np.array(told)
    middle, skin = x.mean(0), y.mean(0)
    x, y = x - middle, y - skin
    ridge = RIDGE * np.eye(x.shape[1])
    slopes = np.linalg.solve(x.T @ x / len(x) + ridge, x.T @ y / len(x))
    out = np.linalg.svd(x @ slopes, full_matrices=False)[2][:RANK]
    tensors = {"reference": reference[_OURS], "middle": middle, "skin": skin, "into": slopes @ out.T, "out": out}
    return {name: value.astype(np.float32) for name, value in tensors.items()}


def mean_shape(meshes: Meshes) -> Meshes:
    """(478, 2) mean of meshes moved to one middle and one size, both of the landmarks."""
    centred = meshes - meshes[:, _OURS].mean(1, keepdims=True)
    size = np.sqrt(np.square(centred[:, _OURS]).sum(-1).mean(-1))
    return np.asarray((centred / size[:, None, None]).mean(0))


def mirrored(meshes: Meshes, reference: Meshes) -> Meshes:
    """The meshes (n, 478, 2) in a mirror; which point becomes which is told by nearness in the mean shape, for landmarks by their names."""
    flipped = reference * _MIRRORED
    partner = np.array([int(np.argmin(np.square(flipped - point).sum(-1))) for point in reference])
    partner[_OURS] = np.array(_OURS)[list(MIRROR)]
    return (meshes * _MIRRORED)[:, partner]


def write_map(tensors: dict[str, NDArray[np.float32]], path: Path, counts: dict[str, int]) -> dict[str, Any]:
    """Writes the map in half precision (the means in single) and its card, each beside its place, then renamed; the card's content."""
    from safetensors.numpy import save

    from .export import CREDITS

    content = save({name: value.astype(np.float16) if name in ("into", "out") else value for name, value in tensors.items()})
    card: dict[str, Any] = {
        "name": path.stem,
        "purpose": "stage 2, tier small: where the skin between the landmarks goes (316 points of MediaPipe's face mesh from our 162)",
        "data": {name: f"{count} frames" for name, count in counts.items()},
        "credits": [
            *(CREDITS[name] for name in counts if name in CREDITS),
            "points found by MediaPipe Face Landmarker, Apache License 2.0",
        ],
        "licence": "GPL-3.0-or-later, as the project",
        "command": "python -m backend train skin",
        "parameters": int(sum(value.size for value in tensors.values())),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "limits": "A linear map of one frame: what tells skin apart but does not show in the landmarks (a puffed cheek) is not told.",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {path.with_suffix(".json"): json.dumps(card, indent=2, ensure_ascii=False) + "\n", path.with_suffix(".md"): _page(card)}
    for place, data in {path: content, **{place: text.encode() for place, text in texts.items()}}.items():
        partial = place.with_name(place.name + ".partial")
        partial.write_bytes(data)
        partial.replace(place)
    return card


def _page(card: dict[str, Any]) -> str:
    lines = [
        f"# {card['name']}: {card['purpose']}",
        "",
        f"{card['parameters']:,} numbers, {card['bytes'] / 1e3:.0f} kB, sha256 `{card['sha256']}`.",
    ]
    lines += ["", "## Data and credits", "", *(f"- `{name}`: {count}" for name, count in card["data"].items())]
    lines += [*(f"- {credit}" for credit in card["credits"]), "", f"Licence: {card['licence']}.", "", f"Made by `{card['command']}`.", ""]
    return "\n".join([*lines, "## Limits", "", card["limits"], ""])
