# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend train motion``: trains the motion generator and writes its weights and model card."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.motion.weights import EXPERTS_FOLDER
from bridge.faults import Fault

if TYPE_CHECKING:
    from backend.training.motion.dataset import Clip
    from backend.training.motion.train import TrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--grid", type=Path, default=Path("work/data/grid"), help="prepared clips of real speakers (prepare --layout grid)")
    parser.add_argument(
        "--actors", type=Path, default=Path("work/data/actors_motion"), help="prepared clips of synthetic actors (prepare --layout actors)"
    )
    parser.add_argument(
        "--revoiced",
        type=Path,
        default=Path("work/data/revoiced"),
        help="real speakers with other voices, if made (prepare --layout revoiced)",
    )
    parser.add_argument(
        "--start-from",
        type=Path,
        default=None,
        metavar="WEIGHTS",
        help="go on from these weights (e.g. the shipped ones) instead of nothing",
    )
    parser.add_argument(
        "--learning-rate", type=float, default=None, help="highest rate (default 0.002; to go on from weights: about 0.0005)"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("work/train/motion"), help="folder for checkpoints and the log; a run found there is resumed"
    )
    parser.add_argument("--out", type=Path, default=None, help="weights file to write (default: the shipped one)")
    parser.add_argument(
        "--variant",
        choices=("generator", "regressor", "tiny"),
        default="generator",
        help="regressor: no latent, the baseline; tiny: seconds, for trials",
    )
    parser.add_argument("--steps", type=int, default=None, help="updates (default 3000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--experts", type=Path, default=EXPERTS_FOLDER, help="folder that `train au-regressor` and `train lip-expert` wrote"
    )
    parser.add_argument("--without-experts", action="store_true", help="train without their terms")
    parser.add_argument(
        "--make-face", type=Path, default=None, metavar="DATA", help="first make the reference face from the actors' parts in DATA"
    )
    parser.add_argument("--note", default="", help="a remark for the model card")
    parser.add_argument("--export-only", action="store_true", help="write the weights of the last checkpoint, train nothing")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains (or resumes) and exports. Raises Fault ``data-missing``."""
    import torch

    from backend.motion.face import reference_face
    from backend.motion.weights import DEFAULT_WEIGHTS, load_model, save_model
    from backend.training.motion.card import card
    from backend.training.motion.dataset import WindowSource
    from backend.training.motion.experts import Experts
    from backend.training.motion.train import Trainer

    torch.set_num_threads(1)
    if arguments.make_face is not None:
        _make_face(arguments.make_face)
    config = _config(arguments)
    alone = arguments.without_experts or arguments.export_only
    trainer = Trainer.fresh(config, reference_face(), None if alone else Experts.load(arguments.experts))
    if arguments.start_from is not None:
        trainer.start_from(load_model(arguments.start_from))
        trainer.started_from = hashlib.sha256(arguments.start_from.read_bytes()).hexdigest()
    trainer.resume(arguments.work)
    if arguments.export_only:
        if trainer.step == 0:
            raise Fault("data-missing", f"There is no checkpoint in {arguments.work}.", "Train first.")
        counts: dict[str, int] = {}
    else:
        tracked, revoiced, actors = _clips(arguments)
        counts = {"tracked_clips": len(tracked), "revoiced_clips": len(revoiced), "actor_clips": len(actors)}
        size = trainer.model.parameter_count() / 1e6
        print(
            f"{len(tracked)} tracked, {len(revoiced)} revoiced, {len(actors)} actor clips, {size:.2f} M parameters, {config.steps} steps",
            flush=True,
        )
        source = WindowSource(tracked, actors, reference_face(), config.frames, config.seed + trainer.step, revoiced)
        plain = max(0, config.plain_steps - trainer.step)
        trainer.run(source.batches(config.batch, config.shares, plain), arguments.work, _print_line)
    target = arguments.out or (DEFAULT_WEIGHTS if arguments.variant == "generator" else arguments.work / f"{arguments.variant}.safetensors")
    report = save_model(trainer.averaged, target, card(trainer, arguments.variant, counts, arguments.note))
    return {"weights": str(target), "steps": trainer.step, "seconds": round(trainer.seconds), "sha256": report["sha256"]}


def _config(arguments: argparse.Namespace) -> TrainConfig:
    from backend.motion.config import TINY, MotionConfig
    from backend.training.motion.train import TrainConfig

    config = TrainConfig(seed=arguments.seed)
    if arguments.variant == "regressor":
        config = replace(config, model=replace(MotionConfig(), latent_width=0))
    if arguments.variant == "tiny":
        config = replace(config, model=TINY, steps=40, batch=8, frames=32, warm_up=5, plain_steps=10)
    if arguments.start_from is not None:  # speech and experts are known already
        config = replace(config, plain_steps=0, experts_from=0, divergence_warm_up=1, warm_up=60)
    if arguments.learning_rate is not None:
        config = replace(config, learning_rate=arguments.learning_rate)
    return replace(config, steps=arguments.steps) if arguments.steps else config


def _clips(arguments: argparse.Namespace) -> tuple[list[Clip], list[Clip], list[Clip]]:
    from backend.training.motion.clips import load_actors, load_tracked
    from backend.training.motion.dataset import for_choosing

    most = 12 if arguments.variant == "tiny" else None
    tracked = [clip for clip in load_tracked(arguments.grid, False, most) if not for_choosing(clip.path.stem)]
    revoiced = load_tracked(arguments.revoiced, False, most) if arguments.revoiced.is_dir() else []
    revoiced = [clip for clip in revoiced if not for_choosing(clip.path.stem)]
    return tracked, revoiced, load_actors(arguments.actors, False, most)


def _make_face(data: Path) -> None:
    from backend.motion.face import reference_face
    from backend.training.motion.fields import make_reference_face, save_reference_face

    save_reference_face(make_reference_face(data))
    reference_face.cache_clear()


def _print_line(line: dict[str, Any]) -> None:
    print("  ".join(f"{name} {value}" for name, value in line.items()), flush=True)
