# SPDX-License-Identifier: GPL-3.0-or-later
"""The frozen experts that judge generated motion in training: a reader of Action Units and a judge of lips against voice.

Both are small, trained first by their own commands, and kept as safetensors (half precision) with a model card. Only training uses them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backend.motion.config import AU_COUNT, MOTION_UNIT, MOTION_WIDTH
from backend.speech.features import BANDS, COLUMNS_PER_FRAME, FEATURES
from bridge.faults import Fault
from bridge.landmarks import CHIN, REGIONS

_LIP_POINTS = sorted({*REGIONS["lips_outer"], *REGIONS["lips_inner"], CHIN})
_LIP_COLUMNS = [2 * point + axis for point in _LIP_POINTS for axis in (0, 1)]
_HEARD = 0.0  # scaled energy above which a frame counts as speech: 4.5 nepers of power under the loud parts


@dataclass(frozen=True)
class ExpertConfig:
    """Everything an expert's run depends on."""

    width: int = 96
    embedding: int = 64
    steps: int = 700
    batch: int = 16
    frames: int = 72
    learning_rate: float = 2e-3
    seed: int = 0


class AuReader(nn.Module):
    """Landmark motion -> Action Units: what a trained eye reads off the moving points, speech included."""

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.layers = nn.Sequential(
            nn.Conv1d(MOTION_WIDTH, width, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(width, AU_COUNT, 1),
        )

    def forward(self, motion: Tensor) -> Tensor:
        """(batch, frames, 18), 0..1 of full intensity, from ``motion`` (batch, frames, 324), inter-ocular units."""
        return self.layers(motion.transpose(1, 2) / MOTION_UNIT).transpose(1, 2)


class LipExpert(nn.Module):
    """A voice and lips that belong together lie close, after SyncNet (Chung and Zisserman 2016): one embedding a frame for each."""

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self.config = config
        self.voice = self._branch(FEATURES, config)
        self.lips = self._branch(len(_LIP_COLUMNS), config)
        self.sharpness = nn.Parameter(torch.tensor(2.5))

    @staticmethod
    def _branch(channels: int, config: ExpertConfig) -> nn.Sequential:
        width = config.width
        return nn.Sequential(
            nn.Conv1d(channels, width, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(width, width, 3, padding=2, dilation=2),
            nn.GELU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(width, config.embedding, 1),
        )

    def hear(self, voice: Tensor) -> Tensor:
        """(batch, frames, embedding), length 1, from ``voice`` (batch, frames, features)."""
        return nn.functional.normalize(self.voice(voice.transpose(1, 2)), dim=1).transpose(1, 2)

    def see(self, motion: Tensor) -> Tensor:
        """(batch, frames, embedding), length 1, from ``motion`` (batch, frames, 324)."""
        lips = motion[..., _LIP_COLUMNS].transpose(1, 2) / MOTION_UNIT
        return nn.functional.normalize(self.lips(lips), dim=1).transpose(1, 2)


Expert = AuReader | LipExpert
KINDS: dict[str, type[AuReader] | type[LipExpert]] = {"au-regressor": AuReader, "lip-expert": LipExpert}


@dataclass(frozen=True)
class Experts:
    """Both experts, frozen."""

    reader: AuReader
    lips: LipExpert

    @classmethod
    def load(cls, folder: Path) -> Experts:
        """From the folder that their commands wrote. Raises Faults ``data-missing``, ``weights-mismatch``."""
        reader, lips = load_expert("au-regressor", folder), load_expert("lip-expert", folder)
        assert isinstance(reader, AuReader) and isinstance(lips, LipExpert)
        return cls(reader, lips)

    def to(self, device: str) -> Experts:
        """Both on ``device``."""
        return Experts(self.reader.to(device), self.lips.to(device))

    def terms(self, voice: Tensor, motion: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """What they say of generated motion (batch, frames, 324) beside the true one."""
        return {"agreement": agreement_term(self.reader, motion, truth), "sync": sync_term(self.lips, voice, motion, truth)}


def speaking(voice: Tensor) -> Tensor:
    """(batch, frames) where the voice is heard, from feature rows (batch, frames, features)."""
    energy = voice.reshape(*voice.shape[:2], COLUMNS_PER_FRAME, BANDS + 1)[..., -1]
    return energy.amax(dim=2) > _HEARD


def agreement_term(reader: AuReader, motion: Tensor, truth: Tensor) -> Tensor:
    """Mean difference of what the reader sees in generated and in true motion (batch, frames, 324)."""
    with torch.no_grad():
        wanted = reader(truth)
    return (reader(motion) - wanted).abs().mean()


def sync_term(expert: LipExpert, voice: Tensor, motion: Tensor, truth: Tensor) -> Tensor:
    """How much farther generated lips lie from the voice than the true ones do, where it is heard; never under zero for a frame."""
    heard = speaking(voice).float()
    with torch.no_grad():
        sound = expert.hear(voice)
        best = (sound * expert.see(truth)).sum(dim=2)
    missing = (best - (sound * expert.see(motion)).sum(dim=2)).clamp(min=0)
    return (missing * heard).sum() / heard.sum().clamp(min=1.0)


def contrast(expert: LipExpert, voice: Tensor, motion: Tensor, step: int = 3) -> Tensor:
    """Cross-entropy of finding each lip frame's own voice frame among all others of the batch, and the other way round."""
    start = int(torch.randint(step, ()))
    heard = speaking(voice)[:, start::step]
    sound, lips = expert.hear(voice)[:, start::step][heard], expert.see(motion)[:, start::step][heard]
    alike = sound @ lips.T * expert.sharpness.exp()
    own = torch.arange(len(alike), device=alike.device)
    return (nn.functional.cross_entropy(alike, own) + nn.functional.cross_entropy(alike.T, own)) / 2


def train_expert(expert: Expert, batches: Iterator[dict[str, Tensor]], report: Any = None) -> None:
    """Trains to the configured number of steps; ``report`` gets step and loss each 100 steps."""
    config = expert.config
    optimiser = torch.optim.AdamW(expert.parameters(), lr=config.learning_rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps, pct_start=0.1)
    total = 0.0
    for step in range(1, config.steps + 1):
        batch = next(batches)
        loss = _loss(expert, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(expert.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += float(loss.detach())
        if report is not None and (step % 100 == 0 or step == config.steps):
            report({"step": step, "loss": round(total / (step % 100 or 100), 5)})
            total = 0.0


def _loss(expert: Expert, batch: dict[str, Tensor]) -> Tensor:
    if isinstance(expert, LipExpert):
        return contrast(expert, batch["voice"], batch["motion"])
    error = expert(batch["motion"]) - batch["read"]
    rounded = (2 * error.square() + 0.2 * error.abs()) * batch["read_known"]
    return rounded.sum() / batch["read_known"].sum().clamp(min=1.0)


def save_expert(expert: Expert, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Writes ``path`` (.safetensors) and its card beside it; gives back the card with size and sha256."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: tensor.half().contiguous() for name, tensor in expert.state_dict().items()}, partial)
    partial.chmod(0o644)
    full = {
        **card,
        "file": path.name,
        "sha256": hashlib.sha256(partial.read_bytes()).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in expert.parameters()),
        "configuration": asdict(expert.config),
    }
    path.with_suffix(".json").write_text(json.dumps(full, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(_page(full), encoding="utf-8")
    os.replace(partial, path)
    return full


def _page(card: dict[str, Any]) -> str:
    """The card to read."""
    training = card["training"]
    lines = [f"# {card['name']}", "", card["purpose"] + ".", "", f"- File: `{card['file']}`, {card['parameters'] / 1e6:.2f} M parameters"]
    lines += [f"- sha256: `{card['sha256']}`", f"- Licence: {card['licence']}", "", "## Data", ""]
    lines += [f"- {data['name']} ({data['licence']}). {data['credit']}." for data in card["data"]]
    lines += [
        "",
        "## Training",
        "",
        f"`{training['command']}`: {card['configuration']['steps']} updates, seed {card['configuration']['seed']},",
    ]
    lines += [
        f"{training['tracked_clips']} tracked and {training['actor_clips']} actor clips.",
        "",
        "## Figures, on clips not trained on",
        "",
    ]
    lines += [f"- {name}: {value:.3f}" for name, value in card["figures"].items()]
    return "\n".join([*lines, "", "## Limits", "", *(f"- {limit}." for limit in card["limits"]), ""])


def load_expert(kind: str, folder: Path) -> Expert:
    """The frozen expert of a kind (``au-regressor`` or ``lip-expert``) from ``folder``.

    Raises Fault ``data-missing`` where it was not trained, ``weights-mismatch`` where the file is not its card's.
    """
    from safetensors.torch import load_file

    path = folder / f"{kind}.safetensors"
    if not path.is_file() or not path.with_suffix(".json").is_file():
        raise Fault("data-missing", f"There is no {kind} in {folder}.", f"Train it first with `python -m backend train {kind}`.")
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if hashlib.sha256(path.read_bytes()).hexdigest() != card["sha256"]:
        raise Fault("weights-mismatch", f"{path.name} is not the file that its model card describes.", "Train it again.")
    expert = KINDS[kind](ExpertConfig(**card["configuration"]))
    expert.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return expert.eval().requires_grad_(False)
