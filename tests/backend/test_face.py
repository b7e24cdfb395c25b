# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the portrait's face: none, several, small, cut off, in large pictures, and its model file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from backend_samples import fault_of
from numpy.typing import NDArray
from PIL import Image

from backend.portrait import cache, landmarker
from backend.portrait.detect import detect_face
from backend.portrait.image import read_image
from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, MOUTH_CORNER_LEFT, MOUTH_CORNER_RIGHT

pytestmark = pytest.mark.unit
Picture = NDArray[np.uint8]


def scaled(image: Picture, factor: float) -> Picture:
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def face_box(image: Picture) -> tuple[int, int, int, int]:
    points = detect_face(image).landmarks
    return *points.min(0).astype(int), *points.max(0).astype(int)


def test_one_face(portrait: Picture) -> None:
    face = detect_face(portrait)
    assert face.landmarks.shape == (162, 2) and face.mesh.shape == (478, 3) and face.pose.shape == (4, 4) and len(face.blendshapes) == 52
    assert face.size == (portrait.shape[1], portrait.shape[0])
    left, right = face.landmarks[EYE_OUTER_LEFT], face.landmarks[EYE_OUTER_RIGHT]
    assert left[0] > right[0], "the subject's left is on the picture's right"
    assert face.landmarks[MOUTH_CORNER_LEFT][0] > face.landmarks[MOUTH_CORNER_RIGHT][0]
    assert face.landmarks[[MOUTH_CORNER_LEFT, MOUTH_CORNER_RIGHT], 1].min() > max(left[1], right[1])
    assert np.array_equal(face.landmarks, detect_face(portrait).landmarks), "the same picture gives the same landmarks"


@pytest.mark.parametrize(
    ("package", "name", "width", "height"),
    [("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 185, 202), ("skimage", "data/astronaut.png", 89, 105)],
)
def test_photographs(package: str, name: str, width: int, height: int) -> None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations or not (path := Path(spec.submodule_search_locations[0]) / name).is_file():
        pytest.skip(f"needs a picture of the package {package}")
    extent = np.ptp(detect_face(read_image(path)).landmarks, axis=0)
    assert extent == pytest.approx((width, height), rel=0.05)


def test_size_of_the_picture_does_not_move_the_face(portrait: Picture) -> None:
    face, large = detect_face(portrait), detect_face(scaled(portrait, 4))
    unit = np.linalg.norm(face.landmarks[EYE_OUTER_LEFT] - face.landmarks[EYE_OUTER_RIGHT])
    assert np.linalg.norm(large.landmarks / 4 - face.landmarks, axis=1).mean() / unit < 0.03


def test_a_small_face_in_a_large_picture(portrait: Picture) -> None:
    left, top, right, bottom = face_box(portrait)
    small = scaled(portrait, 90 / (bottom - top))
    wide = np.full((1600, 2400, 3), 110, np.uint8)
    wide[900 : 900 + small.shape[0], 1500 : 1500 + small.shape[1]] = small
    face = detect_face(wide)
    assert 70 < np.ptp(face.landmarks[:, 1]) < 110
    assert face.landmarks[:, 0].min() > 1500


def test_nobody() -> None:
    assert fault_of(lambda: detect_face(np.full((300, 300, 3), 90, np.uint8))).code == "face-none"
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    assert fault_of(lambda: detect_face(noise)).code == "face-none"


def test_three_faces(portrait: Picture) -> None:
    fault = fault_of(lambda: detect_face(np.hstack([portrait, portrait[:, ::-1], portrait])))
    assert fault.code == "face-several" and "3 faces" in fault.sentence and "Crop" in fault.hint


@pytest.mark.parametrize("side", ["left", "right", "chin"])
def test_a_face_at_the_border(portrait: Picture, side: str) -> None:
    left, top, right, bottom = face_box(portrait)
    third = (right - left) // 3
    cut = {"left": portrait[:, left + third :], "right": portrait[:, : right - third], "chin": portrait[: bottom - third]}[side]
    assert fault_of(lambda: detect_face(np.ascontiguousarray(cut))).code == "face-border"


def test_a_tiny_face(portrait: Picture) -> None:
    left, top, right, bottom = face_box(portrait)
    fault = fault_of(lambda: detect_face(scaled(portrait, 32 / (bottom - top))))
    assert fault.code in ("face-small", "face-none")


def test_faces_are_remembered_by_content(portrait_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path))
    cache.forget_faces()
    first = cache.load_face(portrait_file)
    monkeypatch.setattr(cache, "detect_face", lambda image: pytest.fail("looked for again"))
    cache.forget_faces()  # now from the disk
    again = cache.load_face(portrait_file)
    assert np.array_equal(first.landmarks, again.landmarks) and first.blendshapes == pytest.approx(again.blendshapes)
    for stored in tmp_path.rglob("*.npz"):
        stored.write_bytes(b"damaged")
    cache.forget_faces()
    monkeypatch.setattr(cache, "detect_face", lambda image: first)
    assert cache.load_face(portrait_file) is first, "a damaged cache file is made again"


def test_model_file_by_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(landmarker.MODEL_VARIABLE, str(tmp_path / "gone.task"))
    assert fault_of(landmarker.landmarker_model).code == "model-missing"
    other = tmp_path / "other.task"
    other.write_bytes(b"something else")
    monkeypatch.setenv(landmarker.MODEL_VARIABLE, str(other))
    assert fault_of(landmarker.landmarker_model).code == "model-mismatch"
    monkeypatch.delenv(landmarker.MODEL_VARIABLE)
    assert landmarker.file_sha256(landmarker.landmarker_model()) == landmarker.MODEL_SHA256


def test_a_missing_model_file_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setenv("AUTTER_HOME", str(tmp_path))
    monkeypatch.delenv(landmarker.MODEL_VARIABLE, raising=False)
    monkeypatch.setattr(landmarker, "MODEL_PACKAGES", ())
    monkeypatch.setattr(landmarker.urllib.request, "urlopen", no_network)
    fault = fault_of(landmarker.landmarker_model)
    assert fault.code == "model-missing" and landmarker.MODEL_ADDRESS in fault.hint and not list(tmp_path.rglob("*partial*"))


def test_a_download_of_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setenv("AUTTER_HOME", str(tmp_path))
    monkeypatch.setattr(landmarker, "MODEL_PACKAGES", ())
    monkeypatch.setattr(landmarker.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"an error page"))
    assert fault_of(landmarker.landmarker_model).code == "model-mismatch"
    assert not list(tmp_path.rglob("*.task"))
