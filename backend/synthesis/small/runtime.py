# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the network: ONNX Runtime on the processor, torch on a graphics card. Both give the same numbers to 1e-3."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .conditions import Conditions
from .graphs import RecordedCall
from .onnx_export import exported_graphs
from .sampler import sample
from .weights import WEIGHTS, load_network, read_config

Array = NDArray[np.float32]
NETWORK_SIDE = 256  # pixels a side at which the shipped network was trained
MOST_TOGETHER = 8  # frames made at once on a card: enough to hide what a call costs, and few enough to stop a render at once
_MOST_THREADS = 8  # more do not help a net of this size
_SAME = 1e-4  # numbers closer than this are the same ones
_FAINT = 0.05  # grey levels on the mean that a card's drawing may be beside the processor's
_LOG = logging.getLogger(__name__)


class Runtime(Protocol):
    """One network, ready to run on one frame at a time; arrays without a batch axis."""

    device: str
    uses_previous: bool
    frames_at_once: int  # how many threads may call it together with profit
    whole_frames: bool  # whether it is a ``TorchRuntime`` whose device makes whole frames, several at once, see ``DeviceRenderer``

    def trunk(self, conditions: Conditions) -> tuple[Any, Any, Array, Array]:
        """Fine and coarse features for ``denoise`` (they may lie on a card), flow (2, nodes, nodes), mask (1, side, side)."""
        ...

    def denoise(self, noisy: Array, time: float, warped: Array, mask: Array, fine: Any, coarse: Any) -> Array:
        """The clean picture (3, side, side) -1..1 predicted from a noisy one."""
        ...

    def sample(self, noise: Array, steps: int, warped: Array, mask: Array, fine: Any, coarse: Any) -> Array:
        """The clean picture (3, side, side) after ``steps`` calls of ``denoise``, see ``sampler.sample``."""
        ...


