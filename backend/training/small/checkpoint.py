# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a run on disk: safetensors and JSON, so that a run can stop and go on, and never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.synthesis.small.network import SmallNetwork


def save_state(path: Path, network: SmallNetwork, average: SmallNetwork, optimizer: torch.optim.Optimizer, notes: dict[str, Any]) -> None:
    """Writes everything a run needs to go on; beside its place, then renamed."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, str(partial), {"notes": json.dumps(notes)})
    partial.replace(path)


def load_state(path: Path, network: SmallNetwork, average: SmallNetwork, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Puts a saved run back in place and returns its notes."""
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        notes: dict[str, Any] = json.loads((file.metadata() or {})["notes"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    network.load_state_dict(_part(tensors, "network."))
    average.load_state_dict(_part(tensors, "average."))
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        index, _, field = name.partition(".")
        states.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return notes


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
