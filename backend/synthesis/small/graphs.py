# SPDX-License-Identifier: GPL-3.0-or-later
"""A function of tensors, recorded once on an NVIDIA card and played back: the hundred small kernels of a network start as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Tensors = tuple["Tensor", ...]
_WARM_UP = 3  # calls before recording: libraries choose their kernels and take their memory then


class RecordedCall:
    """``function`` as a CUDA graph for inputs of fixed shapes. Not safe in several threads: a call writes over the last one's answer."""

    def __init__(self, function: Callable[..., Tensors], inputs: Sequence[Tensor]) -> None:
        """``inputs``: examples on the card; others of the same shapes and dtypes take their place in a call."""
        import torch

        self._inputs = [tensor.clone() for tensor in inputs]
        self._graph = torch.cuda.CUDAGraph()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = function(*self._inputs)

    def fits(self, inputs: Sequence[Tensor]) -> bool:
        """Whether inputs have the recorded shapes."""
        return [tensor.shape for tensor in inputs] == [tensor.shape for tensor in self._inputs]

    def __call__(self, *inputs: Tensor) -> Tensors:
        """The function's answer, copied out of the graph's own memory. Inputs may still lie in the machine's memory."""
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return tuple(tensor.clone() for tensor in self._outputs)
