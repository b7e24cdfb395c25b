# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share, and the shot that they describe."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bridge.facs import AU_COUNT
from bridge.faults import Fault
from bridge.knobs import KNOBS, check_settings
from bridge.shot import HEAD_NEUTRAL, LONGEST_SHOT_SECONDS, MotionSettings, RenderSettings, Shot, Voice, check_frame_rate, frame_rate_fault


def add_portrait_argument(parser: argparse.ArgumentParser) -> None:
    """``--portrait``."""
    parser.add_argument("--portrait", required=True, metavar="PICTURE", help="picture of one face, seen from the front")


def add_voice_arguments(parser: argparse.ArgumentParser) -> None:
    """``--audio``, ``--start``, ``--duration``."""
    parser.add_argument("--audio", metavar="FILE", help="recording of a voice: wav, flac, mp3, ogg, m4a, or a video with sound")
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="where to begin in the recording (default: 0)")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="how long the shot is (default: to the recording's end)")


def add_shot_arguments(parser: argparse.ArgumentParser) -> None:
    """What a prediction needs beside portrait and voice."""
    parser.add_argument("--aus", metavar="CSV", help="Action Units over time, with OpenFace's columns; a missing column is free")
    parser.add_argument("--head", metavar="CSV", help="head pose over time: yaw, pitch, roll, x, y, scale, any of them")
    parser.add_argument("--fps", default="25", metavar="RATE", help="frames a second: 25, 23.976, 30000/1001 (default: 25)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same motion (default: 0)")
    parser.add_argument("--no-blinks", action="store_true", help="fill in no blinks")
    parser.add_argument("--mouth-only", action="store_true", help="the voice moves nothing but the mouth")
    for name, knob in KNOBS.items():
        default = getattr(MotionSettings, name)
        text = f"{knob.meaning}, {knob.lowest:g} to {knob.highest:g} (default: {default:g})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=default, metavar="NUMBER", help=text)


def add_render_arguments(parser: argparse.ArgumentParser) -> None:
    """Choices of a render."""
    defaults = RenderSettings()
    parser.add_argument("--tier", default=defaults.tier, metavar="small|sd15", help="renderer (default: small)")
    text = "diffusion steps; small: 1 draft, 2 standard, 4 best (default: 2); sd15: instead of the preset's"
    parser.add_argument("--steps", type=int, help=text)
    parser.add_argument("--preset", default=defaults.preset, metavar="draft|standard|best", help="quality of the tier sd15")
    parser.add_argument(
        "--weights", default=defaults.weights, metavar="NAME", help="weights of the tier sd15 (default: those that are there)"
    )
    parser.add_argument("--size", type=int, default=defaults.crop_size, metavar="256|512", help="pixels of the face crop (default: 256)")
    parser.add_argument("--keep-partial", action="store_true", help="on Ctrl-C keep a movie of the frames that are done")
    parser.add_argument("--label", action="store_true", help='write "synthetic" visibly into the picture')
    parser.add_argument("--invisible-mark", action="store_true", help="write a faint mark into the pictures that `verify` finds")
    parser.add_argument("--no-credentials", action="store_true", help="write no C2PA content credentials (the other notes stay)")
    parser.add_argument("--consent", default="", metavar="TEXT", help="who agreed to the use of face and voice; kept in the credentials")


def frame_rate(text: str) -> Fraction:
    """A rate as given on the command line. Raises Fault ``frame-rate``."""
    from bridge.rates import exact_rate

    try:
        fps = exact_rate(text.strip())
    except (ValueError, ZeroDivisionError, OverflowError):
        raise frame_rate_fault(text.strip() or "nothing") from None
    check_frame_rate(fps)
    return fps


def motion_settings(arguments: argparse.Namespace) -> MotionSettings:
    """The prediction's knobs. Raises Fault ``setting-range``."""
    values: dict[str, Any] = {name: getattr(arguments, name) for name in KNOBS}
    settings = MotionSettings(**values, blinks=not arguments.no_blinks, mouth_only=arguments.mouth_only)
    check_settings(settings, lambda name: f"--{name.replace('_', '-')}")
    return settings


