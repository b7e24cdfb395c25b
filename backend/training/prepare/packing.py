# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend prepare --layout packed``: prepared clips as one small file that ``train motion --data`` reads on any machine."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.faults import Fault

if TYPE_CHECKING:
    from backend.training.motion.dataset import Clip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the layout ``packed``."""
    parser.add_argument("--grid", type=Path, default=Path("work/data/grid"), help="prepared clips of real speakers")
    parser.add_argument("--revoiced", type=Path, default=Path("work/data/revoiced"), help="the same with other voices, if made")
    parser.add_argument("--actors", type=Path, default=Path("work/data/actors_motion"), help="prepared clips of synthetic actors, if made")
    parser.add_argument("--out", type=Path, default=Path("work/data/motion-pack.npz"), help="file to write")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Packs every clip that is not held out for validation. Raises Fault ``data-missing``."""
    from backend.training.motion.clips import load_actors, load_tracked
    from backend.training.motion.packed import PackedClips, write_pack

    if not arguments.grid.is_dir():
        raise Fault("data-missing", f"There is no folder {arguments.grid}.", "Make it with `python -m backend prepare --layout grid`.")
    tracked = load_tracked(arguments.grid, False)
    revoiced = with_other_voices(tracked, arguments.revoiced)
    actors, unseen = ([], []) if not arguments.actors.is_dir() else (load_actors(arguments.actors, part) for part in (False, True))
    size = write_pack(arguments.out, PackedClips(tracked, revoiced, actors, unseen))
    counts = {"tracked": len(tracked), "revoiced": len(revoiced), "actors": len(actors), "unseen_actors": len(unseen)}
    if not getattr(arguments, "quiet", False):
        print(", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items()) + f": {size / 2**20:.1f} MiB")
    return {"out": str(arguments.out), "bytes": size, **counts}


def with_other_voices(tracked: Sequence[Clip], folder: Path) -> list[Clip]:
    """Of the revoiced clips in ``folder`` (STEM@VOICE.npz) those that were made from ``tracked``, with their faces as they are there."""
    from dataclasses import replace

    import numpy as np

    from backend.training.motion.dataset import of_length

    known = {clip.path.stem: clip for clip in tracked}
    made = []
    for path in sorted(folder.glob("*@*.npz")):
        clip = known.get(path.stem.partition("@")[0])
        if clip is not None:
            with np.load(path, allow_pickle=False) as data:
                made.append(replace(clip, path=path, log_power=of_length(data["log_power"].astype(np.float32), len(clip.motion))))
    return made
