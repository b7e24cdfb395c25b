# SPDX-License-Identifier: GPL-3.0-or-later
"""The tier on a graphics card: what can be known without one, and what is measured where there is one."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

pytestmark = pytest.mark.unit
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA card")
# What a CUDA graph cannot hold: numbers that come from the processor, and numbers that go there.
_NOT_IN_A_GRAPH = {"lift_fresh", "_local_scalar_dense", "nonzero", "item"}


class _Operations(TorchDispatchMode):
    """Notes the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), more: Any = None) -> Any:
        self.names.add(function.overloadpacket.__name__)
        return function(*arguments, **(more or {}))


@pytest.mark.parametrize("family", ["aniportrait", "echomimic"])
def test_nothing_in_the_denoiser_keeps_it_from_being_a_cuda_graph_in_bfloat16(family: str) -> None:
    from backend.benchmark.sd15_random import random_bank, random_networks
    from backend.synthesis.sd15.reference import TOKENS

    models = random_networks(family, False, "cpu", torch.bfloat16)
    bank = {name: tensor.bfloat16() for name, tensor in random_bank(models, 64).items()}
    tokens = bank.pop(TOKENS, torch.zeros(1, 1, models.config.cross_attention_dim, dtype=torch.bfloat16))
    reference, latents, timestep = models.denoising_unet.projected(bank), torch.zeros(1, 4, 3, 8, 8).bfloat16(), torch.tensor(999)
    with torch.no_grad():
        pose = models.pose_guider(torch.zeros(3, 3, 64, 64).bfloat16())
        with _Operations() as operations:
            answer = models.denoising_unet(latents, timestep, tokens, pose, reference)
    assert answer.dtype == torch.bfloat16 and "convolution" in operations.names
    assert not operations.names & _NOT_IN_A_GRAPH


@needs_card
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_every_plan_makes_the_same_pictures_on_the_card(dtype: str) -> None:
    from backend.cli import benchmark as command

    parser = argparse.ArgumentParser()
    words = ["--tier", "sd15", "--device", "cuda", "--network", "tiny", "--dtype", dtype, "--plans", "--presets", "draft"]
    command.add_arguments(parser, words)
    report = command.run(parser.parse_args(words))
    assert list(report["plans"]) == ["whole", "frugal", "parts", "layers"]
    assert all(rows["draft"]["off"]["mean"] < 1 for rows in report["plans"].values())
    assert "out-of-memory" in report["running_out"][-1]["said"]