class TorchRuntime:
    """The network in torch, on any device, in single precision: half of it is not within the 1e-3 that the two runtimes agree to.

    On an NVIDIA card one picture and ``MOST_TOGETHER`` pictures of the network's own side run as CUDA graphs. Safe in several threads.
    """

    def __init__(self, weights: Path = WEIGHTS, device: str = "cpu") -> None:
        import torch

        self.device = device
        self._torch = torch
        self._network = load_network(weights).to(device, memory_format=torch.channels_last)
        self.uses_previous = self._network.config.uses_previous
        # On a card the processors prepare and paste frames while one of them is on the card.
        self.frames_at_once = processor_threads() if device == "cuda" else 2
        self._turn = RLock()
        self._trunk: Callable[..., Any] = self._network.trunk
        self._denoiser: Callable[..., Any] = lambda *inputs: (self._network.denoiser(*inputs),)
        self._recordings: dict[int, tuple[RecordedCall, ...]] = {}  # by the number of pictures
        self.whole_frames = device != "cpu" and not self.uses_previous and self._draws()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """For work with tensors on the device, also by ``trunk_batch`` and ``sample_batch``: without gradients, one thread at a time."""
        with self._torch.inference_mode(), self._in_turn():
            yield

    def trunk_batch(self, images: Any, geometry: Any, aus: Any) -> tuple[Any, Any, Any, Any]:
        """Features, flow (n, 2, nodes, nodes) and mask (n, 1, side, side) of tensors on the device, as ``Trunk`` takes them."""
        fine, coarse, flow, mask = self._call(0, [images, geometry, aus])
        return fine, coarse, flow, mask

    def sample_batch(self, noise: Any, steps: int, warped: Any, mask: Any, fine: Any, coarse: Any) -> Any:
        """Clean pictures (n, 3, side, side) after ``steps`` calls of the denoiser, see ``sampler.sample``; tensors on the device."""

        def denoise(noisy: Any, time: float) -> Any:
            return self._call(1, [noisy, warped, mask, fine, coarse, warped.new_full((len(warped),), time)])[0]

        return sample(denoise, noise, steps)

    def recorded(self, count: int = 1) -> tuple[RecordedCall, ...]:
        """Trunk and denoiser of so many pictures as CUDA graphs, recorded when they are first asked for; nothing where there are none."""
        if self.device != "cuda" or count not in (1, MOST_TOGETHER):
            return ()
        if count not in self._recordings:
            self._recordings[count] = self._record(count)
        return self._recordings[count]

    def _call(self, part: int, inputs: list[Any]) -> Any:
        """Trunk (0) or denoiser (1) on tensors, with a batch axis; they lie on the device, or a graph fetches them there."""
        recorded = self.recorded(len(inputs[0]))
        if recorded and recorded[part].fits(inputs):
            return recorded[part](*inputs)
        return (self._trunk, self._denoiser)[part](*(values.to(self.device) for values in inputs))

    def _draws(self) -> bool:
        """Whether the device draws what the processor draws; a line in the log where not. Raises RuntimeError where it cannot even add."""
        from .device_check import difference

        float(self._torch.ones(1, device=self.device) + 1)
        try:
            with self.in_use():
                apart = difference(self.device)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            _LOG.warning("The graphics card cannot draw whole frames (%s); the processor helps it.", str(error).splitlines()[:1])
            return False
        if apart > _FAINT:
            _LOG.warning("The graphics card draws %.3g grey levels beside the processor; the processor draws instead.", apart)
        return apart <= _FAINT

    def trunk(self, conditions: Conditions) -> tuple[Any, Any, Array, Array]:
        """See ``Runtime``. The features stay on the device."""
        fine, coarse, flow, mask = self._run(0, [conditions.images, conditions.geometry, conditions.aus])
        return fine[0], coarse[0], flow[0].cpu().numpy(), mask[0].cpu().numpy()

    def denoise(self, noisy: Array, time: float, warped: Array, mask: Array, fine: Any, coarse: Any) -> Array:
        """See ``Runtime``."""
        (picture,) = self._run(1, [noisy, warped, mask, fine, coarse, self._torch.tensor(time)])
        return np.asarray(picture[0].cpu().numpy())

    def sample(self, noise: Array, steps: int, warped: Array, mask: Array, fine: Any, coarse: Any) -> Array:
        """See ``Runtime``. Pictures between two steps stay on the device."""
        start, *others = (self._tensor(array)[0] for array in (noise, warped, mask))

        def denoise(noisy: Any, time: float) -> Any:
            return self._run(1, [noisy, *others, fine, coarse, self._torch.tensor(time)])[0][0]

        return np.asarray(sample(denoise, start, steps).cpu().numpy())

    def _run(self, part: int, inputs: list[Any]) -> Any:
        """Trunk (0) or denoiser (1) on arrays and tensors without a batch axis; a tuple of tensors with one."""
        with self._torch.inference_mode(), self._in_turn():
            return self._call(part, [self._batch(values) for values in inputs])

    def _record(self, count: int) -> tuple[RecordedCall, ...]:
        """Trunk and denoiser as CUDA graphs; nothing, and a line in the log, where they cannot be recorded or play something else back."""
        torch, side = self._torch, NETWORK_SIDE
        nodes = side // self._network.config.patch
        draw = torch.Generator().manual_seed(0)

        def noise(*shape: int) -> Any:
            return torch.randn(count, *shape, generator=draw).to(self.device)

        try:
            with torch.inference_mode(), self._in_turn():
                conditions = [noise(13, side, side), noise(3, nodes, nodes), noise(19)]
                trunk = RecordedCall(self._trunk, conditions)
                fine, coarse, _, mask = trunk(*conditions)
                inputs = [noise(3, side, side), noise(3, side, side), mask, fine, coarse, torch.full((count,), 0.5, device=self.device)]
                recorded = trunk, RecordedCall(self._denoiser, inputs)
                (played,), (plain,) = recorded[1](*inputs), self._denoiser(*inputs[:3], *self._trunk(*conditions)[:2], inputs[5])
                if torch.allclose(played, plain, atol=_SAME):
                    return recorded
                _LOG.warning("CUDA graphs give other numbers than the network; it runs without them.")
        except RuntimeError as error:
            _LOG.warning("CUDA graphs cannot be recorded (%s); the network runs without them.", str(error).splitlines()[:1])
        return ()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """On an NVIDIA card one thread at a time, in full single precision: convolutions would else round to ten bits and miss the 1e-3."""
        if self.device != "cuda":
            yield
            return
        with self._turn, self._torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield

    def _batch(self, values: Any) -> Any:
        """A batch of one, from an array or a tensor, where it lies."""
        tensor = values if self._torch.is_tensor(values) else self._torch.from_numpy(np.ascontiguousarray(values))
        return tensor.reshape(1) if tensor.ndim == 0 else tensor[None]

    def _tensor(self, values: Any) -> Any:
        """A batch of one on the device."""
        return self._batch(values).to(self.device)


