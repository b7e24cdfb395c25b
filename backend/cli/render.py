# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait and its landmark track in, a video out."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from typing import Any

import numpy as np

from bridge.facs import AU_COUNT
from bridge.faults import Fault
from bridge.shot import HEAD_NEUTRAL, Shot, Track

from . import job, options
from .animate import say
from .progress import ProgressBar


def add_arguments(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Options of ``render``. With ``--job`` the folder has what the others would say."""
    if job.is_wanted(words):
        job.add_arguments(parser)
        return
    parser.epilog = "A job that was exported from Blender is rendered with: render --job FOLDER"
    options.add_portrait_argument(parser)
    parser.add_argument("--track", required=True, metavar="NPZ", help="landmark track made for this portrait")
    options.add_voice_arguments(parser)
    options.add_render_arguments(parser)
    parser.add_argument("--frames", metavar="A-B", help="only these frames of the track, counted from 1, both included")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same pictures (default: 0)")
    parser.add_argument("--out", required=True, metavar="MP4", help="the movie to write")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Renders and says what was made."""
    from .. import pipeline, tracks

    if hasattr(arguments, "job"):
        return job.run(arguments)
    settings = options.render_settings(arguments)
    pipeline.check_render_settings(settings)
    track = tracks.read_track(arguments.track)
    rows = frame_range(arguments.frames, len(track.landmarks))
    shot = _shot(arguments, track)
    with ProgressBar(arguments.quiet, gentle_interrupt=arguments.keep_partial) as progress:
        report = asdict(pipeline.render(shot, track, arguments.out, progress, rows, keep_partial=arguments.keep_partial))
    say(report, arguments.quiet)
    return report


def frame_range(text: str | None, count: int) -> tuple[int, int] | None:
    """``A-B`` or ``A``, counted from 1, both included, as rows (first, end). Raises Fault ``frame-invalid``."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= count:
        raise Fault("frame-invalid", f"--frames {text} does not lie in a track of {count} frames.", f"Write it like 1-{count}.")
    return first - 1, last


def _shot(arguments: argparse.Namespace, track: Track) -> Shot:
    """A shot that carries what a render needs: the voice and the choices. The track has everything else."""
    frames = len(track.landmarks)
    return Shot(
        frame_start=1,
        fps=track.fps,
        portrait=arguments.portrait,
        voice=options.voice_of(arguments, arguments.duration),
        au_values=np.zeros((frames, AU_COUNT), np.float32),
        au_keyed=np.zeros((frames, AU_COUNT), bool),
        head=np.tile(np.asarray(HEAD_NEUTRAL, np.float32), (frames, 1)),
        head_keyed=np.zeros((frames, len(HEAD_NEUTRAL)), bool),
        seed=arguments.seed,
        render=options.render_settings(arguments),
    ).checked()
