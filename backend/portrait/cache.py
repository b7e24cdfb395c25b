# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces of portraits by the hash of their file, in memory and on disk: finding one takes a second, looking it up none."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge import paths
from bridge.half_written import partial_path, put_in_place
from bridge.landmarks import MEDIAPIPE_INDICES

from .action_units import BLENDSHAPE_NAMES
from .detect import DETECTOR_VERSION, PortraitFace, detect_face
from .image import read_image
from .landmarker import file_sha256

_MOST_IN_MEMORY = 8
_faces: OrderedDict[str, PortraitFace] = OrderedDict()


def load_portrait(path: str | Path) -> tuple[NDArray[np.uint8], PortraitFace]:
    """The picture (height, width, 3) uint8 and its face. Raises the faults of ``read_image`` and ``detect_face``."""
    image = read_image(path)
    key = _content_key(Path(path))
    face = _faces.get(key) or _stored(key, image.shape[:2])
    if face is None:
        face = detect_face(image)
        _store(key, face)
    _faces[key] = face
    _faces.move_to_end(key)
    while len(_faces) > _MOST_IN_MEMORY:
        _faces.popitem(last=False)
    return image, face


def load_face(path: str | Path) -> PortraitFace:
    """The face of a portrait file; a face that is known costs no decoding of the picture. See ``load_portrait``."""
    path = Path(path)
    known = _faces.get(_content_key(path)) if path.is_file() else None
    return known or load_portrait(path)[1]


def _content_key(path: Path) -> str:
    status = path.stat()
    return _hash(str(path.absolute()), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _hash(path: str, modified: int, size: int) -> str:
    """sha256 of a file's content, remembered as long as the file is not changed."""
    return file_sha256(Path(path))


def forget_faces() -> None:
    """Empties the memory; the files in the cache folder stay."""
    _faces.clear()


def _file(key: str) -> Path:
    return paths.cache_dir() / "portraits" / f"{key[:32]}-{DETECTOR_VERSION}.npz"


def _stored(key: str, shape: tuple[int, ...]) -> PortraitFace | None:
    try:
        with np.load(_file(key), allow_pickle=False) as fields:
            mesh, pose, scores, size = (fields[name] for name in ("mesh", "pose", "blendshapes", "size"))
    except Exception:  # whatever is wrong with a cached file: it is made again
        return None
    if mesh.shape != (478, 3) or pose.shape != (4, 4) or scores.shape != (52,) or tuple(size) != (shape[1], shape[0]):
        return None
    named = {name: float(score) for name, score in zip(BLENDSHAPE_NAMES, scores, strict=True)}
    return PortraitFace(mesh[list(MEDIAPIPE_INDICES), :2].copy(), mesh, named, pose, (int(size[0]), int(size[1])))


def _store(key: str, face: PortraitFace) -> None:
    """A cache that cannot be written is no reason to fail."""
    target = _file(key)
    partial = partial_path(target)
    scores = np.array([face.blendshapes[name] for name in BLENDSHAPE_NAMES], np.float32)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, mesh=face.mesh, pose=face.pose, blendshapes=scores, size=np.array(face.size))
        put_in_place(partial, target)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
