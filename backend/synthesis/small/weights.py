# SPDX-License-Identifier: GPL-3.0-or-later
"""The stored network: safetensors in half precision beside a model card that carries its checksum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bridge.faults import Fault

from .model_card import card_path, checked_digest
from .network import NetworkConfig, SmallNetwork

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "small.safetensors"


def read_config(weights: Path) -> NetworkConfig:
    """The network's size, from the file's own metadata. Raises Fault ``weights-missing`` or ``weights-mismatch``."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(weights), "pt") as file:
            return NetworkConfig.from_dict(json.loads((file.metadata() or {})["config"]))
    except FileNotFoundError:
        checked_digest(weights)
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        hint = "Install the backend again; a damaged file is never used."
        raise Fault("weights-mismatch", f"{weights.name} is damaged or holds no renderer.", hint, str(error)) from None


def load_network(weights: Path = WEIGHTS) -> SmallNetwork:
    """The network in float32, ready to run. Raises Fault ``weights-missing`` or ``weights-mismatch``."""
    from safetensors import safe_open

    checked_digest(weights)
    with safe_open(str(weights), "pt") as file:
        state = {name: file.get_tensor(name).float() for name in file.keys()}
    network = SmallNetwork(read_config(weights))
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def save_network(network: SmallNetwork, weights: Path, card: dict[str, Any]) -> None:
    """Writes the network in half precision, then its card with the checksum; each beside its place, then renamed."""
    from safetensors.torch import save_file

    state = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    weights.parent.mkdir(parents=True, exist_ok=True)
    partial = weights.with_suffix(".partial")
    save_file(state, str(partial), {"config": json.dumps(network.config.to_dict())})
    partial.chmod(0o644)  # safetensors writes for the owner alone
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    complete = {**card, "sha256": digest, "parameters": parameters, "bytes": partial.stat().st_size}
    card_partial = card_path(weights).with_suffix(".json.partial")
    card_partial.write_text(json.dumps(complete, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(weights)
    card_partial.replace(card_path(weights))
