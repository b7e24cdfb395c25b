# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered pictures of acting people with their landmarks, one npz a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge import landmarks as marks
from bridge.facs import AU_COUNT, AU_INDEX, AU_KEYS

from .acting import EMOTIONS
from .actor import Actor, rounded
from .camera import Camera
from .clips import VALIDATION_PERSON
from .expression import VISEMES
from .identity import draw_person
from .landmarks import eye_distance, settle_contacts, settle_irises
from .light import Light, make_light
from .mesh_points import on_mesh
from .parts import Parts
from .render import Renderer, Scene, mixed_air, open_air

Float = NDArray[np.float32]
Picture = NDArray[np.uint8]

SIDE = 256
_FIRST_SEED = 3000
_FACE_SHARE = (1.58, 1.85)  # side of the picture over the height of the resting face's landmarks
_WIDE_MOUTH = 0.14  # lip gap in eye distances at which the mouth counts as open to the light
_BACKDROP = 64
# Where MediaPipe disagrees with the mesh by more than this (eye distances, mean), it has lost the face.
_LOST = 0.12


def write_people(
    parts: Parts, folder: Path, people: int, frames: int, progress: Callable[[int, int, str], None], first: int = 0
) -> dict[str, float]:
    """Writes ``folder``/person-NNNN.npz for ``people`` people from number ``first`` on; people already there are kept.

    Returns counts and MediaPipe's mean distance from the mesh's landmarks in per cent of the eye distance.
    """
    from backend.portrait.landmarker import open_landmarker

    folder.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(parts)
    errors: list[float] = []
    found = total = 0
    with open_landmarker(faces=2) as landmarker:
        for done, number in enumerate(range(first, first + people)):
            target = folder / f"person-{number:04d}.npz"
            if not target.is_file():
                arrays = _picture_person(renderer, landmarker, number, frames)
                partial = folder / f".{target.stem}.partial.npz"
                np.savez(partial, **arrays)
                partial.replace(target)
                found, total = found + int(arrays["found"].sum()), total + frames
                errors += list(arrays["tracker_error"][arrays["found"]])
            progress(done + 1, people, "people")
    renderer.close()
    return {"people": people, "pictures": total, "faces_found": found, "tracker_error_percent": 100 * float(np.mean(errors or [0.0]))}


def _picture_person(renderer: Renderer, landmarker: Any, number: int, frames: int) -> dict[str, Any]:
    random = np.random.default_rng([number, 0x91C7])
    actor = Actor(renderer.parts, draw_person(renderer.parts, _FIRST_SEED + number))
    air = open_air(renderer, actor)
    camera, light = draw_camera(random, actor), draw_light(random, renderer.parts)
    backdrop = draw_backdrop(random, renderer.parts)
    scene = Scene(camera, light, backdrop, float(random.uniform(0.4, 1.0)), float(random.uniform(0.002, 0.007)))
    aus, visemes, angles, gaze = _draw_frames(random, frames)
    neutral = mesh_landmarks(actor.neutral, camera, None)
    images, exact, tracked, errors = [], [], [], []
    for row in range(frames):
        base = actor.head(aus[row], visemes[row], gaze[row], tuple(angles[row]))
        points = mesh_landmarks(base, camera, neutral)
        image = draw(renderer, actor, base, air, scene)
        seen = _detect(landmarker, image)
        error = np.inf if seen is None else float(np.linalg.norm(seen - points[:, :2], axis=1).mean()) / eye_distance(neutral)
        images.append(image)
        exact.append(points)
        tracked.append(points[:, :2] if seen is None or error > _LOST else seen)
        errors.append(error)
    return {
        "images": np.stack(images),
        "landmarks": np.stack(tracked).astype(np.float32),
        "landmarks_mesh": np.stack(exact)[..., :2].astype(np.float32),
        "found": np.array(errors) <= _LOST,
        "tracker_error": np.array(errors, np.float32),
        "aus": aus,
        "visemes": visemes,
        "head": angles,
        "neutral_mesh": neutral[:, :2].astype(np.float32),
        "person": np.int64(actor.person.seed),
        "female": np.bool_(actor.person.female),
        "validation": np.bool_(number % VALIDATION_PERSON == 0),
    }


