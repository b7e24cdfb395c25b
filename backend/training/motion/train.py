# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop of the motion generator: one configuration, resumable, averaged weights, every term logged."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.motion.config import MOTION_WIDTH, MotionConfig
from backend.motion.face import ReferenceFace
from backend.motion.model import MotionModel
from backend.training.motion.dataset import Shares, Window
from backend.training.motion.experts import Experts
from backend.training.motion.losses import LossWeights, motion_terms, point_weights, reading_term
from bridge.faults import Fault


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on."""

    model: MotionConfig = field(default_factory=MotionConfig)
    weights: LossWeights = field(default_factory=LossWeights)
    steps: int = 3000
    minutes: float = 0.0  # more than 0: the run ends after so many, whatever its steps, and its learning rate falls by the clock
    plain_steps: int = 500  # at first: recorded speech alone, no latent
    batch: int = 16
    frames: int = 72
    learning_rate: float = 2e-3
    warm_up: int = 150
    divergence_warm_up: int = 400
    experts_from: int = 1000  # update from which the frozen experts are asked
    prior_share: float = 0.75  # share of each batch that is decoded from the prior's mean instead of the posterior
    shares: Shares = field(default_factory=Shares)
    average: float = 0.997  # decay of the averaged weights
    gradient_limit: float = 1.0
    seed: int = 0
    save_seconds: float = 120.0


@dataclass
class Trainer:
    """State of a run: model, its running average, optimiser and step."""

    config: TrainConfig
    face: ReferenceFace
    model: MotionModel
    averaged: MotionModel
    optimiser: torch.optim.Optimizer
    experts: Experts | None = None
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (immutable)
    step: int = 0
    seconds: float = 0.0
    started_from: str = ""  # sha256 of the weights that the run went on from

    @classmethod
    def fresh(cls, config: TrainConfig, face: ReferenceFace, experts: Experts | None = None, device: str = "cpu") -> Trainer:
        """A new run from the configuration's seed; the AU basis is the reference face's fields."""
        torch.manual_seed(config.seed)
        models = [MotionModel(config.model).to(device) for _ in range(2)]
        models[1].load_state_dict(models[0].state_dict())
        optimiser = torch.optim.AdamW(models[0].parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        trainer = cls(config, face, models[0], models[1].eval(), optimiser, experts and experts.to(device), torch.device(device))
        trainer._set_basis()
        return trainer

    def start_from(self, model: MotionModel) -> None:
        """Takes over the values of trained weights; the steps count from nought. A run without a latent leaves out what belongs to one.

        Raises Fault ``bad-option`` where the sizes differ.
        """
        if replace(model.config, latent_width=self.config.model.latent_width) != self.config.model:
            raise Fault("bad-option", "The weights to start from have another size than this run.", "Use weights of the same size.")
        for own in (self.model, self.averaged):
            if own.load_state_dict(model.state_dict(), strict=False).missing_keys:
                raise Fault("bad-option", "The weights to start from have no latent.", "Start from weights of a generator.")
        self._set_basis()

    def resume(self, folder: Path) -> None:
        """Goes on from the last checkpoint in ``folder``, if there is one."""
        path = folder / "checkpoint.pt"
        if path.is_file():
            state = torch.load(path, weights_only=True, map_location=self.device)
            self.model.load_state_dict(state["model"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            self._set_basis()

    def _set_basis(self) -> None:
        """The AU basis is the reference face's fields, also where a run goes on after the face was made anew."""
        basis = torch.from_numpy(self.face.fields[..., :2].reshape(len(self.face.fields), MOTION_WIDTH).copy())
        for model in (self.model, self.averaged):
            model.au_basis.copy_(basis)

    def save(self, folder: Path) -> None:
        """Writes the checkpoint, beside and renamed."""
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "checkpoint.partial"
        state = {"model": self.model.state_dict(), "averaged": self.averaged.state_dict(), "optimiser": self.optimiser.state_dict()}
        torch.save({**state, "step": self.step, "seconds": self.seconds}, partial)
        os.replace(partial, folder / "checkpoint.pt")
        (folder / "config.json").write_text(json.dumps(asdict(self.config), indent=2), encoding="utf-8")

    def run(
        self,
        batches: Iterator[dict[str, Tensor]],
        folder: Path | None = None,
        report: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Trains to the configured number of steps or minutes on ``batches`` (see ``stacked``) that lie on the trainer's device; ``report``
        gets the mean of every term each 50 steps."""
        points = point_weights(self.config.weights).to(self.device)
        sums: dict[str, Tensor] = {}
        saved = started = time.monotonic()
        before, first = self.seconds, self.step
        try:
            while self._share_done() < 1.0:
                for name, value in self._advance(next(batches), points).items():
                    sums[name] = sums[name] + value if name in sums else value
                self.seconds = before + time.monotonic() - started
                if self.step % 50 == 0 or self._share_done() >= 1.0:
                    counted = min(self.step - first, (self.step - 1) % 50 + 1)
                    # The only place where the processor waits for the device.
                    means = {name: round(float(value) / counted, 5) for name, value in sums.items()}
                    _log(folder, {"step": self.step, "seconds": round(self.seconds, 1), **means}, report)
                    sums = {}
                if folder is not None and time.monotonic() - saved > self.config.save_seconds:
                    self.save(folder)
                    saved = time.monotonic()
        finally:  # also where somebody stops the run
            if folder is not None:
                self.save(folder)

    def _share_done(self) -> float:
        """How much of the run lies behind, 0..1 and beyond: by steps, or by the clock where the run ends by minutes."""
        return self.seconds / (60 * self.config.minutes) if self.config.minutes else self.step / self.config.steps

    def _advance(self, batch: dict[str, Tensor], points: Tensor) -> dict[str, Tensor]:
        """One update; gives back the terms."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self.model.train()
        terms = self._terms(batch, points)
        weights = asdict(self.config.weights)
        rising = min(1.0, max(0, self.step - self.config.plain_steps) / max(1, self.config.divergence_warm_up))
        weighted = [value * weights[name] * (rising if name == "divergence" else 1.0) for name, value in terms.items()]
        total = torch.stack(weighted).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_limit)
        # An update without finite gradients is left out; the fused optimiser looks at this itself, without waiting for the device.
        self.optimiser.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self.optimiser.step()
        self.step += 1
        self._average()
        return {"total": total.detach()} | {name: value.detach() for name, value in terms.items()}

    def _terms(self, batch: dict[str, Tensor], points: Tensor) -> dict[str, Tensor]:
        model, config = self.model, self.config
        condition = model.condition(batch["voice"], batch["aus"], batch["keyed"])
        terms: dict[str, Tensor] = {}
        z = None
        if config.model.latent_width and self.step >= config.plain_steps:
            typical = model.draw(condition, torch.zeros(model.latent_shape(condition), device=self.device))
            rows = torch.randperm(len(condition), device=self.device)[: max(1, round(len(condition) * (1 - config.prior_share)))]
            posterior = model.encode(batch["motion"][rows], condition[rows])
            terms["divergence"] = model.divergence(posterior, condition[rows])
            z = typical.index_copy(0, rows, posterior.z)
        decoded = model.decode(z, condition, batch["aus"], batch["keyed"])
        terms |= motion_terms(decoded.motion, batch["motion"], batch["lips"], points)
        if self.experts is not None and self.step >= config.experts_from:
            terms |= self.experts.terms(batch["voice"], decoded.motion, batch["motion"])
        terms["reading"] = reading_term(decoded.aus, batch["read"], batch["read_known"])
        return terms

    def _learning_rate(self) -> float:
        if self.step < self.config.warm_up:
            return self.config.learning_rate * (self.step + 1) / self.config.warm_up
        if self.config.minutes:
            done = self._share_done()
        else:
            done = (self.step - self.config.warm_up) / max(1, self.config.steps - self.config.warm_up)
        return self.config.learning_rate * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def _average(self) -> None:
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay)


def stacked(windows: list[Window]) -> dict[str, Tensor]:
    """A batch of windows as tensors (batch, frames, ...)."""
    names = ("voice", "motion", "aus", "keyed", "read", "read_known", "lips")
    return {name: torch.from_numpy(np.stack([getattr(window, name) for window in windows])) for name in names}


def on_device(batches: Iterable[list[Window]], device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Batches of windows as tensors on ``device``."""
    for windows in batches:
        yield {name: tensor.to(device) for name, tensor in stacked(windows).items()}


def usable_device(name: str) -> str:
    """The device of that name, set up for training. Raises Fault ``bad-option`` where this computer or this PyTorch has none."""
    if name not in ("cpu", "cuda"):
        raise Fault("bad-option", f"There is no device {name}.", "Use --device cpu or --device cuda.")
    if name == "cuda":
        if not torch.cuda.is_available():
            raise Fault("bad-option", "PyTorch finds no CUDA device on this computer.", "Use --device cpu.")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True  # shapes are the same in every update
    return name


def _log(folder: Path | None, line: dict[str, Any], report: Callable[[dict[str, Any]], None] | None) -> None:
    if report is not None:
        report(line)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
