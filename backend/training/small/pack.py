# SPDX-License-Identifier: GPL-3.0-or-later
"""The crop cache as movies: some fifty times smaller, to train on a computer that has a graphics card and nothing else.

``train small --pack FOLDER`` writes it, ``train small --packed FOLDER --device cuda`` trains on it. Held-out people stay behind:
where they are not, nobody can choose by them. Movies are read with OpenCV alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault

from .cache import FaceClip, originals_of

IMAGENET = "imagenet-features.safetensors"
_MOVIES, _NOTES = ".mp4", ".npz"
_PLACES = 16384  # landmarks are whole numbers of this part of the crop's side: a sixtieth of a pixel
# Of H.264 with whole colour: hardly to be told from the original, at 2 to 4 kB a picture.
_QUALITY = {"crf": "15", "preset": "slow", "tune": "film", "threads": "1"}


def pack_cache(clips: Sequence[FaceClip], folder: Path) -> dict[str, Any]:
    """Writes the clips that are not held out, and the perceptual loss' features. Clips that are there are kept. Returns counts."""
    from safetensors.torch import save_file

    from .perceptual import imagenet_state

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in imagenet_state().items()}, str(folder / IMAGENET))
    packed = [clip for clip in clips if not clip.validation]
    for clip in packed:
        if not (folder / f"{clip.name}{_NOTES}").is_file():
            _write(clip, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    pictures = sum(len(clip.points) for clip in packed)
    return {"folder": str(folder), "clips": len(packed), "pictures": pictures, "megabytes": round(size / 1e6, 1)}


def load_pack(folder: Path) -> list[FaceClip]:
    """All clips of a pack, sorted by name, their pictures in memory.

    Raises Fault ``data-missing`` where there are none or a movie is short.
    """
    with ThreadPoolExecutor() as readers:
        clips = list(readers.map(_load, sorted(folder.glob(f"*{_NOTES}"))))
    if not clips:
        raise Fault("data-missing", f"There is no packed clip in {folder}.", "Make the pack with `train small --pack FOLDER`.")
    return clips


def _load(notes: Path) -> FaceClip:
    with np.load(notes, allow_pickle=False) as data:
        fields = {key: data[key] for key in data.files}
    frames = _pictures(notes.with_suffix(_MOVIES))
    if len(frames) != len(fields["points"]):
        raise Fault("data-missing", f"The movie of {notes.stem} is not whole.", "Make the pack anew with `train small --pack`.")
    dataset, person, consecutive = str(fields["dataset"]), str(fields["person"]), bool(fields["consecutive"])
    points, aus = fields["points"].astype(np.float32) / _PLACES, fields["aus"].astype(np.float32)
    originals = originals_of(fields)
    return FaceClip(notes.stem, dataset, person, frames, points, aus, consecutive, validation=False, originals=originals)


def _write(clip: FaceClip, folder: Path) -> None:
    """The movie first, the notes last: a clip without notes is not there."""
    import av

    with av.open(str(folder / f"{clip.name}{_MOVIES}"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(25), options=_QUALITY)
        stream.width, stream.height, stream.pix_fmt = clip.frames.shape[2], clip.frames.shape[1], "yuv444p"
        for picture in clip.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
    arrays: dict[str, Any] = {"dataset": clip.dataset, "person": clip.person, "consecutive": clip.consecutive}
    arrays |= {} if clip.originals is None else {"originals": clip.originals}
    points = np.rint(clip.points * _PLACES).astype(np.int16)
    np.savez_compressed(folder / f"{clip.name}{_NOTES}", points=points, aus=clip.aus.astype(np.float16), **arrays)


def _pictures(movie: Path) -> NDArray[np.uint8]:
    """(n, 256, 256, 3) RGB."""
    reader, pictures = cv2.VideoCapture(str(movie)), []
    while True:
        good, picture = reader.read()
        if not good:
            break
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    reader.release()
    return np.stack(pictures) if pictures else np.empty((0, 256, 256, 3), np.uint8)
