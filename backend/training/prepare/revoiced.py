# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m backend prepare --layout revoiced``: the same lips, another's voice.

A synthesiser speaks the sentence of a tracked clip. Both recordings are aligned with their phones, and the synthesised voice is laid on
the clip's time, so that one real person's lips are seen with many voices. Landmarks and AUs stay as they were tracked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_phones import SILENT, words_of
from backend.files import written_beside
from backend.speech.features import COLUMN_RATE, COLUMNS_PER_FRAME, log_mel
from backend.training.actors.phones import Phone, align
from backend.training.actors.voices import speak
from backend.training.motion.clips import clip_video, clip_voice
from backend.training.motion.dataset import held_out
from backend.training.prepare.prepared import is_prepared
from bridge.faults import Fault

FloatArray = NDArray[np.float32]
POWER = "log_power"  # what a revoiced clip holds besides a tracked one
_FASTEST = 3.0  # a phone that is spoken so many times faster or slower was not found where it is


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the layout ``revoiced``."""
    parser.add_argument(
        "--clips", type=Path, default=Path("work/data/grid"), metavar="FOLDER", help="prepared clips with words beside them"
    )
    parser.add_argument("--out", type=Path, default=Path("work/data/revoiced"), help="folder for one npz per clip; finished ones are kept")
    parser.add_argument("--voices", nargs="+", default=["heart"], help="voices that take turns, e.g. heart heart-4 heart+3 (see actors)")
    parser.add_argument("--each", type=int, default=1, help="other voices for every clip")
    parser.add_argument("--most", type=int, default=None, help="prepare only the first so many clips")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Revoices every clip that is not held out for validation.

    Raises Fault ``data-missing``, ``voice-unknown`` or ``package-missing``.
    """
    from backend.cli.progress import ProgressBar

    paths = [path for path in sorted(arguments.clips.glob("*.npz")) if not held_out(path.stem) and is_prepared(path)][: arguments.most]
    if not paths:
        raise Fault("data-missing", f"There are no prepared clips in {arguments.clips}.", "Make them with `prepare --layout grid`.")
    quiet = getattr(arguments, "quiet", False)
    with ProgressBar(quiet, gentle_interrupt=True) as progress:
        counts = revoice_all(paths, arguments.out, arguments.voices, progress, arguments.each)
    if not quiet:
        print(", ".join(f"{value} {key}" for key, value in counts.items()) + f" in {arguments.out}")
    return {"out": str(arguments.out), **counts}


def revoice_all(
    paths: Sequence[Path],
    out: Path,
    voices: Sequence[str],
    progress: Callable[[int, int, str], None] | None = None,
    each: int = 1,
) -> dict[str, int]:
    """Writes ``out``/STEM@VOICE.npz for every prepared clip in ``each`` voices, which take turns. Returns how many were written, kept and
    not aligned."""
    out.mkdir(parents=True, exist_ok=True)
    counts = {"written": 0, "kept": 0, "unaligned": 0}
    for number, path in enumerate(paths):
        wanted = dict.fromkeys(voices[(number * each + turn) % len(voices)] for turn in range(each))
        missing = {voice: target for voice in wanted if not (target := out / f"{path.stem}@{voice}.npz").is_file()}
        counts["kept"] += len(wanted) - len(missing)
        if missing:
            samples, words = clip_voice(path), words_of(clip_video(path).with_suffix(".align"))
            own = align(_pcm(samples), " ".join(words)) if words else ()
        for voice, target in missing.items():
            power = revoiced(samples, words, voice, own)
            counts["unaligned" if power is None else "written"] += 1
            if power is not None:
                _write(path, target, voice, power)
        if progress is not None:
            progress(number + 1, len(paths), "voices")
    return counts


def revoiced(samples: FloatArray, words: Sequence[str], voice: str, own: Sequence[Phone] | None = None) -> FloatArray | None:
    """Natural-log mel power (4 x frames, 80) of ``words`` spoken by ``voice`` in the time of ``samples`` (n,) at 16 kHz; None where one of
    the two could not be aligned, or was with other phones. ``own``: the phones of ``samples`` where they are known."""
    if not words:
        return None
    text = " ".join(words)
    other = speak(voice, text + ".")
    own = align(_pcm(samples), text) if own is None else own
    anchors = common_times(own, align(_pcm(other), text), len(samples) / 16000, len(other) / 16000)
    if anchors is None:
        return None
    columns = -(-len(samples) // 640) * COLUMNS_PER_FRAME
    times = np.interp((np.arange(columns) + 0.5) / COLUMN_RATE, *anchors)
    power = log_mel(other)
    place = np.clip(times * COLUMN_RATE - 0.5, 0, len(power) - 1)
    low = np.floor(place).astype(int)
    part = (place - low).astype(np.float32)[:, None]
    return np.asarray(power[low] * (1 - part) + power[np.minimum(low + 1, len(power) - 1)] * part, np.float32)


def common_times(
    first: Sequence[Phone], second: Sequence[Phone], first_length: float, second_length: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Moments of the first recording and those of the second that belong to them, both rising, seconds; None where their phones differ
    or one of them lasts ``_FASTEST`` times as long."""
    one, two = ([phone for phone in phones if phone.name not in SILENT] for phones in (first, second))
    if not one or [phone.name for phone in one] != [phone.name for phone in two]:
        return None
    pairs = [(0.0, 0.0)]
    for a, b in zip(one, two, strict=True):
        ratio = (a.end - a.start) / max(b.end - b.start, 1e-3)
        if not 1 / _FASTEST <= ratio <= _FASTEST:
            continue
        middle = ((a.start + a.end) / 2, (b.start + b.end) / 2)
        pairs += [pair for pair in ((a.start, b.start), middle, (a.end, b.end)) if pair[0] > pairs[-1][0] and pair[1] > pairs[-1][1]]
    pairs.append((first_length, second_length))
    table = np.array(pairs)
    return (table[:, 0], table[:, 1]) if len(pairs) > len(one) else None


def _write(path: Path, target: Path, voice: str, power: FloatArray) -> None:
    with np.load(path, allow_pickle=False) as data:
        arrays: dict[str, Any] = {name: data[name] for name in data.files}
    arrays |= {POWER: power.astype(np.float16), "revoiced_by": voice}
    with written_beside(target) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def _pcm(samples: FloatArray) -> NDArray[np.int16]:
    return np.ascontiguousarray((np.clip(samples, -1, 1) * 32767).astype(np.int16))
