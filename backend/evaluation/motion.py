# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend evaluate --stage motion``: lips against the voice, AUs against their keys, beside baselines."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from backend.evaluation.motion_aus import AuScore
    from backend.evaluation.motion_voice import Predictor, VoiceScores
    from backend.motion.generate import MotionGenerator
    from backend.training.motion.dataset import Clip


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
    parser.add_argument("--baseline-clips", type=int, default=200, help="training clips behind the mean face, clock and energy baselines")
    parser.add_argument("--clips", type=int, default=None, help="score only the first so many held-out clips")
    parser.add_argument("--write-card", action="store_true", help="write the figures into the weights' model card")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Scores the generator and prints the tables. Raises Faults ``data-missing``, ``weights-missing``."""
    import torch

    from backend.evaluation.motion_card import write_card
    from backend.motion.generate import MotionGenerator
    from backend.motion.weights import DEFAULT_WEIGHTS
    from backend.training.motion.clips import load_tracked

    torch.set_num_threads(1)
    generator = MotionGenerator.load(arguments.weights)
    clips = load_tracked(arguments.grid, True, arguments.clips)
    train = load_tracked(arguments.grid, False, arguments.baseline_clips)
    voice = voice_table(generator, clips, train, arguments.grid, arguments.regressor)
    aus = au_tables(generator, clips)
    _print_voice(voice, len(clips))
    for name, rows in aus.items():
        _print_aus(name, rows)
    seeds = seed_spread(generator, clips[:12])
    report = {
        "clips": len(clips),
        "voice": {name: asdict(row) | {"voice_share": row.voice_share} for name, row in voice.items()},
        "aus": {name: [asdict(row) | {"passes": row.passes} for row in rows] for name, rows in aus.items()},
        "seeds": seeds,
    }
    print(f"\nTwo seeds: gap r {seeds['gap_r_first']:.3f} and {seeds['gap_r_second']:.3f}, lips apart by {seeds['lip_spread']:.4f}")
    if arguments.write_card:
        write_card((arguments.weights or DEFAULT_WEIGHTS).with_suffix(".json"), report)
    return report


def predictor(generator: MotionGenerator, seed: int = 0) -> Predictor:
    """The generator with all AUs free, at the rate of the clips."""
    from backend.motion.config import AU_COUNT, MOTION_RATE
    from backend.speech.features import normalised_rows
    from bridge.shot import MotionSettings

    def predict(clip: Clip, heard: Clip) -> NDArray[np.float32]:
        frames = len(clip.motion)
        free = np.zeros((frames, AU_COUNT), np.float32)
        rows = normalised_rows(heard.log_power)
        return generator.from_rows(rows, frames, Fraction(MOTION_RATE), free, free.astype(bool), seed, MotionSettings())[0]

    return predict


def voice_table(generator: MotionGenerator, clips: list[Clip], train: list[Clip], grid: Path, regressor: Path) -> dict[str, VoiceScores]:
    """Rows of the voice table: the real clips, baselines, the plain regressor where its weights are, the generator."""
    from backend.evaluation import motion_voice as measure
    from backend.motion.generate import MotionGenerator as Generator

    phones = _phones(clips, grid)
    mean = measure.mean_motion(train)
    rows = {
        "real clip": measure.scores(lambda clip, _: clip.motion, clips, phones, mean, wrong=False),
        "mean face": measure.scores(lambda clip, _: np.broadcast_to(mean, clip.motion.shape), clips, phones, mean),
        "deaf clock": measure.scores(measure.deaf_clock(train), clips, phones, mean),
        "energy": measure.scores(measure.energy_follower(train), clips, phones, mean),
    }
    if regressor.is_file():
        rows[f"regressor, {updates(regressor)}"] = measure.scores(predictor(Generator.load(regressor)), clips, phones, mean)
    rows["generator"] = measure.scores(predictor(generator), clips, phones, mean)
    return rows


def updates(weights: Path) -> str:
    """How long a model was trained, from its card: ``800 steps``."""
    return f"{json.loads(weights.with_suffix('.json').read_text(encoding='utf-8'))['training']['steps']} steps"


def au_tables(generator: MotionGenerator, clips: list[Clip]) -> dict[str, list[AuScore]]:
    """AU scores while a held-out clip speaks, and in silence."""
    from backend.evaluation.motion_aus import au_scores
    from backend.training.motion.clips import clip_voice

    spoken = clip_voice(clips[0].path)
    return {
        "while speaking": au_scores(generator, spoken, len(clips[0].motion)),
        "in silence": au_scores(generator, np.zeros(16000 * 3, np.float32), 75),
    }


def seed_spread(generator: MotionGenerator, clips: list[Clip]) -> dict[str, float]:
    """Two takes of the same clips: how far the lips differ, and the gap r of each."""
    from backend.evaluation.motion_voice import correlation, points_of
    from backend.motion.measures import lip_gap

    first, second = ([predictor(generator, seed)(clip, clip) for clip in clips] for seed in (1, 2))

    def r(motions: list[Any]) -> float:
        return float(
            np.mean([correlation(lip_gap(points_of(c, m)), lip_gap(points_of(c, c.motion))) for c, m in zip(clips, motions, strict=True)])
        )

    spread = float(np.mean([np.abs(a - b)[:, :40].mean() for a, b in zip(first, second, strict=True)]))
    return {"gap_r_first": r(first), "gap_r_second": r(second), "lip_spread": spread}


def _phones(clips: list[Clip], grid: Path) -> list[Any]:
    """Phones of every clip, from the words beside its video; empty lists where aligner or words are missing."""
    from backend.evaluation.motion_phones import Aligner, words_of
    from backend.training.motion.clips import clip_video, clip_voice

    aligner = Aligner()
    if not aligner.available:
        print("pocketsphinx is not installed: lip closure on p, b, m is not scored")
        return [[] for _ in clips]
    return [aligner.phones(clip_voice(clip.path), words_of(clip_video(clip.path).with_suffix(".align"))) for clip in clips]


def _print_voice(rows: dict[str, VoiceScores], clips: int) -> None:
    print(f"\nVoice only, {clips} held-out clips")
    print(f"{'':22} {'gap r':>6} {'p10':>6} {'- wrong':>8} {'lip err':>8} {'lag':>4} {'2nd diff':>9} {'p b m':>6} {'others':>7}")
    for name, row in rows.items():
        lips, others = (f"{value:.2f}" if value is not None else "-" for value in (row.closed_bilabials, row.closed_others))
        wrong = "-" if name == "real clip" else f"{row.voice_share:.2f}"
        voice = f"{row.gap_r:6.3f} {row.gap_r_p10:6.3f} {wrong:>8} {row.lip_error_share:8.2f} {row.best_lag:4.0f}"
        print(f"{name:22} {voice} {row.second_difference:9.2f} {lips:>6} {others:>7}")


def _print_aus(name: str, rows: list[AuScore]) -> None:
    from backend.evaluation.motion_aus import OWN_MEASURE, REQUIRED

    print(f"\nKeyed AUs {name}: intensity 4 against 0, % of the inter-ocular distance (AU45: % of the lid gap)")
    for row in rows:
        verdict = ("meets the floor" if row.passes else "MISSES THE FLOOR") if row.key in REQUIRED else ""
        moved = f"{100 * row.response:6.1f}  weakest {100 * row.weakest:6.1f}"
        others = f"Spearman {row.spearman:5.2f}  cross-talk {100 * row.cross_talk:4.0f} %"
        print(f"{row.key}  {OWN_MEASURE[row.key][0]:20} {moved}  {others}  {verdict}")
