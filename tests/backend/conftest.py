# SPDX-License-Identifier: GPL-3.0-or-later
"""Portraits and recordings for the backend's tests, made on the spot or taken from installed packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from backend_samples import tone_samples, write_wav
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]


def real_portrait_file() -> Path | None:
    """A photograph with one face: matplotlib's sample, else the shipped portrait."""
    spec = importlib.util.find_spec("matplotlib")
    candidates = [
        Path(folder) / "mpl-data/sample_data/grace_hopper.jpg" for folder in (spec.submodule_search_locations or [] if spec else [])
    ]
    sample = ROOT / "backend" / "sample"
    candidates += sorted(sample.glob("*portrait*.png")) + sorted(sample.glob("*portrait*.jpg")) + sorted(sample.glob("*.png"))
    return next((path for path in candidates if path.is_file()), None)


@pytest.fixture(scope="session")
def portrait_file() -> Path:
    """A picture of one face."""
    path = real_portrait_file()
    if path is None:
        pytest.skip("needs a portrait: the sample portrait or matplotlib's sample data")
    return path


@pytest.fixture(scope="session")
def portrait(portrait_file: Path) -> NDArray[np.uint8]:
    """The same as pixels."""
    from backend.portrait.image import read_image

    return read_image(portrait_file)


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of the tests stay out of the user's own."""
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path_factory.getbasetemp() / "home"))


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Two seconds of a 220 Hz tone, 16 kHz mono, silent in its first half."""
    return write_wav(tmp_path / "tone.wav", tone_samples(16000, 2.0), 16000)


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that refuses new files, also where the tests run as root."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    candidates = (folder, Path("/sys/kernel"))  # root writes anywhere, but not there
    refusing = next((path for path in candidates if path.is_dir() and not _accepts_files(path)), None)
    if refusing is None:
        pytest.skip("every folder can be written here")
    yield refusing
    folder.chmod(0o700)


def _accepts_files(folder: Path) -> bool:
    probe = folder / "probe-of-a-test"
    try:
        probe.touch()
    except OSError:
        return False
    probe.unlink()
    return True