def draw(renderer: Renderer, actor: Actor, base: Float, air: tuple[list[Float], list[Float]], scene: Scene, rounds: int = 0) -> Picture:
    """The picture (h, w, 3) of a posed head; the mouth is lit as far as it is open. ``rounds``: how often meshes are refined."""
    points = on_mesh(base)
    gap = float(np.linalg.norm(points[marks.LIP_INNER_UPPER] - points[marks.LIP_INNER_LOWER])) / eye_distance(points)
    opening = float(np.clip(gap / _WIDE_MOUTH, 0.0, 1.0))
    posed, shade = actor.posed(base), mixed_air(air, opening)
    for _ in range(rounds):
        between = [piece.piece.surface.split_corners()[1] for piece in posed]
        shade = [open_air[pair].mean(1) for open_air, pair in zip(shade, between)]
        posed = [rounded(piece) for piece in posed]
    return renderer.picture(posed, shade, scene, min(3.0 * opening, 1.0))


def mesh_landmarks(base: Float, camera: Camera, neutral: Float | None) -> Float:
    """(162, 3) landmarks in pixels of a posed head; lids, lips and irises settled as the tracker sees them."""
    points = camera.project(on_mesh(base))
    settled = settle_contacts(points, eye_distance(points if neutral is None else neutral))
    return settled if neutral is None else settle_irises(settled, neutral)


def draw_camera(random: np.random.Generator, actor: Actor) -> Camera:
    """A camera on the person's face, nearly level, at a portrait photographer's distances."""
    points = on_mesh(actor.neutral)
    height = float(np.ptp(points[:, 1]))
    middle = (points.max(0) + points.min(0)) / 2
    off = random.normal(0.0, 0.025, 2) * height
    target = (float(middle[0] + off[0]), float(middle[1] + off[1] - 0.02 * height), float(points[:, 2].mean()))
    return Camera(target, float(random.uniform(7.0, 16.0)), SIDE / (height * float(random.uniform(*_FACE_SHARE))), SIDE, SIDE)


def draw_light(random: np.random.Generator, parts: Parts) -> Light:
    """A probe turned at random and a lamp from before the face."""
    probe = parts.probes[str(random.choice(sorted(parts.probes)))]
    lamp = np.array([random.normal(0.0, 0.7), random.uniform(0.1, 1.1), 1.0], np.float32)
    return make_light(probe, float(random.random()), lamp, float(random.uniform(0.2, 0.6)), float(random.normal(0.0, 0.5)))


def draw_backdrop(random: np.random.Generator, parts: Parts) -> Picture:
    """(h, w, 3) a blurred place, a graded wall, or soft blobs of colour."""
    from scipy.ndimage import gaussian_filter, zoom

    kind = random.random()
    rows, columns = np.mgrid[0:_BACKDROP, 0:_BACKDROP] / (_BACKDROP - 1.0)
    if kind < 0.45:
        probe = parts.probes[str(random.choice(sorted(parts.probes)))]
        view = np.roll(probe, int(random.integers(probe.shape[1])), axis=1)[12:52, :40]
        view = np.clip(view / (np.percentile(view, 85) + 1e-6) * random.uniform(0.2, 0.8), 0.0, 1.0)
        softness = float(random.uniform(0.4, 2.0))
        image = np.sqrt(zoom(gaussian_filter(view, (softness, softness, 0)), (SIDE / 40, SIDE / 40, 1), order=1))
    elif kind < 0.8:
        first, second = random.uniform(0.08, 0.9, 3) * 0.5 + random.uniform(0.05, 0.5), random.uniform(-0.2, 0.2, 3)
        image = first + (rows * random.uniform(-1, 1) + columns * random.uniform(-1, 1))[..., None] * second
    else:
        image = np.full((_BACKDROP, _BACKDROP, 3), random.uniform(0.1, 0.7))
        for _ in range(8):
            x, y, radius = random.random(), random.random(), random.uniform(0.05, 0.4)
            blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / radius**2)
            image = image * (1 - blob[..., None]) + blob[..., None] * random.uniform(0.0, 1.0, 3)
    return np.asarray(np.clip(image, 0.0, 1.0) * 255, np.uint8)


