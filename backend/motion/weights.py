# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing the motion generator's weights: safetensors in half precision beside a model card with its sha256."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.faults import Fault

if TYPE_CHECKING:
    from backend.motion.model import MotionModel

WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights"
DEFAULT_WEIGHTS = WEIGHTS_FOLDER / "motion.safetensors"
EXPERTS_FOLDER = WEIGHTS_FOLDER / "experts"  # what judges generated motion in training


def load_model(path: Path | None = None) -> MotionModel:
    """The model of a weights file, in float32 and ready to run.

    Raises Fault ``weights-missing`` where file or card is not there, ``weights-mismatch`` where the file is not the one its card
    describes or cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    from backend.motion.config import MotionConfig
    from backend.motion.model import MotionModel

    path = Path(path) if path else DEFAULT_WEIGHTS
    _check_against_card(path)
    try:
        with safe_open(path, "pt") as file:
            config = MotionConfig.from_dict(json.loads((file.metadata() or {})["config"]))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}
        model = MotionModel(config)
        model.load_state_dict(tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Fault(
            "weights-mismatch", f"{path.name} does not hold a motion generator.", "Install the backend again.", str(error)
        ) from None
    return model.eval()


def save_model(model: MotionModel, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Writes ``path`` (float16) and its card ``path``.json; gives back the card with size, parameters and sha256."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, partial, metadata={"config": json.dumps(model.config.to_dict())})
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    full = {
        **card,
        "file": path.name,
        "sha256": digest,
        "bytes": partial.stat().st_size,
        "parameters": model.parameter_count(),
        "config": model.config.to_dict(),
    }
    path.with_suffix(".json").write_text(json.dumps(full, indent=2) + "\n", encoding="utf-8")
    partial.chmod(0o644)
    os.replace(partial, path)
    return full


def _check_against_card(path: Path) -> None:
    hint = "Install the backend again, or name another file with --weights."
    if not path.is_file():
        raise Fault("weights-missing", f"The motion generator's weights {path.name} are missing.", hint)
    try:
        expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError):
        raise Fault("weights-missing", f"The model card {path.with_suffix('.json').name} is missing or damaged.", hint) from None
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise Fault("weights-mismatch", f"{path.name} is not the file that its model card describes.", hint)
