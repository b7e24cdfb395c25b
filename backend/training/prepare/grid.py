# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a folder of clips laid out as GRID's: ``X.mp4`` and its voice ``X.flac`` (or ``X.wav``) side by side."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from backend.portrait.action_units import BLENDSHAPE_NAMES, estimate_aus
from backend.portrait.track import TrackedVideo, track_video
from bridge.faults import Fault

Progress = Callable[[int, int, str], None]


def clips_of(folder: Path) -> list[tuple[Path, Path]]:
    """(video, voice) of every clip; the video itself stands for a voice that has no file. Raises Fault ``data-missing``."""
    videos = sorted(folder.glob("*.mp4")) + sorted(folder.glob("*.mpg"))
    if not videos:
        raise Fault("data-missing", f"There are no videos in {folder}.", "Give the folder that holds GRID's X.mp4 and X.flac files.")
    return [
        (video, next((path for path in (video.with_suffix(".flac"), video.with_suffix(".wav")) if path.is_file()), video))
        for video in videos
    ]


def prepare_grid(folder: Path, out: Path, most: int | None = None, progress: Progress | None = None) -> dict[str, int]:
    """Tracks every clip of ``folder`` into ``out``/X.npz. Finished clips are kept, so a broken run goes on where it stopped.

    Returns how many were written, kept, and left out because no face was found.
    """
    out.mkdir(parents=True, exist_ok=True)
    counts = {"written": 0, "kept": 0, "without_face": 0}
    clips = clips_of(folder)[:most]
    for index, (video, voice) in enumerate(clips):
        target = out / f"{video.stem}.npz"
        if is_prepared(target):
            counts["kept"] += 1
        else:
            counts["written" if prepare_clip(video, voice, target) else "without_face"] += 1
        if progress is not None:
            progress(index + 1, len(clips), video.stem)
    return counts


def prepare_clip(video: Path, voice: Path, target: Path) -> bool:
    """Tracks one clip and writes ``target``, beside and renamed; False where no face was found."""
    try:
        tracked = track_video(video)
    except Fault as fault:
        if fault.code == "face-none":
            return False
        raise
    write_clip(tracked, video, voice, target)
    return True


def write_clip(tracked: TrackedVideo, video: Path, voice: Path, target: Path) -> None:
    """One npz: landmarks (n, 162, 2), mesh (n, 478, 3), pose (n, 4, 4), blendshapes (n, 52), aus (n, 18) 0..5 with the clip's own
    resting face taken off, found (n,), fps (numerator, denominator), size (width, height), video and audio paths."""
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file,
            landmarks=tracked.landmarks,
            mesh=tracked.mesh,
            pose=tracked.pose,
            blendshapes=tracked.blendshapes,
            blendshape_names=np.array(BLENDSHAPE_NAMES),
            aus=estimate_aus(tracked.blendshapes),
            found=tracked.found,
            fps=np.array([tracked.fps.numerator, tracked.fps.denominator]),
            size=np.array(tracked.size),
            video=str(video),
            audio=str(voice),
        )
    os.replace(partial, target)


def is_prepared(path: Path) -> bool:
    """Whether a finished clip lies at ``path``."""
    if not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as data:
            return "aus" in data.files
    except (OSError, ValueError):
        return False
