# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend benchmark --stage motion``: what an edit of AUs costs, on one thread."""

from __future__ import annotations

import argparse
import os
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.motion.generate import MotionGenerator

_CASES = ((10, 25), (10, 60), (60, 25), (60, 60))
EDIT_FLOOR_MS, EDIT_AIM_MS = 100.0, 40.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--weights", type=Path, default=None, help="motion weights (default: the shipped ones)")
    parser.add_argument("--repeats", type=int, default=7, help="timed calls per case; the median counts")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Times first predictions and AU edits; prints ms and how many times faster than real time. Raises Fault ``weights-missing``."""
    import torch

    from backend.motion.generate import MotionGenerator

    torch.set_num_threads(1)
    generator = MotionGenerator.load(arguments.weights)
    rows = [case(generator, seconds, fps, arguments.repeats) for seconds, fps in _CASES]
    print(f"{'shot':>16} {'features':>10} {'first':>10} {'AU edit':>10} {'edit, CPU':>10} {'first / edit':>13} {'x real time':>12}")
    for row in rows:
        times = f"{row['features_ms']:7.0f} ms {row['first_ms']:7.0f} ms {row['edit_ms']:7.0f} ms {row['edit_cpu_ms']:7.0f} ms"
        compared = f"{row['first_ms'] / row['edit_ms']:13.1f} {row['seconds'] * 1000 / row['edit_cpu_ms']:10.0f} x"
        print(f"{row['seconds']:>3} s at {row['fps']:>3} fps {times} {compared}")
    ratios = _ratios(rows)
    print("Edits: " + ", ".join(f"{name} {value:.1f}" for name, value in ratios.items()) + "; the machine's load is " + _load())
    edit = rows[0]["edit_cpu_ms"]
    verdict = "aim met" if edit <= EDIT_AIM_MS else "floor met" if edit <= EDIT_FLOOR_MS else "MISSED"
    limits = f"floor {EDIT_FLOOR_MS:.0f}, aim {EDIT_AIM_MS:.0f}"
    print(
        f"An AU edit of 10 s at 25 fps takes {edit:.0f} ms of one thread, {rows[0]['edit_ms']:.0f} ms by the clock: {verdict} ({limits})."
    )
    return {"parameters": generator.model.parameter_count(), "threads": 1, "cases": rows, "ratios": ratios, "verdict": verdict}


def _ratios(rows: list[dict[str, float]]) -> dict[str, float]:
    """What longer and faster shots cost, over 10 s at 25 fps; 6 would be in proportion to the length, 2.4 to the rate."""
    first = rows[0]["edit_cpu_ms"]
    names = ("60 fps over 25 fps", "60 s over 10 s", "both")
    return {name: row["edit_cpu_ms"] / first for name, row in zip(names, rows[1:], strict=True)}


def _load() -> str:
    """The machine's load over the last minute, where the system tells."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "not known"


def case(generator: MotionGenerator, seconds: int, fps: int, repeats: int) -> dict[str, float]:
    """Median times of one length and rate, milliseconds."""
    import numpy as np

    from backend.motion.config import AU_COUNT
    from backend.speech.features import log_mel, normalised_rows
    from bridge.shot import MotionSettings

    random = np.random.default_rng(0)
    samples = (random.standard_normal(seconds * 16000) * 0.1 * (np.sin(np.arange(seconds * 16000) / 2000) > 0)).astype(np.float32)
    frames = seconds * fps
    values = np.zeros((frames, AU_COUNT), np.float32)
    keyed = np.zeros((frames, AU_COUNT), bool)
    keyed[:, [2, 8]] = True

    def features() -> Any:
        return normalised_rows(log_mel(samples))

    heard = features()

    def edit() -> None:
        values[:, 8] = random.uniform(0, 5)
        generator.from_rows(heard, frames, Fraction(fps), values, keyed, 0, MotionSettings())

    def first() -> None:
        generator.forget()
        edit()

    feature_ms, first_ms = _median(features, repeats)[0], _median(first, repeats)[0]
    edit()
    edit_ms, edit_cpu = _median(edit, repeats)
    return {
        "seconds": seconds,
        "fps": fps,
        "features_ms": feature_ms,
        "first_ms": feature_ms + first_ms,
        "edit_ms": edit_ms,
        "edit_cpu_ms": edit_cpu,
    }


def _median(call: Any, repeats: int) -> tuple[float, float]:
    """Median wall and CPU milliseconds of a call."""
    wall, cpu = [], []
    for _ in range(max(1, repeats)):
        started, worked = time.perf_counter(), time.process_time()
        call()
        wall.append((time.perf_counter() - started) * 1000)
        cpu.append((time.process_time() - worked) * 1000)
    return sorted(wall)[len(wall) // 2], sorted(cpu)[len(cpu) // 2]
