# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend evaluate --stage motion``: lips against the voice, AUs against their keys, beside baselines."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from backend.evaluation.motion_aus import AuScore
    from backend.evaluation.motion_others import OtherVoice
    from backend.evaluation.motion_voice import Predictor, VoiceScores
    from backend.motion.generate import MotionGenerator
    from backend.training.motion.dataset import Clip

_SILENT_FRAMES = 75


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--weights", type=Path, default=None, help="motion weights (default: the shipped ones)")
    parser.add_argument(
        "--grid", type=Path, default=Path("work/data/grid"), help="prepared clips; the held-out ones are scored, others make the baselines"
    )
    parser.add_argument(
        "--regressor",
        type=Path,
        default=Path("work/train/regressor/regressor.safetensors"),
        help="weights of the plain regressor, if trained",
    )
    parser.add_argument(
        "--others",
        type=Path,
        nargs="+",
        default=[Path("work/data/grid_others")],
        help="prepared clips of other speakers, a folder for each",
    )
    parser.add_argument(
        "--actors", type=Path, default=Path("work/data/actors_voices"), help="prepared actors with voices that training has not heard"
    )
    parser.add_argument("--baseline-clips", type=int, default=120, help="training clips behind the mean face, clock and energy baselines")
    parser.add_argument("--clips", type=int, default=None, help="score only the first so many held-out clips")
    parser.add_argument("--few", type=int, default=24, help="clips for transformed voices, other speakers, actors, seeds and keys")
    parser.add_argument("--rhubarb-clips", type=int, default=12, help="clips that Rhubarb hears, some seconds each (0: none)")
    parser.add_argument("--sheets", type=Path, default=None, metavar="FOLDER", help="also draw a sheet per AU and an overlay video")
    parser.add_argument("--sheets-only", action="store_true", help="draw the sheets, measure nothing")
    parser.add_argument("--write-card", action="store_true", help="write the figures into the weights' model card")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Scores the generator and prints the tables. Raises Faults ``data-missing``, ``weights-missing``."""
    import torch

    from backend.motion.generate import MotionGenerator

    torch.set_num_threads(1)
    generator = MotionGenerator.load(arguments.weights)
    report: dict[str, Any] = {}
    if not (arguments.sheets_only and arguments.sheets):
        report = _measured(generator, arguments)
    if arguments.sheets:
        from backend.evaluation.motion_sheets import write_sheets

        report["sheets"] = [str(path) for path in write_sheets(generator, arguments.sheets, arguments.grid)]
        print(f"{len(report['sheets'])} sheets are in {arguments.sheets}")
    return report


def _measured(generator: MotionGenerator, arguments: argparse.Namespace) -> dict[str, Any]:
    """All tables, printed, as a report."""
    from backend.evaluation import motion_keys, motion_required
    from backend.evaluation.motion_card import write_card
    from backend.evaluation.motion_print import print_aus, print_voice, print_voices
    from backend.evaluation.motion_table import print_table, tally
    from backend.motion.weights import DEFAULT_WEIGHTS
    from backend.training.motion.clips import load_tracked

    clips = load_tracked(arguments.grid, True, arguments.clips)
    train = load_tracked(arguments.grid, False, arguments.baseline_clips)
    few = clips[: arguments.few]
    voice = voice_table(generator, clips, train, arguments.regressor, arguments.rhubarb_clips)
    print_voice(voice, len(clips))
    others = other_voices(predictor(generator), few, arguments)
    print_voices(others)
    aus = au_tables(generator, clips)
    for name, rows in aus.items():
        print_aus(name, rows)
    report: dict[str, Any] = {
        "clips": len(clips),
        "voice": {name: asdict(row) | {"voice_share": row.voice_share} for name, row in voice.items()},
        "other_voices": {name: None if row is None else asdict(row) | {"voice_share": row.voice_share} for name, row in others.items()},
        "aus": {name: [_au_dict(row) for row in rows] for name, rows in aus.items()},
        "upper_face": motion_keys.upper_face_drop(generator, few),
        "seeds": motion_keys.seed_spread(generator, few),
        "guidance": motion_keys.guidance(generator, few[:3]),
        "speed": edit_speed(generator),
        "missing": missing(arguments, voice, others),
    }
    figures = motion_required.figures(report)
    print_table(figures)
    for what, how in report["missing"].items():
        print(f"missing: {what}. {how}")
    report["table"] = [figure.to_dict() for figure in figures]
    report["tally"] = tally(figures)
    if arguments.write_card:
        write_card((arguments.weights or DEFAULT_WEIGHTS).with_suffix(".json"), report)
    return report


def predictor(generator: MotionGenerator, seed: int = 0) -> Predictor:
    """The generator with all AUs free, at the rate of the clips."""
    from dataclasses import replace

    from backend.evaluation.motion_keys import motion_of

    return lambda clip, heard: motion_of(generator, replace(clip, log_power=heard.log_power), seed=seed)


def voice_table(
    generator: MotionGenerator, clips: list[Clip], train: list[Clip], regressor: Path | None = None, rhubarb_clips: int = 0
) -> dict[str, VoiceScores]:
    """Rows of the voice table: the real clips, baselines, Rhubarb and the plain regressor where they are found, the generator."""
    from backend.evaluation import motion_voice as measure
    from backend.evaluation.motion_rhubarb import find_rhubarb, rhubarb_follower
    from backend.motion.generate import MotionGenerator as Generator

    phones = _phones(clips)
    mean = measure.mean_motion(train)
    rows = {
        "real clip": measure.scores(lambda clip, _: clip.motion, clips, phones, mean, wrong=False),
        "mean face": measure.scores(lambda clip, _: np.broadcast_to(mean, clip.motion.shape), clips, phones, mean),
        "deaf clock": measure.scores(measure.deaf_clock(train), clips, phones, mean),
        "energy": measure.scores(measure.energy_follower(train), clips, phones, mean),
    }
    place = find_rhubarb() if rhubarb_clips > 1 else None
    if place is not None:
        heard = clips[:rhubarb_clips]
        name = f"Rhubarb, {len(heard)} clips"
        rows[name] = measure.scores(rhubarb_follower(place, heard), heard, phones[: len(heard)], mean)
    if regressor is not None and regressor.is_file():
        rows[f"regressor, {updates(regressor)}"] = measure.scores(predictor(Generator.load(regressor)), clips, phones, mean)
    rows["generator"] = measure.scores(predictor(generator), clips, phones, mean)
    return rows


def updates(weights: Path) -> str:
    """How long a model was trained, from its card: ``800 steps``, ``400 steps on trained weights``."""
    import json

    training = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))["training"]
    return f"{training['steps']} steps" + (" on trained weights" if "started_from" in training else "")


def other_voices(predict: Predictor, few: list[Clip], arguments: argparse.Namespace) -> dict[str, OtherVoice | None]:
    """Rows of the other voices; None where there are no clips."""
    from backend.evaluation import motion_others

    return {
        "other speakers": motion_others.other_speakers(predict, arguments.others, arguments.few),
        "actors, unseen voices": motion_others.actors(predict, arguments.actors, arguments.few),
        **motion_others.transformed_voices(predict, few),
    }


def au_tables(generator: MotionGenerator, clips: list[Clip]) -> dict[str, list[AuScore]]:
    """AU scores while a held-out clip speaks, and in silence."""
    from backend.evaluation.motion_aus import au_scores
    from backend.training.motion.clips import clip_voice

    spoken = np.concatenate([clip_voice(clip.path) for clip in clips[:2]])
    return {
        "while speaking": au_scores(generator, spoken, sum(len(clip.motion) for clip in clips[:2])),
        "in silence": au_scores(generator, np.zeros(640 * _SILENT_FRAMES, np.float32), _SILENT_FRAMES),
    }


def edit_speed(generator: MotionGenerator) -> dict[str, float]:
    """What an AU edit of 10 s at 25 fps costs on one thread, ms."""
    from backend.benchmark.motion import case

    return case(generator, 10, 25, 5)


def missing(arguments: argparse.Namespace, voice: dict[str, Any], others: dict[str, Any]) -> dict[str, str]:
    """What was not measured, and how to have it measured."""
    ways = {}
    if not any(name.startswith("Rhubarb") for name in voice) and arguments.rhubarb_clips:
        ways["Rhubarb's shapes"] = "npm install rhubarb-lip-sync-wasm, or put the binary rhubarb on PATH or into AUTTER_RHUBARB."
    if not any(name.startswith("regressor") for name in voice):
        ways["plain regressor"] = "Train it and give its weights with --regressor."
    if others["other speakers"] is None:
        ways["other GRID speakers"] = "Prepare their clips with `prepare --layout grid` and give the folder with --others."
    if others["actors, unseen voices"] is None:
        ways["actors with unseen voices"] = "`prepare --layout actors --speech synthesised --manner calm --out ...`, then --actors FOLDER."
    if voice["generator"].closed_bilabials is None:
        ways["lip closure on p, b, m"] = "pip install pocketsphinx, and keep X.align beside X.mp4."
    return ways


def _au_dict(row: AuScore) -> dict[str, Any]:
    return asdict(row) | {"passes": row.passes, "most_others": row.most_others, "most_others_key": row.most_others_key}


def _phones(clips: list[Clip]) -> list[Any]:
    """Phones of every clip, from the words beside its video; empty lists where aligner or words are missing."""
    from backend.evaluation.motion_phones import Aligner, words_of
    from backend.training.motion.clips import clip_video, clip_voice

    aligner = Aligner()
    if not aligner.available:
        return [[] for _ in clips]
    return [aligner.phones(clip_voice(clip.path), words_of(clip_video(clip.path).with_suffix(".align"))) for clip in clips]