def _draw_frames(random: np.random.Generator, frames: int) -> tuple[Float, Float, Float, Float]:
    """AUs (n, 18), visemes (n, 15), angles (n, 3) degrees and gaze (n, 2); row 0 is the resting face, looking ahead."""
    aus = np.stack([_draw_aus(random) for _ in range(frames)])
    visemes = np.stack([_draw_visemes(random) for _ in range(frames)])
    angles = np.clip(random.normal(0.0, 1.0, (frames, 3)) * (8.0, 5.0, 4.0), -20.0, 20.0).astype(np.float32)
    gaze = np.clip(random.normal(0.0, 0.25, (frames, 2)), -0.8, 0.8).astype(np.float32)
    for array in (aus, visemes, gaze):
        array[0] = 0.0
    angles[0] *= 0.3
    return aus, visemes, angles, gaze


def _draw_aus(random: np.random.Generator) -> Float:
    aus = np.zeros(AU_COUNT, np.float32)
    kind = random.random()
    if kind < 0.3:
        strength = random.uniform(1.5, 5.0)
        for key, share in EMOTIONS[str(random.choice(list(EMOTIONS)))].items():
            aus[AU_INDEX[key]] = min(share * strength * random.uniform(0.7, 1.3), 5.0)
    elif kind < 0.6:
        aus[int(random.integers(AU_COUNT))] = random.uniform(1.5, 5.0)
    elif kind < 0.85:
        for key in random.choice(AU_KEYS, size=int(random.integers(2, 5)), replace=False):
            aus[AU_INDEX[str(key)]] = random.uniform(0.5, 4.5)
    if random.random() < 0.35:  # open mouths are what a warp cannot paint
        aus[AU_INDEX["AU25"]] = max(aus[AU_INDEX["AU25"]], random.uniform(1.0, 5.0))
        aus[AU_INDEX["AU26"]] = max(aus[AU_INDEX["AU26"]], random.uniform(0.0, 4.0))
    elif random.random() < 0.2:  # smiles that show the teeth
        for key, least in (("AU12", 2.0), ("AU25", 2.0), ("AU10", 0.0), ("AU26", 0.0)):
            aus[AU_INDEX[key]] = max(aus[AU_INDEX[key]], random.uniform(least, least + 2.5))
    blink = random.random()
    aus[AU_INDEX["AU45"]] = (
        random.uniform(4.3, 5.0) if blink < 0.12 else random.uniform(0.5, 4.3) if blink < 0.25 else aus[AU_INDEX["AU45"]]
    )
    return aus


def _draw_visemes(random: np.random.Generator) -> Float:
    visemes = np.zeros(len(VISEMES), np.float32)
    if random.random() < 0.65:
        first, second = random.choice(np.arange(1, len(VISEMES)), size=2, replace=False)
        share = random.uniform(0.5, 1.0)
        visemes[first], visemes[second] = share, (1 - share) * random.random()
        visemes *= random.uniform(0.5, 1.3) if first != 1 else 1.0
    return np.clip(visemes, 0.0, 1.2)


def _detect(landmarker: Any, image: Picture) -> Float | None:
    """(162, 2) MediaPipe's landmarks in pixels, or None."""
    import mediapipe as mp

    result = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image)))
    if not result.face_landmarks:
        return None
    points = result.face_landmarks[0]
    return np.array([(points[index].x * image.shape[1], points[index].y * image.shape[0]) for index in marks.MEDIAPIPE_INDICES], np.float32)
