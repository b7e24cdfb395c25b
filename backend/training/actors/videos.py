# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking clips as movies: the actor drawn frame by frame, tracked as a real video is, with the mesh's landmarks and AUs beside.

Each clip becomes NAME.mp4 with its voice and NAME.npz in the format of prepared videos (mesh, pose, blendshapes, landmarks as the tracker
sees them), and ``landmarks_mesh``, exact ``aus``, ``visemes``, phones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.files import written_beside
from backend.portrait.action_units import BLENDSHAPE_NAMES
from backend.portrait.track import track_video
from backend.speech.load import load_voice
from backend.video.write import write_movie
from bridge.shot import Voice

from .actor import Actor
from .clips import _FIRST_SEED, VALIDATION_PERSON, Job, Performance, draw_of, labels, perform
from .identity import draw_person
from .landmarks import eye_distance
from .parts import Parts
from .pictures import draw, draw_backdrop, draw_camera, draw_light, mesh_landmarks
from .render import Renderer, Scene, open_air
from .speaking import FPS

Float = NDArray[np.float32]
_RATE = Fraction(int(FPS))
_SOUND_RATE = 16000


def write_videos(
    parts: Parts, jobs: Sequence[Job], folder: Path, progress: Callable[[int, int, str], None], manner: str | None = None
) -> dict[str, float]:
    """Writes the clips as movies with their tracks; those that are there are kept. Returns counts and the tracker's mean distance from the
    mesh in per cent of the eye distance. Raises Fault ``no-opengl``, ``face-none``."""
    folder.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(parts)
    counts = {"written": 0, "kept": 0}
    errors: list[float] = []
    for done, job in enumerate(jobs):
        target = folder / f"{job.stem}.npz"
        if target.is_file():
            counts["kept"] += 1
        else:
            errors.append(_write_one(renderer, job, target, manner))
            counts["written"] += 1
        progress(done + 1, len(jobs), "movies")
    renderer.close()
    return counts | {"tracker_error_percent": 100 * float(np.mean(errors or [0.0]))}


def _write_one(renderer: Renderer, job: Job, target: Path, manner: str | None) -> float:
    """One movie and its npz; the tracker's mean distance from the mesh in eye distances."""
    actor = Actor(renderer.parts, draw_person(renderer.parts, _FIRST_SEED + job.person))
    random, unit = draw_of(job)
    acted = perform(job.line, random, unit, manner)
    frames, exact = _drawn(renderer, actor, acted, random)
    movie = target.with_suffix(".mp4")
    seconds = len(frames) / FPS
    voice = load_voice([Voice(str(job.line.audio))], seconds) if job.line else None
    write_movie(movie, iter(frames), _RATE, len(frames), voice, None, _SOUND_RATE)
    tracked = track_video(movie)
    count = min(len(tracked.landmarks), len(exact))
    error = np.linalg.norm(tracked.landmarks[:count] - exact[:count, :, :2], axis=-1).mean() / eye_distance(exact[0])
    known = labels(acted, job.line)
    with written_beside(target) as partial, partial.open("wb") as file:
        np.savez(
            file,
            **{key: value[:count] if key in ("aus", "visemes", "head", "gaze") else value for key, value in known.items() if key != "fps"},
            landmarks=tracked.landmarks[:count],
            landmarks_mesh=exact[:count, :, :2],
            mesh=tracked.mesh[:count],
            pose=tracked.pose[:count],
            blendshapes=tracked.blendshapes[:count],
            blendshape_names=np.array(BLENDSHAPE_NAMES),
            found=tracked.found[:count],
            fps=np.array([_RATE.numerator, _RATE.denominator]),
            size=np.array(tracked.size),
            video=str(movie),
            au_source="exact",
            person=np.int64(actor.person.seed),
            person_number=np.int64(job.person),
            validation=np.bool_(job.person % VALIDATION_PERSON == 0),
        )
    return float(error)


def _drawn(renderer: Renderer, actor: Actor, acted: Performance, random: np.random.Generator) -> tuple[list[NDArray[np.uint8]], Float]:
    """The pictures and the mesh's landmarks (n, 162, 3) in their pixels."""
    air = open_air(renderer, actor)
    camera = draw_camera(random, actor)
    scene = Scene(camera, draw_light(random, renderer.parts), draw_backdrop(random, renderer.parts), float(random.uniform(0.4, 1.0)), 0.004)
    neutral = mesh_landmarks(actor.neutral, camera, None)
    pictures, exact = [], []
    for aus, visemes, head, gaze in zip(acted.aus, acted.visemes, acted.head, acted.gaze):
        base = actor.head(aus, visemes, gaze, (float(head[0]), float(head[1]), float(head[2])))
        pictures.append(draw(renderer, actor, base, air, scene))
        exact.append(mesh_landmarks(base, camera, neutral))
    return pictures, np.stack(exact)
