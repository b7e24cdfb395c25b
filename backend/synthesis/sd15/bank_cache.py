# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reference network saw of a portrait, kept on disk: the next render of the same face need not load that network at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.files import written_beside
from bridge import paths
from bridge.faults import Fault

MOST_BANKS = 24  # some 25 MB each
_VERSION = 1  # raise it when the same portrait and weights give another bank

Bank = dict[str, Tensor]


def bank_file(square: NDArray[np.uint8], stamp: object, dtype: torch.dtype) -> Path:
    """Where the bank of a portrait's square (s, s, 3) is kept. ``stamp``: what tells the weights apart, plain data."""
    facts = json.dumps([_VERSION, stamp, str(dtype), square.shape]).encode()
    digest = hashlib.sha256(facts + np.ascontiguousarray(square).tobytes()).hexdigest()[:32]
    return paths.cache_dir() / "sd15" / "banks" / f"{digest}.safetensors"


def cached_bank(file: Path, make: Callable[[], Bank]) -> Bank:
    """The bank in ``file``, made and kept where it is not there or cannot be read."""
    bank = read_bank(file)
    if bank is None:
        bank = make()
        write_bank_file(file, bank)
    return bank


def read_bank(file: Path) -> Bank | None:
    """A kept bank, None where there is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        return None
    with suppress(OSError, SafetensorError, ValueError):
        bank = load_file(str(file))
        with suppress(OSError):
            file.touch()
        return bank
    return None


def write_bank_file(file: Path, bank: Bank) -> None:
    """Keeps a bank and lets go of the oldest; a disk that is full or cannot be written is no reason to stop."""
    from safetensors.torch import save_file

    with suppress(Fault), written_beside(file) as partial:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in bank.items()}, str(partial))
    with suppress(OSError):
        banks = sorted(file.parent.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in banks[MOST_BANKS:]:
            old.unlink()
