# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches of training windows made by several processes beside the one that trains.

Batches lie in shared memory, in half precision, so that what is handed over is a number; every worker has its own places and the trainer
takes from the workers in turn, so that the same seed and the same number of workers give the same batches in the same order.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.motion.config import AU_COUNT, MOTION_WIDTH
from backend.speech.features import FEATURES
from backend.training.motion.dataset import Shares, Window, WindowSource

NAMES = ("voice", "motion", "aus", "keyed", "read", "read_known", "lips")
_PLACES = 6  # batches that a worker may be ahead


@dataclass(frozen=True)
class BatchShape:
    """How many windows of how many frames."""

    size: int
    frames: int

    def widths(self) -> list[tuple[int, ...]]:
        """Shape of each of ``NAMES`` for a batch."""
        widths = [FEATURES, MOTION_WIDTH, AU_COUNT, AU_COUNT, AU_COUNT, AU_COUNT]
        return [(self.size, self.frames, width) for width in widths] + [(self.size, 2)]

    def values(self) -> int:
        """Values in a batch."""
        return sum(int(np.prod(shape)) for shape in self.widths())

    def parted(self, values: Any) -> dict[str, Any]:
        """A flat batch (array or tensor) as its named arrays."""
        parts, start = {}, 0
        for name, shape in zip(NAMES, self.widths(), strict=True):
            end = start + int(np.prod(shape))
            parts[name] = values[start:end].reshape(shape)
            start = end
        return parts


class Workers:
    """Processes that fill batches without end; use it as a context."""

    def __init__(self, source: WindowSource, count: int, shape: BatchShape, shares: Shares, plain: int) -> None:
        """``plain``: batches of recorded speech at first, see ``WindowSource.batches``, over all workers."""
        context: Any = multiprocessing.get_context()
        self.shape = shape
        self._memory = [context.RawArray("B", 2 * shape.values() * _PLACES) for _ in range(count)]
        self._free = [context.SimpleQueue() for _ in range(count)]
        self._full = [context.SimpleQueue() for _ in range(count)]
        self._processes: list[BaseProcess] = []
        for number in range(count):
            for place in range(_PLACES):
                self._free[number].put(place)
            own = -(-max(0, plain - number) // count)
            arguments = (source, number, shape, shares, own, self._memory[number], self._free[number], self._full[number])
            self._processes.append(context.Process(target=_fill, args=arguments, daemon=True))
        for process in self._processes:
            process.start()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def batches(self, device: torch.device) -> Iterator[dict[str, Tensor]]:
        """Batches on ``device``, float32, taken from the workers in turn, two of them ahead by a thread."""
        ready: Queue[dict[str, Tensor] | BaseException] = Queue(2)

        def move() -> None:
            try:
                for batch in self._moved(device):
                    ready.put(batch)
            except BaseException as error:
                ready.put(error)

        Thread(target=move, daemon=True).start()
        while True:
            batch = ready.get()
            if isinstance(batch, BaseException):
                raise batch
            yield batch

    def _moved(self, device: torch.device) -> Iterator[dict[str, Tensor]]:
        stores = [_rows(memory, self.shape) for memory in self._memory]
        pinned = [torch.empty(self.shape.values(), dtype=torch.float16, pin_memory=device.type == "cuda") for _ in range(2)]
        copied = [torch.cuda.Event() for _ in pinned] if device.type == "cuda" else []
        turn = 0
        while True:
            number, half = turn % len(stores), turn % len(pinned)
            place = self._next(number)
            if copied:
                copied[half].synchronize()  # the copy of two batches ago has left this buffer long since
            pinned[half].copy_(torch.from_numpy(stores[number][place]))
            self._free[number].put(place)
            moved = pinned[half].to(device, non_blocking=True)
            if copied:
                copied[half].record()
            yield {name: part.float() for name, part in self.shape.parted(moved).items()}
            turn += 1

    def _next(self, number: int) -> int:
        queue = self._full[number]
        while not queue._reader.poll(5.0):  # a worker that died says nothing more
            if not self._processes[number].is_alive():
                raise RuntimeError("A process that makes training windows has ended.")
        return int(queue.get())


def _rows(memory: Any, shape: BatchShape) -> NDArray[np.float16]:
    return np.frombuffer(memory, np.float16).reshape(_PLACES, shape.values())


def _fill(source: WindowSource, number: int, shape: BatchShape, shares: Shares, plain: int, memory: Any, free: Any, full: Any) -> None:
    """A worker: fills free places and says which are full. An interrupt is the trainer's to answer, who ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    store = _rows(memory, shape)
    source.generator = np.random.default_rng([source.seed, number])
    for windows in source.batches(shape.size, shares, plain):
        place = free.get()
        for name, part in shape.parted(store[place]).items():
            part[...] = stacked_arrays(windows, name)
        full.put(place)


def stacked_arrays(windows: list[Window], name: str) -> NDArray[np.float32]:
    """One field of all windows of a batch."""
    return np.stack([getattr(window, name) for window in windows])
