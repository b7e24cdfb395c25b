# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking clips without pictures: landmark tracks with exact AUs, visemes and phones, one npz a clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_KEYS

from .acting import draw_acting, draw_gaze, draw_head
from .expression import VISEMES
from .identity import draw_person
from .landmarks import ActorFace, actor_face, actor_landmarks, neutral_landmarks
from .parts import Parts
from .phones import SpokenLine
from .speaking import FPS, frame_times, viseme_weights

Float = NDArray[np.float32]

VALIDATION_PERSON = 8  # every eighth person is validation
_FIRST_SEED = 1000


def write_clips(parts: Parts, lines: list[SpokenLine], folder: Path, people: int, passes: int, silent: int,
                progress: Callable[[int, int, str], None]) -> int:  # fmt: skip
    """Writes ``passes`` clips of every line and ``silent`` clips without speech; returns how many.

    Person, acting and articulation of clip number n come from n alone, so a set can be made again or made longer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    faces = [actor_face(parts, draw_person(parts, _FIRST_SEED + number)) for number in range(people)]
    jobs: list[SpokenLine | None] = [line for _ in range(passes) for line in lines] + [None] * silent
    for number, line in enumerate(jobs):
        # A step coprime to most counts spreads persons over lines; single AUs go round so that each gets its share.
        person = (number * 7 + number // max(len(lines), 1)) % people
        arrays = make_clip(faces[person], line, np.random.default_rng([number, 0xC11B]), AU_KEYS[number % len(AU_KEYS)])
        stem = f"{'silent' if line is None else line.stem}-{number:04d}"
        partial = folder / f".{stem}.partial.npz"
        np.savez(partial, **arrays, validation=np.bool_(person % VALIDATION_PERSON == 0), person_number=np.int64(person))
        partial.replace(folder / f"{stem}.npz")
        progress(number + 1, len(jobs), "clips")
    return len(jobs)


def make_clip(face: ActorFace, line: SpokenLine | None, random: np.random.Generator, unit: str) -> dict[str, Any]:
    """The arrays of one clip; ``line`` None: a silent face. ``unit``: the AU that moves alone where one does."""
    frames = round(line.duration * FPS) if line else int(random.uniform(4.0, 9.0) * FPS)
    times = frame_times(frames)
    aus = draw_acting(random, frames, unit=unit)
    strength = float(np.clip(random.normal(1.15, 0.18), 0.7, 1.5))
    visemes = viseme_weights(line.phones, times, strength) if line else np.zeros((frames, len(VISEMES)), np.float32)
    head = draw_head(random, frames, float(random.uniform(0.2, 1.0)))
    gaze = draw_gaze(random, frames)
    moving = actor_landmarks(face, aus, visemes, head, gaze)
    still = actor_landmarks(face, aus, visemes, None, gaze)
    phones = line.phones if line else ()
    return {
        "landmarks": moving[..., :2].astype(np.float32),
        "landmarks_still": still[..., :2].astype(np.float32),
        "neutral": neutral_landmarks(face)[:, :2].astype(np.float32),
        "aus": aus,
        "visemes": visemes,
        "head": head,
        "gaze": gaze,
        "fps": np.float64(FPS),
        "audio": str(line.audio) if line else "",
        "phone_names": np.array([phone.name for phone in phones], dtype="U4"),
        "phone_times": np.array([(phone.start, phone.end) for phone in phones], np.float32).reshape(-1, 2),
        "person": np.int64(face.person.seed),
    }
