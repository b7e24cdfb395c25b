# SPDX-License-Identifier: GPL-3.0-or-later
"""The stored network: safetensors in half precision beside a model card that carries its checksum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bridge.faults import Fault

from .network import NetworkConfig, SmallNetwork

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "small.safetensors"


def card_path(weights: Path) -> Path:
    """The model card of a weights file: the same name, ending in .json."""
    return weights.with_suffix(".json")


def read_card(weights: Path) -> dict[str, Any]:
    """The model card. Raises Fault ``weights-missing`` or ``weights-mismatch``."""
    try:
        card = json.loads(card_path(weights).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Fault("weights-missing", f"The model card {card_path(weights).name} is missing.", "Install the backend again.") from None
    except ValueError:
        raise Fault("weights-mismatch", f"The model card {card_path(weights).name} is damaged.", "Install the backend again.") from None
    if not isinstance(card, dict):
        raise Fault("weights-mismatch", f"The model card {card_path(weights).name} is damaged.", "Install the backend again.")
    return card


def checked_digest(weights: Path) -> str:
    """sha256 of the weights file, once it agrees with the card. Raises Fault ``weights-missing`` or ``weights-mismatch``."""
    if not weights.is_file():
        raise Fault(
            "weights-missing", f"The weights file {weights.name} is missing.", "Install the backend again, or train it with `train small`."
        )
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if read_card(weights).get("sha256") != digest:
        raise Fault(
            "weights-mismatch",
            f"{weights.name} does not match the checksum in its model card.",
            "Install the backend again; a damaged file is never used.",
        )
    return digest


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
