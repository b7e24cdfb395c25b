# SPDX-License-Identifier: GPL-3.0-or-later
"""Training in several processes of one thread each: every rank draws its own pairs, gradients are averaged (gloo).

Two ranks of one thread use two cores better than one process of two threads, whose small convolutions wait for each other.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

_PATIENCE = timedelta(minutes=30)  # a rank that validates keeps the others waiting


class Ranks:
    """This process among ``count``. Alone, it does nothing at all."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def leads(self) -> bool:
        """Whether this one logs, validates and saves."""
        return self.rank == 0

    def average(self, parameters: Sequence[Tensor], seconds: float) -> float:
        """Averages the gradients over the ranks, in place. Returns the leading rank's clock, so that all are at one point of the run."""
        if self.count == 1:
            return seconds
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        clock = torch.tensor([seconds * self.count if self.leads else 0.0], dtype=torch.float32)
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients] + [clock.to(gradients[0].device)])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        place = 0
        for gradient in gradients:
            gradient.copy_(flat[place : place + gradient.numel()].view_as(gradient))
            place += gradient.numel()
        return float(flat[-1])


def spawn(work: Callable[..., Any], count: int, *arguments: Any) -> None:
    """Runs ``work(ranks, *arguments)`` in ``count`` processes that can average; raises what one of them raised."""
    torch.multiprocessing.spawn(_enter, args=(count, _free_port(), work, arguments), nprocs=count, join=True)


def _enter(rank: int, count: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", timeout=_PATIENCE, world_size=count, rank=rank)
    try:
        work(Ranks(rank, count), *arguments)
    finally:
        torch.distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
