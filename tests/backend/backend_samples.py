# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backend's tests share beside fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.faults import Fault

ROOT = Path(__file__).resolve().parents[2]


def tone_samples(rate: int, seconds: float) -> NDArray[np.float32]:
    """A tone that begins in the middle."""
    time = np.arange(round(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * 220 * time) * (time >= seconds / 2)).astype(np.float32)


def write_wav(path: Path, samples: NDArray[np.float32], rate: int, **choices: str) -> Path:
    """Writes a recording in the format of its suffix."""
    import soundfile

    soundfile.write(path, samples, rate, **choices)
    return path


def fault_of(action: Callable[[], object]) -> Fault:
    """The fault that an action raises; it has a whole sentence and a hint."""
    with pytest.raises(Fault) as caught:
        action()
    fault = caught.value
    assert fault.sentence.endswith((".", "!")) and len(fault.sentence) > 15
    assert fault.hint, f"{fault.code} gives no hint"
    return fault


def nothing_left(folder: Path) -> bool:
    """Whether a folder holds no half-written file."""
    return not [path for path in folder.rglob("*") if "partial" in path.name or "probe" in path.name]
