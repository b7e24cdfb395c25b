# SPDX-License-Identifier: GPL-3.0-or-later
"""Portraits and recordings for the backend's tests, made on the spot or taken from installed packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from backend_samples import ROOT, tone_samples, write_wav
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def portrait_file() -> Path:
    """The shipped picture of one face."""
    return next((ROOT / "backend" / "sample").glob("portrait.*"))


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
