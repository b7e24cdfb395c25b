# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the reference face: the effect of each Action Unit on the 162 landmarks, from the synthetic actors' meshes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.motion.canonical import region_scale
from backend.motion.contact import uncrossed
from backend.motion.face import FACE_FILE, ReferenceFace
from backend.training.motion.dataset import actor_canonical, as_tracked
from bridge.facs import AU_COUNT, MAXIMUM_INTENSITY

FloatArray = NDArray[np.float32]


def make_reference_face(data: Path | None = None, people: int = 80, first_seed: int = 5000) -> ReferenceFace:
    """Means over ``people`` actors of the neutral face and of each AU at intensity 5, brought to the reference face's measures.

    ``data``: the folder that holds ``actors``. Raises Fault ``data-missing``.
    """
    from backend.training.actors.expression import VISEMES
    from backend.training.actors.identity import draw_person
    from backend.training.actors.landmarks import actor_face, actor_landmarks, neutral_landmarks
    from backend.training.actors.parts import data_folder, load_parts

    parts = load_parts(data_folder(data))
    neutrals, fields = [], []
    full, mute = np.eye(AU_COUNT, dtype=np.float32) * MAXIMUM_INTENSITY, np.zeros((AU_COUNT, len(VISEMES)), np.float32)
    for seed in range(first_seed, first_seed + people):
        person = actor_face(parts, draw_person(parts, seed))
        points = np.concatenate([neutral_landmarks(person)[None], actor_landmarks(person, full, mute)])
        face = actor_canonical(points)
        neutrals.append(face[0])
        scale = np.concatenate([region_scale(face[0]), np.ones((len(face[0]), 1), np.float32)], axis=1)
        fields.append((face_under_au(face) - face[0]) / scale)
    return ReferenceFace(np.mean(neutrals, axis=0).astype(np.float32), np.mean(fields, axis=0).astype(np.float32))


def face_under_au(face: FloatArray) -> FloatArray:
    """(18, 162, 3) the face under each AU, from ``face`` (19, 162, 3), neutral first: as a tracker would see it."""
    return uncrossed(face[:1] + as_tracked(face[1:] - face[:1]))


def save_reference_face(face: ReferenceFace, path: Path = FACE_FILE) -> None:
    """Writes the file that ``backend.motion.face.reference_face`` reads, beside and renamed."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({"neutral": face.neutral.astype(np.float16), "fields": face.fields.astype(np.float16)}, partial)
    partial.chmod(0o644)
    os.replace(partial, path)