def render_settings(arguments: argparse.Namespace) -> RenderSettings:
    """The render's choices; the pipeline checks them."""
    steps: dict[str, int] = {}
    if arguments.steps is not None:
        steps = {"sd15_steps" if arguments.tier == "sd15" else "steps": arguments.steps}
    choices: dict[str, Any] = {"preset": arguments.preset, "weights": arguments.weights, "label": arguments.label, **steps}
    choices |= {"credentials": not arguments.no_credentials, "consent": arguments.consent.strip()}
    choices |= {"invisible_mark": arguments.invisible_mark}
    return RenderSettings(tier=arguments.tier, crop_size=arguments.size, **choices)


def voice_of(arguments: argparse.Namespace, duration: float | None) -> tuple[Voice, ...]:
    """The recording from ``--start`` on. Raises Fault ``audio-range``."""
    if arguments.audio is None:
        return ()
    if not (math.isfinite(arguments.start) and arguments.start >= 0):
        raise Fault(
            "audio-range", f"--start is {arguments.start:g}; a recording begins at 0.", "Give seconds from the beginning of the recording."
        )
    return (Voice(str(Path(arguments.audio)), trim_start=arguments.start, duration=duration),)


def shot_of(arguments: argparse.Namespace) -> Shot:
    """The shot that the command line describes. Raises the faults of its parts."""
    fps = frame_rate(arguments.fps)
    settings = motion_settings(arguments)
    duration = _shot_seconds(arguments)
    frames = math.ceil(round(duration * float(fps), 4))
    if frames < 1:
        raise Fault("no-frames", "The shot has no frames.", "Give a longer --duration.")
    shot = Shot(
        frame_start=1,
        fps=fps,
        portrait=str(Path(arguments.portrait)),
        voice=voice_of(arguments, duration),
        au_values=np.zeros((frames, AU_COUNT), np.float32),
        au_keyed=np.zeros((frames, AU_COUNT), bool),
        head=np.tile(np.asarray(HEAD_NEUTRAL, np.float32), (frames, 1)),
        head_keyed=np.zeros((frames, len(HEAD_NEUTRAL)), bool),
        seed=arguments.seed,
        motion=settings,
    )
    return _with_tables(shot, arguments).checked()


def _with_tables(shot: Shot, arguments: argparse.Namespace) -> Shot:
    from .. import tables

    if arguments.aus is not None:
        values, keyed = tables.read_au_csv(arguments.aus, shot.frame_count, shot.fps)
        shot = replace(shot, au_values=values, au_keyed=keyed)
    if arguments.head is not None:
        head, head_keyed = tables.read_head_csv(arguments.head, shot.frame_count, shot.fps)
        shot = replace(shot, head=head, head_keyed=head_keyed)
    return shot


def _shot_seconds(arguments: argparse.Namespace) -> float:
    """The shot's length from the recording, or from ``--duration`` where that is given. Raises Fault ``audio-...``."""
    wanted = arguments.duration
    if wanted is not None and not (math.isfinite(wanted) and wanted > 0):
        raise Fault("no-frames", f"--duration is {wanted:g}; the shot has no frames.", "Give a number of seconds above 0.")
    if arguments.audio is None:
        if wanted is None:
            raise Fault("audio-needed", "There is neither a voice nor a length.", "Give --audio, or --duration for a shot without a voice.")
        return _not_too_long(wanted, "The shot")
    from ..speech.load import probe_audio

    voice_of(arguments, None)
    info = probe_audio(arguments.audio)
    left = info.duration - arguments.start
    if left <= 0:
        sentence = f"{Path(arguments.audio).name} lasts {info.duration:.2f} seconds, so nothing is left after --start {arguments.start:g}."
        raise Fault("audio-range", sentence, "Begin earlier.")
    return _not_too_long(left if wanted is None else wanted, Path(arguments.audio).name if wanted is None else "The shot")


def _not_too_long(seconds: float, subject: str) -> float:
    if seconds > LONGEST_SHOT_SECONDS:
        sentence = f"{subject} lasts {seconds / 60:.0f} minutes; the longest shot is {LONGEST_SHOT_SECONDS / 60:.0f}."
        raise Fault("audio-too-long", sentence, "Choose a part with --start and --duration.")
    return seconds
