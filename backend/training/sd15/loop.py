# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop of either step: examples, noise, weighted loss, log, checkpoints; it can be stopped and resumed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from diffusers import DDPMScheduler
from torch import Tensor

from backend.synthesis.sd15.drawing import DRAWINGS
from backend.synthesis.sd15.images import portrait_pixels, to_signed, to_unit
from backend.synthesis.sd15.models import Models

from .checkpoint import load_state, save_state
from .config import TrainingConfig
from .data import Example, ExampleSampler
from .networks import Trainee

Report = Callable[[str], None]
_LEVELS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "linear", "num_train_timesteps": 1000}


class Trainer:
    """One step of the recipe. ``folder`` receives ``state.safetensors`` and ``log.jsonl``; a run that is there goes on."""

    def __init__(self, config: TrainingConfig, models: Models, sampler: ExampleSampler, folder: Path, report: Report = print) -> None:
        self.config, self.models, self.sampler, self.folder, self.report = config, models, sampler, folder, report
        self.accelerator = Accelerator(
            mixed_precision=config.precision,
            gradient_accumulation_steps=config.accumulate,
            cpu=models.device.type == "cpu",
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],  # dropped conditions leave networks out
        )
        torch.manual_seed(config.seed)
        self.trainee = Trainee(models, config.step)
        if config.checkpointing:
            models.denoising_unet.unet.enable_gradient_checkpointing()
        weights = list(self.trainee.trained().values())
        self.optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.scheduler = DDPMScheduler(**_LEVELS, prediction_type="v_prediction", rescale_betas_zero_snr=True)
        self.steps = 0
        if self._state.is_file():
            self.steps = load_state(self._state, self.trainee, self.optimizer, config)
            self.report(f"goes on after step {self.steps}")
        self.network, self.optimizer = self.accelerator.prepare(self.trainee, self.optimizer)
        for base in (models.vae, models.image_encoder):
            if base is not None:
                base.to(self.accelerator.device)

    @property
    def _state(self) -> Path:
        return self.folder / f"step{self.config.step}" / "state.safetensors"

    def run(self) -> list[float]:
        """Trains to the end; the losses of this run's steps."""
        self.network.train()
        losses, began = [], time.monotonic()
        while self.steps < self.config.steps:
            losses.append(self.one_step())
            if self.steps % self.config.log_every == 0:
                self._log(losses[-self.config.log_every :], time.monotonic() - began)
                began = time.monotonic()
            if self.steps % self.config.save_every == 0:
                self.save()
        self.save()
        return losses

    def one_step(self) -> float:
        """One optimizer step over ``accumulate`` batches; the mean loss."""
        total = 0.0
        for part in range(self.config.accumulate):
            with self.accelerator.accumulate(self.network):
                loss = self._loss(part)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.trainee.trained().values(), self.config.clip_gradient)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                total += float(loss.detach())
        self.steps += 1
        return total / self.config.accumulate

    def save(self) -> None:
        """Writes a checkpoint, from one process."""
        if self.accelerator.is_main_process:
            save_state(self._state, self.trainee, self.optimizer, self.steps, self.config)

    def _loss(self, part: int) -> Tensor:
        """The weighted error of the predicted velocity on one batch; what is drawn depends on seed, step, part and process alone."""
        config, device = self.config, self.accelerator.device
        seeds = [config.seed, self.steps, part, self.accelerator.process_index]
        draw = np.random.default_rng(seeds)
        noise_draw = torch.Generator().manual_seed(int(draw.integers(2**62)))
        examples = [self.sampler.example(draw) for _ in range(config.batch)]
        latents, portrait, tokens = self._encoded(examples)
        noise = torch.randn(latents.shape, generator=noise_draw)
        noise = (noise + config.noise_offset * torch.randn((len(latents), 4, 1, 1, 1), generator=noise_draw)).to(device)
        timesteps = torch.randint(0, _LEVELS["num_train_timesteps"], (len(latents),), generator=noise_draw).to(device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        target = self.scheduler.get_velocity(latents, noise, timesteps)
        conditional = bool(draw.random() >= config.unconditional)
        with self.accelerator.autocast():
            predicted = self.network(noisy, timesteps, self._drawings(examples), portrait, tokens, conditional)
        error = (predicted.float() - target.float()).square().mean(dim=(1, 2, 3, 4))
        return (error * snr_weights(self.scheduler.alphas_cumprod.to(device)[timesteps], config.snr_gamma)).mean()

    @torch.no_grad()
    def _encoded(self, examples: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (b, 4, frames, h, w), the portraits' (b, 4, h, w), tokens (b, 1, width)."""
        vae, device = self.models.vae, self.accelerator.device

        def encode(pictures: list[Any]) -> Tensor:
            pixels = torch.cat([to_signed(picture) for picture in pictures]).to(device, vae.dtype)
            return vae.encode(pixels).latent_dist.mean.float() * vae.config.scaling_factor

        latents = torch.stack([encode(list(example.frames)) for example in examples]).transpose(1, 2)
        portraits = encode([example.portrait for example in examples])
        encoder = self.models.image_encoder
        if encoder is None:
            return latents, portraits, torch.zeros((len(examples), 1, self.models.config.cross_attention_dim), device=device)
        pixels = torch.cat([portrait_pixels(example.portrait) for example in examples]).to(device, encoder.dtype)
        return latents, portraits, encoder(pixels).image_embeds[:, None].float()

    def _drawings(self, examples: list[Example]) -> Tensor:
        convert = to_signed if DRAWINGS[self.models.family].signed else to_unit
        return torch.cat([convert(drawing) for example in examples for drawing in example.drawings]).to(self.accelerator.device)

    def _log(self, losses: list[float], seconds: float) -> None:
        if not self.accelerator.is_main_process:
            return
        line = {"step": self.steps, "loss": round(float(np.mean(losses)), 5), "seconds_a_step": round(seconds / max(len(losses), 1), 3)}
        self._state.parent.mkdir(parents=True, exist_ok=True)
        with (self._state.parent / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.report(f"step {self.steps} of {self.config.steps}: loss {line['loss']:.4f}, {line['seconds_a_step']:.2f} s a step")


def snr_weights(alphas_cumprod: Tensor, gamma: float) -> Tensor:
    """Min-SNR weights of velocity prediction, min(SNR + 1, gamma) / (SNR + 1): 1 at the noisiest level, where the SNR is 0."""
    inverse = 1 - alphas_cumprod  # 1 / (SNR + 1)
    return torch.minimum(torch.ones_like(inverse), gamma * inverse)
