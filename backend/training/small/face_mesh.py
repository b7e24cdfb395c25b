# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's face mesh as torch operations, so that a loss can ask where a landmarker would find the landmarks of a picture.

Network: Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019. Its weights are read from the
landmarker's own model file and serve training alone; nothing of them gets into ours.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bridge.faults import Fault
from bridge.landmarks import MEDIAPIPE_INDICES

SIDE = 256  # of the square that the mesh is found in
_MEMBER, _MESH = "face_landmarks_detector.tflite", (478, 3)
_KINDS = {0: np.float32, 1: np.float16, 2: np.int32}


@dataclass(frozen=True)
class _Step:
    """One operation. ``inputs``, ``output``: numbers of values. ``settings``: per kind, see ``_done``."""

    kind: str
    inputs: tuple[int, ...]
    output: int
    weights: tuple[str, ...] = ()
    settings: tuple[int, ...] = ()


class FaceMesh(nn.Module):
    """Squares (n, 3, 256, 256) 0..1, each cut round a face, to landmarks (n, 162, 2) in shares of the square. Frozen."""

    def __init__(self, model: Path) -> None:
        """``model``: MediaPipe's ``face_landmarker.task``. Raises Fault ``package-missing``."""
        super().__init__()
        try:
            import tflite
        except ImportError:
            raise Fault("package-missing", "Judging landmarks reads MediaPipe's own network.", "pip install tflite") from None
        with zipfile.ZipFile(model) as archive:
            graph = _Graph(tflite, archive.read(_MEMBER))
        self._first, self._last = graph.first, graph.last
        self._steps = graph.needed()
        for name, values in graph.weights.items():
            self.register_buffer(name, torch.from_numpy(values))
        self.register_buffer("chosen", torch.tensor(MEDIAPIPE_INDICES))
        self.eval().requires_grad_(False)

    def forward(self, squares: Tensor) -> Tensor:
        """See the class."""
        values = {self._first: squares.contiguous(memory_format=torch.channels_last)}
        for step in self._steps:
            values[step.output] = _done(step, [values[number] for number in step.inputs], [getattr(self, name) for name in step.weights])
        mesh = values[self._last].permute(0, 2, 3, 1).reshape(-1, *_MESH)
        return mesh[:, self.chosen, :2] / SIDE


class _Graph:
    """The file's operations, its constants already in torch's order."""

    def __init__(self, tflite: Any, content: bytes) -> None:
        self._tflite, self._model = tflite, tflite.Model.GetRootAsModel(content, 0)
        self._graph = self._model.Subgraphs(0)
        self._names = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
        self._unpacked: dict[int, NDArray[Any]] = {}
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.first = self._graph.Inputs(0)
        outputs = [self._graph.Outputs(number) for number in range(self._graph.OutputsLength())]
        self.last = next(output for output in outputs if self._graph.Tensors(output).ShapeAsNumpy()[-1] == np.prod(_MESH))
        steps = [self._step(self._graph.Operators(number)) for number in range(self._graph.OperatorsLength())]
        self._steps = [step for step in steps if step is not None]

    def needed(self) -> list[_Step]:
        """The steps that lead to the mesh, in order."""
        wanted, kept = {self.last}, []
        for step in reversed(self._steps):
            if step.output in wanted:
                kept.append(step)
                wanted.update(step.inputs)
        return kept[::-1]

    def _step(self, operator: Any) -> _Step | None:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        kind = self._names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs, output = [operator.Inputs(number) for number in range(operator.InputsLength())], operator.Outputs(0)
        if kind == "DEQUANTIZE":
            self._unpacked[output] = self._constant(inputs[0]).astype(np.float32)
            return None
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            whole = kind == "CONV_2D"
            options = self._options(operator, "Conv2DOptions" if whole else "DepthwiseConv2DOptions")
            kernel = self._constant(inputs[1]).transpose((0, 3, 1, 2) if whole else (3, 0, 1, 2))
            names = (self._kept(output, "kernel", kernel), self._kept(output, "bias", self._constant(inputs[2])))
            settings = (options.StrideH(), int(options.Padding() == self._tflite.Padding.SAME), 1 if whole else len(kernel))
            return _Step("convolve", (inputs[0],), output, names, settings)
        if kind == "PRELU":
            return _Step("prelu", (inputs[0],), output, (self._kept(output, "slope", self._constant(inputs[1]).reshape(-1)),))
        if kind == "PAD":  # with nothing but channels
            return _Step("pad", (inputs[0],), output, settings=tuple(int(value) for value in self._constant(inputs[1])[3]))
        if kind == "MAX_POOL_2D":
            return _Step("pool", (inputs[0],), output, settings=(self._options(operator, "Pool2DOptions").FilterHeight(),))
        return _Step(kind.lower(), tuple(inputs), output)

    def _options(self, operator: Any, name: str) -> Any:
        options, table = getattr(self._tflite, name)(), operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _kept(self, output: int, role: str, values: NDArray[Any]) -> str:
        name = f"{role}_{output}"
        self.weights[name] = np.ascontiguousarray(values, np.float32)
        return name

    def _constant(self, number: int) -> NDArray[Any]:
        if number in self._unpacked:
            return self._unpacked[number]
        tensor = self._graph.Tensors(number)
        content = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        return np.frombuffer(content.tobytes(), _KINDS[tensor.Type()]).reshape(tensor.ShapeAsNumpy())


def _done(step: _Step, inputs: list[Tensor], weights: list[Tensor]) -> Tensor:
    """The result of a step. Raises ``NotImplementedError`` for an operation that MediaPipe's network did not have."""
    value = inputs[0]
    if step.kind == "convolve":
        stride, same, groups = step.settings
        padded = _padded(value, weights[0].shape[-1], stride) if same else value
        return functional.conv2d(padded, *weights, stride=stride, groups=groups)
    if step.kind == "prelu":
        return functional.prelu(value, weights[0])
    if step.kind == "add":
        return value + inputs[1]
    if step.kind == "pad":
        return functional.pad(value, (0, 0, 0, 0, *step.settings))
    if step.kind == "pool":
        return functional.max_pool2d(value, step.settings[0])
    raise NotImplementedError(step.kind)


def _padded(value: Tensor, side: int, stride: int) -> Tensor:
    """With zeros as TensorFlow's "SAME" adds them: the odd one right and below."""
    missing = [max((-(-length // stride) - 1) * stride + side - length, 0) for length in (value.shape[3], value.shape[2])]
    if not any(missing):
        return value
    return functional.pad(value, (missing[0] // 2, missing[0] - missing[0] // 2, missing[1] // 2, missing[1] - missing[1] // 2))
