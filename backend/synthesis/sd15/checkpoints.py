# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of weights: safetensors as they are, ``.pth`` turned into safetensors once.

A ``.pth`` is a pickle: it is read with ``weights_only=True``, which runs no code from the file.
"""

from __future__ import annotations

import glob
import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bridge.faults import Fault
from bridge.paths import cache_dir

from ...files import check_space, written_beside

_CODES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
Tick = Callable[[], None]  # called between two tensors, to raise where the work is to stop
_STATES = ("state_dict", "model_state_dict")  # under which some files keep their weights beside other things


@dataclass(frozen=True)
class Checkpoint:
    """A safetensors file. ``path``: the file that was named, for messages; ``file``: the one that is read; ``shapes``: all its tensors'."""

    path: Path
    file: Path
    shapes: Mapping[str, tuple[int, ...]]

    @contextmanager
    def opened(self, device: torch.device | str = "cpu") -> Iterator[Callable[[str], Tensor]]:
        """Yields a function from a name to its tensor on ``device``."""
        with safe_open(str(self.file), "pt", device=str(device)) as file:
            yield file.get_tensor


def no_tick() -> None:
    """Lets the work go on."""


def open_checkpoint(path: Path, dtype: torch.dtype = torch.float32, cache: Path | None = None, tick: Tick = no_tick) -> Checkpoint:
    """A file of weights, ``.safetensors`` or a pickle that is converted into ``cache`` (the user's cache by default).

    ``dtype``: what the weights will run in; float32 weights are stored in half the space unless it is float32. Raises Fault
    ``sd15-file`` or those of a full disk, and what ``tick`` raises.
    """
    path = Path(path)
    if not path.is_file():
        raise Fault("sd15-parts", f"There is no file {path}.", "Run `doctor --tier sd15`.")
    file = path if path.suffix == ".safetensors" else _converted(path, dtype, cache or cache_dir() / "sd15", tick)
    return Checkpoint(path, file, _shapes(file, path))


def _shapes(file: Path, path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(str(file), "pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _converted(path: Path, dtype: torch.dtype, cache: Path, tick: Tick) -> Path:
    """The safetensors form of a pickle, made where it is not there yet for this very file; that of a former file there is let go of."""
    status = path.stat()
    halved = dtype != torch.float32
    place, facts = (hashlib.sha256(text.encode()).hexdigest() for text in (str(path.resolve()), f"{status.st_size} {status.st_mtime_ns}"))
    same_place, tail = f"{path.stem}-{place[:12]}", f"{'half' if halved else 'full'}.safetensors"
    target = cache / f"{same_place}-{facts[:12]}-{tail}"
    if not target.is_file():
        state = read_pickle(path)
        for former in cache.glob(f"{glob.escape(same_place)}-*-{tail}"):
            with suppress(OSError):  # another program may be reading it
                if former != target:  # which another program may just have made
                    former.unlink()
        write_safetensors(target, state, torch.float16 if halved else None, tick)
    return target


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Names to tensors of a ``.pth``, without running anything in it; the weights stay on the disk until they are used.

    Raises Fault ``sd15-file``.
    """
    try:
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # the format before 1.6, which cannot be mapped
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    state = next((loaded[name] for name in _STATES if name in loaded), loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise Fault("sd15-file", f"{path.name} holds more or other things than named weights.", "Use the file as it was published.")
    return {str(name): value for name, value in state.items()}


def write_safetensors(target: Path, state: Mapping[str, Tensor], floats: torch.dtype | None = None, tick: Tick = no_tick) -> None:
    """Writes tensors one after the other, so that they are never in memory together. ``floats``: dtype for those in floating point."""
    header: dict[str, object] = {}
    offset = 0
    for name, tensor in state.items():
        dtype = floats if floats is not None and tensor.is_floating_point() else tensor.dtype
        end = offset + tensor.numel() * dtype.itemsize
        header[name] = {"dtype": _CODES[dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_space(target, offset + len(text))
    with written_beside(target) as partial, partial.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in state.values():
            tick()
            dtype = floats if floats is not None and tensor.is_floating_point() else tensor.dtype
            file.write(tensor.detach().to(dtype).contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())


def _unreadable(path: Path, error: Exception) -> Fault:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Fault("sd15-file", f"{path.name} cannot be read as weights ({said}).", "The download may be incomplete: fetch the file again.")
