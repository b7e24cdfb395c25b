# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking clips without pictures: landmark tracks with exact AUs, visemes and phones, one npz a clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.files import written_beside
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
_SILENT_PEOPLE = 4  # with a length for each person, every so many of them also act one clip without speech


@dataclass(frozen=True)
class Job:
    """One clip to make: its ``number``, who acts (``person``) and what is said; None: nothing."""

    number: int
    person: int
    line: SpokenLine | None

    @property
    def stem(self) -> str:
        """Name of the clip's file."""
        return f"{'silent' if self.line is None else self.line.stem}-{self.number:04d}"


def planned(lines: Sequence[SpokenLine], people: int, passes: int, silent: int, seconds: float | None = None, first: int = 0) -> list[Job]:
    """The clips of a set: ``passes`` of every line and ``silent`` without speech; or, with ``seconds``, at least so much speech of each
    person, the lines going round. ``first``: number of the first person. Who says what comes from the numbers alone, so a set can be made
    again, or made longer."""
    if seconds is None:
        said: list[SpokenLine | None] = [line for _ in range(passes) for line in lines] + [None] * silent
        # A step coprime to most counts spreads persons over lines.
        return [Job(number, first + (number * 7 + number // max(len(lines), 1)) % people, line) for number, line in enumerate(said)]
    jobs: list[Job] = []
    place = 0
    for person in range(first, first + people):
        spoken = 0.0
        while lines and spoken < seconds:
            line = lines[place % len(lines)]
            jobs.append(Job(len(jobs), person, line))
            spoken, place = spoken + line.duration, place + 1
        if person % _SILENT_PEOPLE == 0:
            jobs.append(Job(len(jobs), person, None))
    return jobs


def write_clips(
    parts: Parts, jobs: Sequence[Job], folder: Path, progress: Callable[[int, int, str], None], manner: str | None = None
) -> dict[str, float]:
    """Writes the clips; those that are there are kept, so a broken run goes on where it stopped. Returns counts and seconds.

    ``manner``: how all of them act (``acting.MANNERS``); None mixes.
    """
    folder.mkdir(parents=True, exist_ok=True)

    @lru_cache(maxsize=64)
    def face_of(person: int) -> ActorFace:
        return actor_face(parts, draw_person(parts, _FIRST_SEED + person))

    counts = {"written": 0, "kept": 0, "people": len({job.person for job in jobs}), "seconds": 0.0}
    for done, job in enumerate(jobs):
        target = folder / f"{job.stem}.npz"
        if target.is_file():
            counts["kept"] += 1
        else:
            arrays = make_clip(face_of(job.person), job.line, *draw_of(job), manner)
            with written_beside(target) as partial, partial.open("wb") as file:
                np.savez(file, **arrays, validation=np.bool_(job.person % VALIDATION_PERSON == 0), person_number=np.int64(job.person))
            counts["written"] += 1
            counts["seconds"] += len(arrays["aus"]) / FPS
        progress(done + 1, len(jobs), "clips")
    return counts


def draw_of(job: Job) -> tuple[np.random.Generator, str]:
    """The clip's own randomness, and the AU that moves alone where one does: they go round so that each gets its share."""
    return np.random.default_rng([job.number, 0xC11B]), AU_KEYS[job.number % len(AU_KEYS)]


@dataclass(frozen=True)
class Performance:
    """What an actor does, frame by frame: ``aus`` (n, 18) 0..5, ``visemes`` (n, 15), ``head`` (n, 6), ``gaze`` (n, 2)."""

    aus: Float
    visemes: Float
    head: Float
    gaze: Float


def perform(line: SpokenLine | None, random: np.random.Generator, unit: str, manner: str | None = None) -> Performance:
    """Draws a performance of a line; None: a silent face. ``unit``: the AU that moves alone where one does."""
    frames = round(line.duration * FPS) if line else int(random.uniform(4.0, 9.0) * FPS)
    aus = draw_acting(random, frames, manner, unit=unit)
    strength = float(np.clip(random.normal(1.15, 0.18), 0.7, 1.5))
    visemes = viseme_weights(line.phones, frame_times(frames), strength) if line else np.zeros((frames, len(VISEMES)), np.float32)
    head = draw_head(random, frames, float(random.uniform(0.2, 1.0)))
    return Performance(aus, visemes, head, draw_gaze(random, frames))


def make_clip(
    face: ActorFace, line: SpokenLine | None, random: np.random.Generator, unit: str, manner: str | None = None
) -> dict[str, Any]:
    """The arrays of one clip."""
    acted = perform(line, random, unit, manner)
    moving = actor_landmarks(face, acted.aus, acted.visemes, acted.head, acted.gaze)
    still = actor_landmarks(face, acted.aus, acted.visemes, None, acted.gaze)
    return {
        "landmarks": moving[..., :2].astype(np.float32),
        "landmarks_still": still[..., :2].astype(np.float32),
        "neutral": neutral_landmarks(face)[:, :2].astype(np.float32),
        "person": np.int64(face.person.seed),
        **labels(acted, line),
    }


def labels(acted: Performance, line: SpokenLine | None) -> dict[str, Any]:
    """What is known exactly of a performance: AUs, visemes, head, gaze, phones and the sound's path."""
    phones = line.phones if line else ()
    return {
        "aus": acted.aus,
        "visemes": acted.visemes,
        "head": acted.head,
        "gaze": acted.gaze,
        "fps": np.float64(FPS),
        "audio": str(line.audio) if line else "",
        "phone_names": np.array([phone.name for phone in phones], dtype="U4"),
        "phone_times": np.array([(phone.start, phone.end) for phone in phones], np.float32).reshape(-1, 2),
    }
