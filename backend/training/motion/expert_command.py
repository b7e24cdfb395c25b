# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend train au-regressor`` and ``train lip-expert``: the frozen experts that `train motion` asks."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.motion.weights import EXPERTS_FOLDER

if TYPE_CHECKING:
    from torch import Tensor

    from backend.training.motion.dataset import Clip, WindowSource
    from backend.training.motion.experts import Expert, ExpertConfig

_PURPOSES = {
    "au-regressor": "Reads Action Units off landmark motion; judges generated motion in training",
    "lip-expert": "Tells lips that belong to a voice from lips that do not; judges generated motion in training",
}


def add_expert_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that both experts have."""
    parser.add_argument("--grid", type=Path, default=Path("work/data/grid"), help="prepared clips of real speakers")
    parser.add_argument("--actors", type=Path, default=Path("work/data/actors_motion"), help="prepared clips of synthetic actors")
    parser.add_argument("--data", type=Path, default=None, metavar="PACK", help="all clips in one file (prepare --layout packed) instead")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, default=EXPERTS_FOLDER, help="folder for the weights and their card")
    parser.add_argument("--variant", choices=("full", "tiny"), default="full", help="tiny: seconds, for trials")
    parser.add_argument("--steps", type=int, default=None, help="updates (default 700)")
    parser.add_argument("--seed", type=int, default=0)


def train(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains one expert, scores it on clips it has not seen and writes it with its card. Raises Fault ``data-missing``."""
    import torch

    from backend.motion.face import reference_face
    from backend.training.motion.card import DATA_CREDITS
    from backend.training.motion.dataset import WindowSource
    from backend.training.motion.experts import KINDS, save_expert, train_expert
    from backend.training.motion.train import usable_device

    torch.set_num_threads(1)
    config = _config(arguments)
    device = usable_device(arguments.device)
    torch.manual_seed(config.seed)
    expert = KINDS[kind](config).to(device)
    seen, unseen = _clips(arguments, False), _clips(arguments, True)
    (tracked, revoiced, actors), face = seen, reference_face()
    source = WindowSource(tracked, actors, face, config.frames, config.seed, revoiced)
    batches = ({name: part.to(device) for name, part in batch.items()} for batch in _batches(source, config))
    train_expert(expert, batches, lambda line: print("  ".join(f"{k} {v}" for k, v in line.items()), flush=True))
    expert.cpu().eval().requires_grad_(False)
    test = WindowSource(unseen[0], unseen[2], face, config.frames, config.seed + 1)
    scores = _scores(expert, test, config)
    for name, value in scores.items():
        print(f"{name}: {value:.3f}")
    card = {
        "name": f"AUtter {kind}",
        "purpose": _PURPOSES[kind],
        "licence": "CC BY 4.0; credit GRID (Cooke et al. 2006) and AUtter",
        "data": DATA_CREDITS,
        "training": {
            "command": f"python -m backend train {kind}",
            "tracked_clips": len(tracked),
            "revoiced_clips": len(revoiced),
            "actor_clips": len(actors),
        },
        "figures": scores,
        "limits": ["AUs of real clips are estimates", "One real speaker and one reader's voice, otherwise made by augmentation"],
    }
    path = arguments.out / f"{kind}.safetensors"
    save_expert(expert, path, card)
    return {"weights": str(path), **scores}


def _config(arguments: argparse.Namespace) -> ExpertConfig:
    from backend.training.motion.experts import ExpertConfig

    config = ExpertConfig(seed=arguments.seed)
    if arguments.variant == "tiny":
        config = replace(config, width=16, embedding=8, steps=30, batch=6, frames=32)
    return replace(config, steps=arguments.steps) if arguments.steps else config


def _clips(arguments: argparse.Namespace, unseen: bool) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """Tracked, revoiced and actors' clips: those of training, or those of the choosing split and the held-out actors."""
    from backend.training.motion.clips import load_actors, load_tracked
    from backend.training.motion.dataset import for_choosing
    from backend.training.motion.packed import read_pack

    most = 12 if arguments.variant == "tiny" else None
    if arguments.data is not None:
        packed = read_pack(arguments.data)
        tracked, revoiced, actors = packed.tracked, packed.revoiced, packed.unseen_actors if unseen else packed.actors
    else:
        tracked, revoiced, actors = load_tracked(arguments.grid, False), [], load_actors(arguments.actors, unseen, most)
    chosen, other = ([clip for clip in clips if for_choosing(clip.path.stem) == unseen][:most] for clips in (tracked, revoiced))
    return chosen, other, actors[:most]


def _batches(source: WindowSource, config: ExpertConfig) -> Iterator[dict[str, Tensor]]:
    """Batches as for the generator; actors' upper faces are known too, since nothing but their acting moves them."""
    import numpy as np

    from backend.training.motion.commands import ARTICULATION
    from backend.training.motion.dataset import Shares
    from backend.training.motion.train import stacked
    from bridge.facs import AU_COUNT

    upper = np.ones(AU_COUNT, np.float32)
    upper[list(ARTICULATION)] = 0.0
    for windows in source.batches(config.batch, Shares(recorded=0.125, tracked=0.375, silent=0.125)):
        yield stacked([replace(window, read_known=np.maximum(window.read_known, upper)) for window in windows])


def _scores(expert: Expert, source: WindowSource, config: ExpertConfig, batches: int = 12) -> dict[str, float]:
    """Figures on windows that were not trained on."""
    import torch

    from backend.training.motion.expert_scores import au_scores, lip_scores
    from backend.training.motion.experts import LipExpert

    drawn = [batch for _, batch in zip(range(batches), _batches(source, config), strict=False)]
    with torch.no_grad():
        return lip_scores(expert, drawn) if isinstance(expert, LipExpert) else au_scores(expert, drawn)
