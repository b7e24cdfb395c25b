# SPDX-License-Identifier: GPL-3.0-or-later
"""``evaluate --stage synthesis --tier sd15``: the tables of the small renderer for the Stable Diffusion tier.

The same clips, portraits, baselines and measures. Frames are made through the tier's own door, as a render makes them, so presets and
the plan for the memory are those of a render. The clips come without voices: the mouth of EchoMimic's weights stays near silence here.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.shot import RenderSettings

if TYPE_CHECKING:
    from backend.training.small.cache import FaceClip

Picture = NDArray[np.uint8]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures, prints the tables and returns them. Raises the faults of the tier and Fault ``data-missing``."""
    from backend.synthesis.sd15 import tier

    from . import synthesis
    from .synthesis_floors import print_verdicts
    from .synthesis_sheet import write_sheet
    from .synthesis_sweep import sweep_mean

    with _folder(arguments.weights):
        ahead = [tier.outlook(RenderSettings(tier="sd15", preset=preset)) for preset in arguments.presets]
        for line in dict.fromkeys(line for one in ahead for line in (one.sentence, *one.remarks)):
            print(line)
        clips = synthesis.held_out_clips(arguments.work / "cache", arguments.clips)
        measured: dict[str, list[dict[str, dict[str, Any]]]] = defaultdict(list)
        shown = []
        for clip in clips:
            rows = synthesis.chosen_rows(clip, arguments.frames)
            films = _films(clip, rows, arguments.presets)
            detect = not arguments.no_detect
            measured[clip.dataset].append({name: synthesis.measure(clip, rows, film, detect) for name, film in films.items()})
            shown.append((clip, rows, films))
        report = {group: synthesis.average(values) for group, values in measured.items()}
        first = arguments.presets[0]
        sweeps = {} if arguments.no_detect else _sweeps(clips, arguments, first)
    synthesis.print_tables(report)
    goals = synthesis.goals_met(report, method_name(first), {}, {group: sweep_mean(sweep) for group, sweep in sweeps.items()})
    print_verdicts(goals, synthesis.GROUPS)
    if arguments.sheet:
        write_sheet(arguments.sheet, shown, ("real clip", "warp only", *map(method_name, arguments.presets)))
    weights = ahead[0].weights.chosen.key
    return {"tier": "sd15", "weights": weights, "device": ahead[0].device_name, "groups": report, "goals": goals, "sweep": sweeps}


def method_name(preset: str) -> str:
    """What a preset is called in the tables."""
    return f"sd15, {preset}"


def rendered(portrait: Picture, points: NDArray[np.float32], track: NDArray[np.float32], preset: str) -> list[Picture]:
    """Frames (h, w, 3) uint8 of a portrait whose landmarks are ``points`` (162, 2), driven by ``track`` (n, 162, 2), in its pixels."""
    from backend.synthesis.sd15 import tier

    rendering = tier.Rendering(tier.outlook(RenderSettings(tier="sd15", preset=preset)))
    return list(tier.render_rows(portrait, points, track, rendering))


def _films(clip: FaceClip, rows: tuple[int, list[int]], presets: list[str]) -> dict[str, dict[str, Any]]:
    """Per method: its frames and its frames per second, the loading of the networks left out."""
    from backend.synthesis.small.warp import apply_field, landmark_warp

    start, wanted = rows
    portrait, points = np.array(clip.frames[start]), clip.points[start]
    films: dict[str, dict[str, Any]] = {
        "real clip": {"frames": [np.array(clip.frames[row]) for row in wanted]},
        "portrait standing still": {"frames": [portrait] * len(wanted)},
        "warp only": {"frames": [apply_field(portrait, landmark_warp(points, clip.points[row]).field) for row in wanted]},
    }
    side = np.float32(portrait.shape[0])
    for preset in presets:
        rendered(portrait, points * side, clip.points[wanted[:1]] * side, preset)  # loads the networks and keeps the portrait's bank
        began = time.perf_counter()
        frames = rendered(portrait, points * side, clip.points[wanted] * side, preset)
        films[method_name(preset)] = {"frames": frames, "fps": len(wanted) / (time.perf_counter() - began)}
    return films


def _sweeps(clips: list[FaceClip], arguments: argparse.Namespace, preset: str) -> dict[str, dict[str, dict[str, float | None]]]:
    """Per group of unseen people, AU and portrait: Spearman's rank correlation of the intensity asked for and the reading."""
    from bridge.facs import AU_INDEX

    from .synthesis import TRAINED_ON
    from .synthesis_people import keyed_track, loaded_picture, middle_rows, unseen_portraits
    from .synthesis_sweep import LEVELS, SWEPT, rank_correlation, read_aus

    poses = [{unit: level} for unit in SWEPT for level in LEVELS]
    rows, folder = middle_rows(len(poses)), arguments.work / "portraits"
    sweeps = {}
    for group in sorted({clip.dataset for clip in clips} - set(TRAINED_ON)):
        own = [clip for clip in clips if clip.dataset == group][: arguments.sweep_people]
        people = {name: path for name, path in unseen_portraits(own, folder).items() if path.parent == folder}
        readings = {}
        for name, portrait in people.items():
            try:
                track = keyed_track(portrait, poses)
            except Fault as fault:  # a portrait that cannot be keyed does not take the other figures along
                print(f"{name} is not swept: {fault.sentence}")
                continue
            readings[name] = read_aus(rendered(loaded_picture(portrait), track.portrait_landmarks, track.landmarks[rows], preset))
        parts = {unit: slice(index * len(LEVELS), (index + 1) * len(LEVELS)) for index, unit in enumerate(SWEPT)}
        if readings:
            sweeps[group] = {
                unit: {name: rank_correlation(np.array(LEVELS), found[part, AU_INDEX[unit]]) for name, found in readings.items()}
                for unit, part in parts.items()
            }
    return sweeps


@contextmanager
def _folder(named: Path | None) -> Iterator[None]:
    """Within it the tier's weights are those of the folder, where one is named."""
    from backend.synthesis.sd15.store import FOLDER_VARIABLE

    before = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        os.environ[FOLDER_VARIABLE] = str(named)
    try:
        yield
    finally:
        if before is not None:
            os.environ[FOLDER_VARIABLE] = before
        elif named is not None:
            del os.environ[FOLDER_VARIABLE]
