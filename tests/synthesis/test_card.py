# SPDX-License-Identifier: GPL-3.0-or-later
"""The network on a graphics card: what can be known without one, and what is measured where there is one."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from backend.synthesis.small import runtime as runtimes  # noqa: E402
from backend.synthesis.small.conditions import Conditions  # noqa: E402
from backend.synthesis.small.network import SmallNetwork  # noqa: E402
from backend.synthesis.small.runtime import OnnxRuntime, TorchRuntime, default_runtime  # noqa: E402

pytestmark = pytest.mark.unit
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA card")
# What a CUDA graph cannot hold: numbers that come from the processor, and numbers that go there.
_NOT_IN_A_GRAPH = ("lift_fresh", "_local_scalar_dense", "_to_copy", "nonzero", "item")


class _Operations(TorchDispatchMode):
    """Notes the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), more: Any = None) -> Any:
        self.names.add(function.overloadpacket.__name__)
        return function(*arguments, **(more or {}))


def test_nothing_in_the_network_keeps_it_from_being_recorded() -> None:
    network = SmallNetwork().eval()
    with torch.no_grad(), _Operations() as operations:
        fine, coarse, _, mask = network.trunk(torch.zeros(1, 13, 64, 64), torch.zeros(1, 3, 16, 16), torch.zeros(1, 19))
        network.denoiser(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64), mask, fine, coarse, torch.ones(1))
    assert "convolution" in operations.names
    assert not operations.names & set(_NOT_IN_A_GRAPH)


def test_a_card_that_cannot_be_used_leaves_the_work_to_the_processor(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(weights: Path, device: str = "cpu") -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")

    monkeypatch.setattr(runtimes, "_best_device", lambda: "cuda")
    monkeypatch.setattr(runtimes, "TorchRuntime", broken)
    default_runtime.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert isinstance(default_runtime(), OnnxRuntime)
        assert "no kernel image" in caplog.text and "processor" in caplog.text
        with pytest.raises(RuntimeError):  # who asks for the card hears of it
            default_runtime(device="cuda")
    finally:
        default_runtime.cache_clear()


def test_sampling_at_once_is_sampling_step_by_step() -> None:
    from backend.synthesis.small.sampler import sample

    runtime, given = TorchRuntime(), conditions(1)
    fine, coarse, _, mask = runtime.trunk(given)
    warped, noise = given.images[:3], given.images[3:6]
    step_by_step = sample(lambda noisy, time: runtime.denoise(noisy, time, warped, mask, fine, coarse), noise, 3)
    np.testing.assert_allclose(runtime.sample(noise, 3, warped, mask, fine, coarse), step_by_step, atol=1e-5)


@needs_card
def test_the_card_gives_the_processors_numbers_in_several_threads() -> None:
    card, processor = TorchRuntime(device="cuda"), OnnxRuntime()
    assert card.recorded()  # as CUDA graphs
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: picture(card, seed), range(16)))
    for seed, one in enumerate(found):
        np.testing.assert_allclose(one, picture(processor, seed), atol=1e-3)


def conditions(seed: int) -> Conditions:
    """Random ones of the network's own side."""
    draw = np.random.default_rng(seed)
    shapes = ((13, 256, 256), (3, 64, 64), (19,))
    return Conditions(*(draw.uniform(-1, 1, shape).astype(np.float32) for shape in shapes))


def picture(runtime: Any, seed: int) -> Any:
    """What two steps make of them."""
    given = conditions(seed)
    fine, coarse, _, mask = runtime.trunk(given)
    return runtime.sample(given.images[6:9], 2, given.images[:3], mask, fine, coarse)
