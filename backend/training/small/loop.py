# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop: pairs, steps, moving average, log, checkpoints; it can be stopped and resumed at any time."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from backend.synthesis.small.network import SmallNetwork
from backend.synthesis.small.weights import save_network

from .cache import FaceClip, for_choosing
from .checkpoint import load_state, save_state
from .config import TrainingConfig
from .critics import Critics
from .drawn import DrawnBatch, batches
from .losses import Batch, corrupted, loss_terms, predict, stack_pairs, warp_portrait
from .on_device import DeviceFaces
from .pairs import PairSampler
from .ranks import Ranks
from .validation import Validation

Report = Callable[[str], None]


class Trainer:
    """One run. ``folder`` receives ``state.safetensors`` and ``log.jsonl``."""

    def __init__(
        self,
        config: TrainingConfig,
        clips: list[FaceClip],
        folder: Path,
        device: str = "cpu",
        report: Report = print,
        ranks: Ranks | None = None,
        start: SmallNetwork | None = None,
        workers: int = 8,
        imagenet: Path | None = None,
    ) -> None:
        """``start``: a network to go on from, where the folder holds no run yet. ``workers``: processes that draw for a device other than
        the processor. ``imagenet``: features of the perceptual loss as ``pack.py`` stores them, by default the installed package's."""
        torch.manual_seed(config.seed)
        torch.backends.cudnn.benchmark = device != "cpu"
        self.ranks = ranks or Ranks()
        self.config, self.folder, self.device, self.report = config, folder, device, report
        self.network = SmallNetwork(config.network if start is None else start.config)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.network = self.network.to(device, memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.steps = self.images = 0
        self.seconds = 0.0  # spent training, over all resumes
        self.history: list[dict[str, Any]] = []
        self._clock: float | None = None
        if self._state.is_file():
            self._resume()
        training = [clip for clip in clips if not clip.validation and not for_choosing(clip)]
        self._seed = config.seed + self.steps + 1_000_003 * self.ranks.rank
        self.training, self.workers = training, workers
        self.sampler = PairSampler(training, config, self._seed)
        # A processor needs no copy of its own: there pairs are made from the mapped cache.
        self.faces = None if device == "cpu" else DeviceFaces(training, device)
        self._draws: tuple[int, Iterator[DrawnBatch]] | None = None
        self.draw = torch.Generator().manual_seed(self._seed)
        self._device_draw = torch.Generator(device).manual_seed(self._seed)
        self.critics = Critics(config, device, imagenet)
        self.validation = Validation(clips, config.validation_pairs)

    @property
    def _state(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def share(self) -> float:
        """How much of the run is done, 0..1."""
        return min(self.seconds / (self.config.minutes * 60), 1.0)

    def run(self) -> dict[str, Any]:
        """Trains to the end of the run and returns the last validation."""
        self.critics.load()
        saved = validated = last = self.seconds
        recent: dict[str, torch.Tensor] = {}
        self._clock = time.monotonic()
        while self.share < 1:
            before = self.share
            terms = self.step()
            recent |= terms
            if not self.ranks.leads:
                continue
            if self.steps % self.config.log_every == 0:
                shown = {name: float(term) for name, term in recent.items()}  # some terms are not asked for in every step
                self._log({"loss": float(sum(terms.values())), **shown, "seconds_a_step": (self.seconds - last) / self.config.log_every})
                last = self.seconds
            for share in self.config.keep_at:
                if before < share <= self.share:
                    self._keep(share)
            if self.seconds - saved > self.config.save_every_minutes * 60:
                self.save()
                saved = self.seconds
            if self.seconds - validated > self.config.validate_every_minutes * 60:
                self.validate()
                validated = self.seconds
                self._clock = time.monotonic()
        if not self.ranks.leads:
            return {}
        result = self.validate()
        self.save()
        return result

    def step(self) -> dict[str, torch.Tensor]:
        """One optimizer step; returns the terms of the loss, scalars on the device: to read one is to wait for it."""
        whole = self.share >= 1 - self.config.whole_share
        window, count = self.config.window, self.config.batch
        if whole:
            window, count = 256, self.config.whole_batch
        elif self.config.judged_every and self.steps % self.config.judged_every == 0:
            window, count = 256, self.config.judged_batch
        batch, previous = self._examples(window, count, rollout=whole and self.config.no_previous < 1)
        prediction = predict(self.network, batch, previous, self._noise(batch), self._times(count))
        terms = loss_terms(prediction, batch, self.config.losses, self.share)
        terms |= self.critics.terms(prediction, batch, self.share)
        torch.stack(list(terms.values())).sum().backward()
        self.seconds = self.ranks.average(list(self.network.parameters()), self.seconds + self._elapsed())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_gradient)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps, self.images = self.steps + 1, self.images + count * self.ranks.count
        self._follow()
        return {name: term.detach() for name, term in terms.items()}

    def _elapsed(self) -> float:
        """Seconds since it was last asked, 0 where nothing runs."""
        now = time.monotonic()
        passed = now - self._clock if self._clock is not None else 0.0
        self._clock = now if self._clock is not None else None
        return passed

    def learning_rate(self) -> float:
        """Linear warm-up, a long level stretch, then half a cosine down over the last part of the run."""
        warm = min((self.steps + 1) / self.config.warm_up_steps, 1.0)
        late = max(self.share - 1 + self.config.decay_share, 0) / self.config.decay_share
        return self.config.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * late)))

    def validate(self) -> dict[str, Any]:
        """Measures the averaged network on held-out people and logs it."""
        result = self.validation.measure(self.average, self.device)
        self.history.append({"minutes": round(self.seconds / 60, 1), "images": self.images, "validation": result})
        self._log({"validation": result})
        return result

    def save(self) -> None:
        """Writes a checkpoint."""
        notes = {
            "steps": self.steps,
            "images": self.images,
            "seconds": self.seconds,
            "history": self.history,
            "config": self.config.to_dict(),
        }
        save_state(self._state, self.network, self.average, self.optimizer, notes)

    def _examples(self, window: int, count: int, rollout: bool) -> tuple[Batch, torch.Tensor]:
        """A batch and the previous frames to condition on: none, the truth made worse, or the network's own."""
        if rollout:
            return self._rolled_out(window, count)
        if self.faces is not None:
            batch = self.faces.batch(self._drawn(window, count))
        else:
            batch = stack_pairs([self.sampler.pair(window) for _ in range(count)], self.device)
        if self.config.no_previous >= 1:
            return batch, torch.zeros_like(batch.target)
        first = warp_portrait(batch.portrait, batch.field, batch.base)
        return batch, corrupted(batch.previous, first, self.draw)

    def _drawn(self, window: int, count: int) -> DrawnBatch:
        """The next batch for a device, drawn by other processes; these are begun anew where windows change their size."""
        if self._draws is None or self._draws[0] != window:
            pinned = self.device.startswith("cuda")
            self._draws = window, batches(self.training, self.config, window, count, self._seed + window, self.workers, pinned)
        return next(self._draws[1])

    def _rolled_out(self, window: int, count: int) -> tuple[Batch, torch.Tensor]:
        """Last frames of short films, each with what the network itself made of the frames before."""
        last, befores = [], []
        for _ in range(count):
            pairs = self.sampler.sequence(window, self.config.rollout + 1)
            previous = torch.from_numpy(pairs[0].previous)[None].to(self.device)
            for pair in pairs[:-1]:
                single = stack_pairs([pair], self.device)
                with torch.no_grad():
                    made = predict(self.network, single, previous, self._noise(single), torch.ones(1))
                previous = made.picture.clamp(-1, 1)
            last.append(pairs[-1])
            befores.append(previous)
        return stack_pairs(last, self.device), torch.cat(befores)

    def _noise(self, batch: Batch) -> torch.Tensor:
        return torch.randn(batch.target.shape, generator=self._device_draw, device=self.device)

    def _times(self, count: int) -> torch.Tensor:
        """Times of the flow, alike for a batch: often 1, where sampling starts, else the later steps of 2 and 4."""
        if torch.rand((), generator=self.draw) < self.config.full_noise:
            return torch.ones(count)
        return torch.rand(count, generator=self.draw) * 0.6 + 0.2

    def _follow(self) -> None:
        rate = min(self.config.ema, (1 + self.steps) / (20 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - rate)

    def _keep(self, share: float) -> None:
        """Stores the averaged network as it is at ``share`` of the run, beside the checkpoints."""
        card = {"name": "small", "minutes": round(self.seconds / 60, 1), "steps": self.steps, "images": self.images}
        save_network(self.average, self.folder / f"at-{round(100 * share)}.safetensors", card)

    def _resume(self) -> None:
        notes = load_state(self._state, self.network, self.average, self.optimizer)
        self.steps, self.images = int(notes["steps"]), int(notes["images"])
        self.seconds, self.history = float(notes["seconds"]), list(notes["history"])
        self.report(f"going on at step {self.steps}, {self.seconds / 60:.1f} of {self.config.minutes:g} minutes")

    def _log(self, entry: dict[str, Any]) -> None:
        full = {"step": self.steps, "images": self.images, "minutes": round(self.seconds / 60, 2), "rate": self.learning_rate(), **entry}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(full) + "\n")
        self.report(json.dumps({key: round(value, 5) if isinstance(value, float) else value for key, value in full.items()}))