class OnnxRuntime:
    """The network in ONNX Runtime on the processor. Threads never spin: waiting cores belong to others."""

    device = "cpu"
    whole_frames = False

    def __init__(self, weights: Path = WEIGHTS, threads: int | None = None, side: int = NETWORK_SIDE) -> None:
        import onnxruntime

        self.uses_previous = read_config(weights).uses_previous
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.frames_at_once = threads or processor_threads()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        with exported_graphs(weights, side) as graphs:
            self._trunk, self._denoiser = (
                onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in graphs
            )

    def trunk(self, conditions: Conditions) -> tuple[Array, Array, Array, Array]:
        """See ``Runtime``."""
        feed = {"images": conditions.images[None], "geometry": conditions.geometry[None], "aus": conditions.aus[None]}
        fine, coarse, flow, mask = (output[0] for output in self._trunk.run(None, feed))
        return fine, coarse, flow, mask

    def denoise(self, noisy: Array, time: float, warped: Array, mask: Array, fine: Array, coarse: Array) -> Array:
        """See ``Runtime``."""
        feed = {"noisy": noisy, "warped": warped, "mask": mask, "fine": fine, "coarse": coarse}
        batch = {name: np.ascontiguousarray(array[None], np.float32) for name, array in feed.items()}
        return np.asarray(self._denoiser.run(None, {**batch, "time": np.array([time], np.float32)})[0][0])

    def sample(self, noise: Array, steps: int, warped: Array, mask: Array, fine: Array, coarse: Array) -> Array:
        """See ``Runtime``."""
        return np.asarray(sample(lambda noisy, time: self.denoise(noisy, time, warped, mask, fine, coarse), noise, steps))


def processor_threads() -> int:
    """Threads for the network: the processors this process may use, at most eight."""
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:  # Windows and macOS
        available = os.cpu_count() or 1
    return max(1, min(available, _MOST_THREADS))


@lru_cache(maxsize=2)
def default_runtime(weights: Path = WEIGHTS, device: str | None = None) -> Runtime:
    """The runtime for this machine: torch on a graphics card, else ONNX Runtime, else torch on the processor (logged).

    ``device``: "cpu", "cuda" or "mps" to choose. Raises Fault ``weights-missing`` or ``weights-mismatch``.
    """
    chosen = device or _best_device()
    if chosen != "cpu":
        try:
            return TorchRuntime(weights, chosen)
        except RuntimeError as error:
            if device:
                raise
            _LOG.warning("The graphics card cannot be used (%s); the processor does its work.", str(error).splitlines()[:1])
    try:
        return OnnxRuntime(weights)
    except (ImportError, OSError, RuntimeError) as error:
        _LOG.warning("ONNX Runtime cannot be used (%s); falling back to the slower torch runtime.", error)
        return TorchRuntime(weights, "cpu")


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    mps = getattr(torch.backends, "mps", None)
    return "mps" if mps is not None and mps.is_available() else "cpu"
