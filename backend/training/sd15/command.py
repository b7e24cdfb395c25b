# SPDX-License-Identifier: GPL-3.0-or-later
"""``train sd15 --step 1`` and ``--step 2``: the two-step recipe on prepared clips; a folder for ``AUTTER_SD15`` comes out.

On several cards: ``accelerate launch -m backend train sd15 ...``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.faults import Fault

if TYPE_CHECKING:
    from backend.synthesis.sd15.models import Models

    from .config import TrainingConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``train sd15``."""
    parser.add_argument("--step", type=int, choices=[1, 2], required=True, help="1: single pictures; 2: motion, on the result of 1")
    parser.add_argument("--data", type=Path, default=Path("work/data"), help="prepared data: one folder per data set, one npz per clip")
    parser.add_argument("--work", type=Path, default=Path("work/sd15"), help="checkpoints and log; an unfinished run there goes on")
    parser.add_argument("--out", type=Path, help="folder of weights to write (default: WORK/weights)")
    parser.add_argument(
        "--start", default="", metavar="SET", help="weights to start from: a set of the tier (default: the result of step 1)"
    )
    parser.add_argument("--stable-diffusion", type=Path, metavar="UNET", help="start from the U-Net of Stable Diffusion 1.5 in this folder")
    parser.add_argument("--steps", type=int, help="optimizer steps (default: the published recipe's)")
    parser.add_argument("--batch", type=int, help="examples a step")
    parser.add_argument("--accumulate", type=int, help="batches a step")
    parser.add_argument("--size", type=int, help="pixels a side (default: the weights' own)")
    parser.add_argument("--precision", choices=["no", "fp16", "bf16"], help="mixed precision")
    parser.add_argument("--checkpointing", action="store_true", help="less memory for a third more time")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--device", help="torch device (default: a graphics card if there is one)")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("--tiny", action="store_true", help="networks and steps of a test, without any published weights: not for use")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains and exports. Raises Fault ``data-missing``, ``weights-missing``, ``training-differs`` or ``package-missing``."""
    from backend.synthesis.sd15.tier import check_packages

    check_packages()
    import torch

    from .checkpoint import export
    from .data import ExampleSampler, find_clips
    from .loop import Trainer
    from .networks import restore_motion

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    config = _config(arguments)
    clips = find_clips(arguments.data)
    models = _models(arguments)
    size = arguments.size or models.config.sample_size * 8
    sampler = ExampleSampler(clips, models.family, size, config.frames, config.strides)
    trainer = Trainer(config, models, sampler, arguments.work)
    losses = trainer.run()
    restore_motion(models)
    out = arguments.out or arguments.work / "weights"
    notes = {"step": config.step, "steps": trainer.steps, "config": config.to_dict(), "clips": len(sampler.clips), "size": size}
    if trainer.accelerator.is_main_process:
        export(models, out, {**notes, "licence": "weights keep the terms of what they started from and were trained on"})
        print(f"{out}: render with it through AUTTER_SD15={out}")
    return {**notes, "out": str(out), "loss": losses[-1] if losses else None}


def _config(arguments: argparse.Namespace) -> TrainingConfig:
    from .config import recipe, tiny_recipe

    config = (tiny_recipe if arguments.tiny else recipe)(arguments.step)
    names = ("steps", "batch", "accumulate", "precision", "learning_rate")
    chosen = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    return replace(config, checkpointing=arguments.checkpointing, **chosen)


def _models(arguments: argparse.Namespace) -> Models:
    """The networks to train: of step 1's result, of a set of the tier, of Stable Diffusion, or tiny ones."""
    import torch

    from backend.synthesis.sd15.devices import best_device
    from backend.synthesis.sd15.models import build_networks, load_models
    from backend.synthesis.sd15.store import find_weights

    device = arguments.device or best_device()
    former = arguments.out or arguments.work / "weights"
    if arguments.step == 2 and not arguments.start and (former / "training.json").is_file():
        found = find_weights(own=former)
    elif arguments.tiny:
        from backend.synthesis.sd15.tiny import tiny_models

        return tiny_models(family="echomimic", device=device)
    else:
        found = find_weights(arguments.start)
    models = load_models(found.paths(), torch.float32, device, found.chosen.family)
    if arguments.stable_diffusion is not None:
        from .networks import start_from_stable_diffusion

        if arguments.step == 2:
            raise Fault("training-start", "Step 2 starts from the result of step 1.", "Leave --stable-diffusion out.")
        fresh = build_networks(models.config, models.family)
        models.reference_unet, models.denoising_unet, models.pose_guider = (network.to(device) for network in fresh)
        start_from_stable_diffusion(models, arguments.stable_diffusion)
    return models
