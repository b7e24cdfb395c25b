# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend prepare --layout grid``: tracks a folder of clips into training data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bridge.faults import Fault


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--clips", type=Path, required=True, help="folder with X.mp4 and X.flac (or X.wav) side by side")
    parser.add_argument("--out", type=Path, default=Path("work/data/grid"), help="folder for one npz per clip; finished clips are kept")
    parser.add_argument("--most", type=int, default=None, help="prepare only the first so many clips")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prepares the folder. Raises Fault ``data-missing`` or ``not-yet``."""
    layout = getattr(arguments, "layout", "grid")
    if layout != "grid":
        hint = "Lay the clips out as GRID does, X.mp4 beside X.flac, and use --layout grid."
        raise Fault("not-yet", f"The layout {layout} cannot be prepared yet.", hint)
    from tqdm import tqdm

    from backend.training.prepare.grid import prepare_grid

    with tqdm(unit="clip", desc="tracking") as bar:

        def progress(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return {"out": str(arguments.out)} | prepare_grid(arguments.clips, arguments.out, arguments.most, progress)
