# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a run on disk, and its result: safetensors and JSON, never a pickle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.files import written_beside
from backend.synthesis.sd15.checkpoints import write_safetensors
from backend.synthesis.sd15.models import Models
from backend.synthesis.sd15.tiny import published_states
from bridge.faults import Fault

from .config import TrainingConfig
from .networks import Trainee

_BASE = ("vae", "image_encoder", "tiny_decoder")
_SUFFIX = {"aniportrait": "", "echomimic": "_pose"}


def save_state(path: Path, trainee: Trainee, optimizer: Any, steps: int, config: TrainingConfig) -> None:
    """Writes the trained weights and the optimizer's state; beside its place, then renamed."""
    from safetensors.torch import save_file

    names = list(trainee.trained())
    tensors: dict[str, Tensor] = {f"weight.{name}": weight.detach().cpu() for name, weight in trainee.trained().items()}
    tensors |= {f"buffer.{name}": buffer.detach().cpu() for name, buffer in trainee.pose.named_buffers()}  # running statistics
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{names[index]}.{key}": torch.as_tensor(value).cpu() for key, value in state.items()}
    notes = json.dumps({"steps": steps, "config": config.to_dict()})
    with written_beside(path) as partial:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, str(partial), {"notes": notes})


def load_state(path: Path, trainee: Trainee, optimizer: Any, config: TrainingConfig) -> int:
    """Puts a saved run back in place; its steps. Raises Fault ``training-differs`` where it was of another step or other networks."""
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        notes = json.loads((file.metadata() or {})["notes"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    trained = trainee.trained()
    shapes = {f"weight.{name}": weight.shape for name, weight in trained.items()}
    if notes["config"]["step"] != config.step or any(name not in tensors or tensors[name].shape != shape for name, shape in shapes.items()):
        raise Fault("training-differs", f"{path.parent} holds a run of other networks.", "Choose another folder with --work.")
    with torch.no_grad():
        for name, weight in trained.items():
            weight.copy_(tensors[f"weight.{name}"])
        for name, buffer in trainee.pose.named_buffers():
            buffer.copy_(tensors[f"buffer.{name}"])
    states: dict[int, dict[str, Tensor]] = {}
    for index, name in enumerate(trained):
        found = {
            key: tensors[f"optimizer.{name}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"optimizer.{name}.{key}" in tensors
        }
        if found:
            states[index] = found
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(notes["steps"])


def export(models: Models, folder: Path, notes: dict[str, Any]) -> list[str]:
    """Writes a folder for ``AUTTER_SD15``: the trained parts under the published names in half precision, the base parts, notes."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part, state in published_states(models).items():
        name = f"{part}{_SUFFIX[models.family]}.safetensors"
        write_safetensors(folder / name, state, torch.float16)
        written.append(name)
    (folder / "unet").mkdir(exist_ok=True)
    (folder / "unet" / "config.json").write_text(json.dumps(models.config.to_unet_config(), indent=2) + "\n", encoding="utf-8")
    for part in _BASE:
        if part in models.networks:
            shutil.rmtree(folder / part, ignore_errors=True)
            models.networks[part].save_pretrained(str(folder / part))  # type: ignore[operator]
    (folder / "training.json").write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
    return written
