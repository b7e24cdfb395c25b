# SPDX-License-Identifier: GPL-3.0-or-later
"""Training in two processes: alike networks, averaged gradients, one clock."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytestmark = [pytest.mark.unit, pytest.mark.skipif(sys.platform == "win32", reason="gloo on Windows needs a network adapter")]
torch = pytest.importorskip("torch")

from test_training import drawn_clip  # noqa: E402

from backend.training.small.cache import write_clip  # noqa: E402
from backend.training.small.command import train_rank  # noqa: E402
from backend.training.small.config import tiny_config  # noqa: E402
from backend.training.small.ranks import Ranks, spawn  # noqa: E402


def _average_in_process(ranks: Ranks, folder: Path) -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.full((3,), float(ranks.rank + 1))
    clock = ranks.average([weight], 10.0 if ranks.leads else 99.0)
    (folder / f"{ranks.rank}.json").write_text(json.dumps([weight.grad.tolist(), clock]))


def test_gradients_are_averaged_and_the_leaders_clock_counts(tmp_path: Path) -> None:
    spawn(_average_in_process, 2, tmp_path)
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == [[1.5, 1.5, 1.5], 10.0]


def test_a_process_alone_changes_nothing() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    assert Ranks().average([weight], 3.25) == 3.25 and weight.grad.tolist() == [1, 1]


def test_two_ranks_train_one_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_clip(tmp_path / "cache", drawn_clip(name))
    write_clip(tmp_path / "cache", drawn_clip("three", validation=True))
    spawn(train_rank, 2, replace(tiny_config(), minutes=0.04), tmp_path, "cpu")
    entries = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [entry["step"] for entry in entries if "loss" in entry]
    assert steps == sorted(set(steps)) and steps  # the leader alone writes
    assert entries[-1]["images"] >= 2 * entries[-1]["step"]
