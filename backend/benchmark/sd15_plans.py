# SPDX-License-Identifier: GPL-3.0-or-later
"""``benchmark --tier sd15 --plans``: every plan by the way that a render takes, and what happens when memory runs out.

For each plan and preset: seconds of one evaluation, the card's peak beside the figure that is told before a render, and how far the
pictures are from the first plan's. Then the card is made smaller than a plan needs, as seen by this process: the render has to end under a
cheaper one and say so. The cache is an empty one, so the reference network runs under every plan.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.faults import Fault

if TYPE_CHECKING:
    from backend.synthesis.sd15.models import Models
    from backend.synthesis.sd15.tier import Outlook

_STEPS = 3  # evaluations of a window: the first one warms up
_TIGHT = 0.97  # of what a plan took: too little for it
_TOO_LITTLE = 0.5  # of what the last plan took: nothing is left to go on with
Rows = dict[str, dict[str, dict[str, Any]]]


def measure_plans(files: Path, scratch: Path, models: Models, presets: list[str]) -> dict[str, Any]:
    """Measures and prints. ``files``: weights in the published layout. ``models``: the networks that they hold, which are let go of."""
    from backend.synthesis.sd15.engine import empty_caches
    from backend.synthesis.sd15.setting import Setting
    from backend.synthesis.sd15.tier import find_weights

    name = {"aniportrait": "aniportrait", "echomimic": "echomimic_pose"}[models.family]
    for network in models.networks.values():
        network.to("meta")
    empty_caches()
    with _surroundings(files, scratch):
        plans = Setting.here(find_weights(name)).plans
        rows: Rows = {}
        print(f"{'plan':>8}{'preset':>10}{'s/evaluation':>14}{'whole s':>9}{'peak GB':>9}{'planned':>9}{'off the first, grey levels':>30}")
        first: dict[str, Any] = {}
        for plan in plans:
            shutil.rmtree(scratch / "home", ignore_errors=True)
            rows[plan.name] = {}
            for preset in presets:
                row, pictures = _render(replace(_outlook(name, preset), plan=plan))
                row["off"] = _apart(pictures, first.setdefault(preset, pictures))
                rows[plan.name][preset] = row
                _print_row(plan.name, preset, row)
            _free()
        trouble = _running_out(name, rows, presets[-1])
    return {"plans": rows, "running_out": trouble}


def _outlook(weights: str, preset: str) -> Outlook:
    from backend.synthesis.sd15 import tier
    from bridge.shot import RenderSettings

    return tier.outlook(RenderSettings(tier="sd15", preset=preset, weights=weights, sd15_steps=_STEPS))


def _render(ahead: Outlook, notes: list[str] | None = None) -> tuple[dict[str, Any], list[Any]]:
    """One window of a made-up shot: figures and pictures. ``notes`` receives what the render says."""
    from backend.synthesis.sd15 import tier

    from .synthesis import synthetic_shot

    marks: list[tuple[float, float]] = []

    def share(done: float) -> None:
        if not marks or done > marks[-1][0]:
            marks.append((done, time.perf_counter()))

    rendering = tier.Rendering(ahead)
    _reset_peak(ahead.device)
    began = time.perf_counter()
    shot = synthetic_shot(ahead.settings.size, ahead.settings.window)
    pictures = list(tier.render_rows(*shot, rendering, fraction=share))
    seconds = time.perf_counter() - began
    if notes is not None:
        notes.extend(rendering.notes)
    gaps = [after[1] - before[1] for before, after in zip(marks, marks[1:]) if before[0] > 0]
    row = {
        "evaluation_s": round(median(gaps), 4) if gaps else None,
        "seconds": round(seconds, 2),
        **_peak(ahead.device),
        "planned_gb": round(ahead.needs[ahead.plan.name] / 1e9, 2),
        "notes": rendering.notes,
    }
    return row, pictures


def _running_out(weights: str, rows: Rows, preset: str) -> list[dict[str, Any]]:
    """Renders that begin under a plan for which the card is too small now."""
    ahead = _outlook(weights, preset)
    if not ahead.device.startswith("cuda"):
        print("Running out of memory is tried on an NVIDIA card only.")
        return []
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    shares = {"whole": _TIGHT, "parts": _TIGHT, "layers": _TOO_LITTLE}
    limits = {name: share * rows[name][preset]["allocated_gb"] * 1e9 for name, share in shares.items()}
    plans = {plan.name: plan for plan in _plans(weights)}
    found: list[dict[str, Any]] = []
    for name, limit in limits.items():
        _free()
        torch.cuda.set_per_process_memory_fraction(limit / total)
        notes: list[str] = []
        try:
            _, pictures = _render(replace(ahead, plan=plans[name]), notes)
            said = " ".join(notes) or "NOTHING WAS SAID"
            entry: dict[str, Any] = {"frames": len(pictures)}
        except Fault as fault:
            said, entry = f"{fault.code}: {fault.sentence}", {"frames": 0}
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        found.append({"plan": name, "limit_gb": round(limit / 1e9, 2), "said": said, **entry})
        print(f"{limit / 1e9:.2f} GB for the plan {name}: {entry['frames']} frames; {said}", flush=True)
    _free()
    return found


def _plans(weights: str) -> Any:
    from backend.synthesis.sd15.setting import Setting
    from backend.synthesis.sd15.tier import find_weights

    return Setting.here(find_weights(weights)).plans


def _apart(pictures: list[Any], others: list[Any]) -> dict[str, float]:
    """The largest and the mean difference of two films, grey levels."""
    apart = [np.abs(one.astype(np.int16) - other) for one, other in zip(pictures, others, strict=True)]
    return {"most": float(max(difference.max() for difference in apart)), "mean": round(float(np.mean(apart)), 3)}


@contextmanager
def _surroundings(files: Path, scratch: Path) -> Iterator[None]:
    """The files as the user's own weights, and an empty cache."""
    ours = {"AUTTER_SD15": str(files), "AUTTER_HOME": str(scratch / "home")}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _free() -> None:
    from backend.synthesis.sd15 import tier

    tier.free()


def _reset_peak(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> dict[str, float]:
    """The card's peak, with and without what the allocator keeps back, or what this process holds where there is no card."""
    if device.startswith("cuda"):
        import torch

        reserved, allocated = torch.cuda.max_memory_reserved(), torch.cuda.max_memory_allocated()
        return {"peak_gb": round(reserved / 1e9, 2), "allocated_gb": round(allocated / 1e9, 3)}
    from backend.serve.memory import resident_megabytes

    return {"peak_gb": round(resident_megabytes() / 1e3, 2)}


def _print_row(plan: str, preset: str, row: dict[str, Any]) -> None:
    evaluation = "-" if row["evaluation_s"] is None else f"{row['evaluation_s']:.3f}"
    figures = f"{evaluation:>14}{row['seconds']:9.2f}{row['peak_gb']:9.2f}{row['planned_gb']:9.2f}"
    remarks = "".join(f"  {note}" for note in row["notes"])
    print(f"{plan:>8}{preset:>10}{figures}{row['off']['most']:>16.0f} most, {row['off']['mean']:.2f} mean{remarks}", flush=True)
