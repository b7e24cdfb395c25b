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
    from backend.training.motion.dataset import Clip, WindowSource
    from backend.training.motion.train import TrainConfig, Trainer


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
    parser.add_argument("--data", type=Path, default=None, metavar="PACK", help="all clips in one file (prepare --layout packed) instead")
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
    parser.add_argument("--minutes", type=float, default=None, help="end after so many minutes of training instead")
    parser.add_argument("--batch", type=int, default=None, help="windows in an update (default 16; on a GPU: 128)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--workers", type=int, default=0, help="processes that make training windows (0: none beside the training)")
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
    """Trains (or resumes) and exports. Raises Faults ``data-missing`` and ``bad-option``."""
    import torch

    from backend.motion.face import reference_face
    from backend.motion.weights import DEFAULT_WEIGHTS, load_model, save_model
    from backend.training.motion.card import card
    from backend.training.motion.experts import Experts
    from backend.training.motion.train import Trainer, usable_device

    torch.set_num_threads(1)
    device = usable_device(arguments.device)
    if arguments.make_face is not None:
        _make_face(arguments.make_face)
    config = _config(arguments)
    alone = arguments.without_experts or arguments.export_only
    experts = None if alone else Experts.load(arguments.experts)
    counts: dict[str, int] = {}
    source = None if arguments.export_only else _source(arguments, config)
    trainer = Trainer.fresh(config, reference_face(), experts, device)
    if arguments.start_from is not None:
        trainer.start_from(load_model(arguments.start_from))
        trainer.started_from = hashlib.sha256(arguments.start_from.read_bytes()).hexdigest()
    trainer.resume(arguments.work)
    if source is not None:
        counts = {"tracked_clips": len(source.tracked), "revoiced_clips": len(source.revoiced), "actor_clips": len(source.actors)}
        _train(trainer, source, arguments)
    elif trainer.step == 0:
        raise Fault("data-missing", f"There is no checkpoint in {arguments.work}.", "Train first.")
    target = arguments.out or (DEFAULT_WEIGHTS if arguments.variant == "generator" else arguments.work / f"{arguments.variant}.safetensors")
    described = card(trainer, arguments.variant, counts, arguments.note)
    described["training"]["command"] = command_line(arguments)
    report = save_model(trainer.averaged.cpu(), target, described)
    return {"weights": str(target), "steps": trainer.step, "seconds": round(trainer.seconds), "sha256": report["sha256"]}


def command_line(arguments: argparse.Namespace) -> str:
    """The command as anyone may give it again, with what differs from its defaults; folders and files of one's own are left open."""
    words = ["python -m backend train motion"]
    words += ["--data PACK"] if arguments.data is not None else []
    words += [f"--start-from {arguments.start_from.name}"] if arguments.start_from is not None else []
    plain = {"variant": "generator", "device": "cpu", "workers": 0, "seed": 0}
    for name in ("variant", "device", "workers", "batch", "minutes", "steps", "learning_rate", "seed"):
        value = getattr(arguments, name)
        if value is not None and value != plain.get(name):
            words.append(f"--{name.replace('_', '-')} {value}")
    return " ".join([*words, *(["--without-experts"] if arguments.without_experts else [])])


def _source(arguments: argparse.Namespace, config: TrainConfig) -> WindowSource:
    from backend.motion.face import reference_face
    from backend.training.motion.blinks import without_blink_pull
    from backend.training.motion.dataset import WindowSource

    tracked, revoiced, actors = _clips(arguments)
    face = reference_face()
    return WindowSource(without_blink_pull(tracked, face), actors, face, config.frames, config.seed, without_blink_pull(revoiced, face))


def _train(trainer: Trainer, source: WindowSource, arguments: argparse.Namespace) -> None:
    """Trains on windows made here, or by other processes meanwhile."""
    import numpy as np

    from backend.training.motion.train import on_device
    from backend.training.motion.workers import BatchShape, Workers

    config, size = trainer.config, trainer.model.parameter_count() / 1e6
    kinds = f"{len(source.tracked)} tracked, {len(source.revoiced)} revoiced, {len(source.actors)} actor clips"
    print(f"{kinds}, {size:.2f} M parameters, {f'{config.minutes} minutes' if config.minutes else f'{config.steps} steps'}", flush=True)
    plain = max(0, config.plain_steps - trainer.step)
    source.seed = config.seed + trainer.step
    source.generator = np.random.default_rng(source.seed)
    if arguments.workers:
        shape = BatchShape(config.batch, config.frames)
        with Workers(source, arguments.workers, shape, config.shares, plain) as workers:
            trainer.run(workers.batches(trainer.device), arguments.work, _print_line)
    else:
        trainer.run(on_device(source.batches(config.batch, config.shares, plain), trainer.device), arguments.work, _print_line)


def _config(arguments: argparse.Namespace) -> TrainConfig:
    from backend.motion.config import TINY, MotionConfig
    from backend.motion.weights import load_model
    from backend.training.motion.train import TrainConfig

    config = TrainConfig(seed=arguments.seed)
    if arguments.variant == "regressor":
        config = replace(config, model=replace(MotionConfig(), latent_width=0))
    if arguments.variant == "tiny":
        config = replace(config, model=TINY, steps=40, batch=8, frames=32, warm_up=5, plain_steps=10)
    if arguments.start_from is not None:  # speech and experts are known already
        latent = config.model.latent_width
        known = replace(load_model(arguments.start_from).config, **({} if latent else {"latent_width": 0}))
        config = replace(config, model=known, plain_steps=0, experts_from=0, divergence_warm_up=1, warm_up=60)
    if arguments.learning_rate is not None:
        config = replace(config, learning_rate=arguments.learning_rate)
    if arguments.batch is not None:
        config = replace(config, batch=arguments.batch)
    if arguments.minutes is not None:
        config = replace(config, minutes=arguments.minutes)
    return replace(config, steps=arguments.steps) if arguments.steps else config


def _clips(arguments: argparse.Namespace) -> tuple[list[Clip], list[Clip], list[Clip]]:
    from backend.training.motion.clips import load_actors, load_tracked
    from backend.training.motion.dataset import for_choosing

    most = 12 if arguments.variant == "tiny" else None
    if arguments.data is not None:
        from backend.training.motion.packed import read_pack

        packed = read_pack(arguments.data)
        tracked, revoiced = ([clip for clip in clips if not for_choosing(clip.path.stem)] for clips in (packed.tracked, packed.revoiced))
        return tracked[:most], revoiced[:most], packed.actors[:most]
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
