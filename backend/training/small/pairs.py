# SPDX-License-Identifier: GPL-3.0-or-later
"""Training pairs: a portrait and another frame of the same person, with everything the network is shown."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.small.conditions import au_vector, geometry_stack, to_signed
from backend.synthesis.small.raster import landmark_raster
from backend.synthesis.small.warp import GRID, landmark_warp
from bridge.landmarks import (
    LID_LOWER_LEFT,
    LID_LOWER_RIGHT,
    LID_UPPER_LEFT,
    LID_UPPER_RIGHT,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    NOSE_TIP,
    REGIONS,
)

from .augment import Look, Placing, place_picture, place_points, random_look, random_placing
from .cache import FaceClip
from .config import LossWeights, TrainingConfig
from .importance import beside_face, importance_map

Array = NDArray[np.float32]
_SIDE = 256
TASKS = ("mouth", "eyes", "any", "still")


@dataclass(frozen=True)
class Pair:
    """One training example; ``w`` is the side of its window, ``g`` its nodes.

    ``portrait``: (3, 256, 256) the whole one. ``portrait_window``, ``target``, ``raster``, ``previous``: (3, w, w), colours -1..1,
    ``previous`` all zero where there is none. ``field``: (2, g, g) crop coordinates.
    ``geometry``: (3, g, g). ``aus``: (19,). ``importance``: (1, w, w) weight of each pixel in the loss. ``points``: (162, 2)
    the target's landmarks as asked for, crop coordinates. ``beside``: (1, w, w) 0 on the target's face, 1 beside it, soft.
    ``held``: 1 where the residual flow and the painting beside the face are taught to be still, else 0.
    """

    portrait: Array
    portrait_window: Array
    target: Array
    raster: Array
    previous: Array
    field: Array
    geometry: Array
    aus: Array
    importance: Array
    beside: Array
    points: Array
    window: tuple[int, int, int, int]
    held: float = 0.0


class PairSampler:
    """Draws pairs: data sets by their shares, their people evenly, open mouths and closed eyes more often than they occur."""

    def __init__(self, clips: list[FaceClip], config: TrainingConfig, seed: int) -> None:
        self.config = config
        self.draw = np.random.default_rng(seed)
        self.groups: dict[str, list[FaceClip]] = defaultdict(list)
        for clip in clips:
            self.groups[clip.person].append(clip)
        self.people = sorted(self.groups)
        datasets = [self.groups[person][0].dataset for person in self.people]
        self.shares = person_shares(datasets, dict(config.shares))
        self._likelihoods: dict[tuple[str, str], tuple[Array, Array]] = {}

    def pair(self, window: int) -> Pair:
        """A random pair whose window has ``window`` pixels a side (256: the whole picture)."""
        drawn = self.recipe(window)
        return build_pair(drawn.clip, drawn.start, drawn.goal, self.config, drawn.view, drawn.with_previous)

    def recipe(self, window: int) -> Recipe:
        """What a random pair is to be made of."""
        task = str(self.draw.choice(TASKS, p=self.config.tasks))
        clip, start, goal = self._rows(task)
        view = draw_view(clip, goal, self.config, self.draw, window, task)
        return Recipe(clip, start, goal, view, bool(self.draw.random() >= self.config.no_previous), is_held(clip, self.config))

    def sequence(self, window: int, length: int) -> list[Pair]:
        """Pairs of ``length`` frames in a row that lead up to a random target; the first alone has a true previous frame.

        Shorter where the clip begins; a single pair where its pictures are no film.
        """
        task = str(self.draw.choice(TASKS, p=self.config.tasks))
        clip, start, goal = self._rows(task)
        view = draw_view(clip, goal, self.config, self.draw, window, task)
        rows = range(max(goal - length + 1, 0), goal + 1) if clip.consecutive else range(goal, goal + 1)
        return [build_pair(clip, start, row, self.config, view, row == rows[0]) for row in rows]

    def _rows(self, task: str) -> tuple[FaceClip, int, int]:
        person = self.people[self.draw.choice(len(self.people), p=self.shares)]
        clips = self.groups[person]
        clip = clips[self.draw.integers(len(clips))]
        if (clip.name, task) not in self._likelihoods:
            self._likelihoods[clip.name, task] = row_likelihoods(clip.points, task, clip.originals)
        as_portrait, as_target = self._likelihoods[clip.name, task]
        goal = int(self.draw.choice(len(clip.points), p=as_target))
        if task == "still":
            return clip, nearest_row(clip.points, goal), goal
        turn = np.linalg.norm(head_turn(clip.points) - head_turn(clip.points[goal]), axis=-1) / self.config.most_turn
        near = as_portrait * (np.exp(-np.square(turn)) + 0.02)
        return clip, int(self.draw.choice(len(clip.points), p=near / near.sum())), goal


def person_shares(datasets: list[str], shares: dict[str, float]) -> NDArray[np.float64]:
    """Probability of each person, given everyone's data set: a data set's share divided evenly among its people.

    Shares are of the data sets present; one that is not named gets 1.
    """
    chances = np.array([shares.get(dataset, 1.0) / datasets.count(dataset) for dataset in datasets])
    return chances / chances.sum()


def row_likelihoods(points: Array, task: str = "any", originals: int | None = None) -> tuple[Array, Array]:
    """Chances of each row (n,) as portrait and as target.

    "mouth": portraits with lips shut, targets with lips apart; "eyes": portraits with open eyes, targets with closed ones;
    "any": calm portraits, all targets, those two kinds more often; "still": all alike. ``originals``: so many of the first rows alone
    may be targets, and the others, which were made of them, portraits.
    """
    eyes = np.linalg.norm(points[:, REGIONS["eye_left"][0]] - points[:, REGIONS["eye_right"][0]], axis=-1)
    gap = np.linalg.norm(points[:, LIP_INNER_UPPER] - points[:, LIP_INNER_LOWER], axis=-1) / eyes
    lids = np.minimum(
        np.linalg.norm(points[:, LID_UPPER_LEFT] - points[:, LID_LOWER_LEFT], axis=-1),
        np.linalg.norm(points[:, LID_UPPER_RIGHT] - points[:, LID_LOWER_RIGHT], axis=-1),
    )
    closed = 1 - np.clip(lids / max(float(np.percentile(lids, 75)), 1e-6), 0, 1)
    shut = np.exp(-gap / 0.03)
    if task == "mouth":
        portrait, target = shut + 0.05, gap**1.5 + 1e-4
    elif task == "eyes":
        portrait, target = (closed < 0.25) + 0.02, closed**2 + 1e-3
    elif task == "still":
        portrait, target = np.ones(len(points)), np.ones(len(points))
    else:
        portrait, target = 1 + 2.5 * (gap < np.percentile(gap, 40)) * (closed < 0.3), 1 + 8 * np.clip(gap / 0.25, 0, 1) + 5 * closed**2
    if originals is not None:
        portrait, target = portrait + 1e-3, target + 1e-3
        portrait[:originals], target[originals:] = 0.0, 0.0
    return portrait / portrait.sum(), target / target.sum()


def nearest_row(points: Array, row: int) -> int:
    """The row whose landmarks are most like those of ``row``, but not that row itself."""
    distance = np.abs(points - points[row]).mean((1, 2))
    distance[row] = np.inf
    return int(np.argmin(distance)) if len(points) > 1 else row


def head_turn(points: Array) -> Array:
    """(..., 2) how far the nose stands off the middle of the face, in eye distances: a measure of yaw and pitch."""
    eyes = np.linalg.norm(points[..., REGIONS["eye_left"][0], :] - points[..., REGIONS["eye_right"][0], :], axis=-1)
    oval = points[..., list(REGIONS["face_oval"]), :]
    middle = (oval.min(-2) + oval.max(-2)) / 2
    return np.asarray((points[..., NOSE_TIP, :] - middle) / eyes[..., None], np.float32)


@dataclass(frozen=True)
class View:
    """The random changes that all pictures of a pair or film share. ``jitter``: (162, 2), added to the landmarks asked for."""

    look: Look
    placing: Placing
    place: tuple[int, int, int, int]
    jitter: Array
    with_aus: bool


@dataclass(frozen=True)
class Recipe:
    """A pair yet to be made: the rows ``start`` (portrait) and ``goal`` (target) of a clip, seen in one view."""

    clip: FaceClip
    start: int
    goal: int
    view: View
    with_previous: bool
    held: float = 0.0

    @property
    def has_previous(self) -> bool:
        """Whether the pair shows the frame before: it was drawn so, and there is one."""
        return self.with_previous and self.clip.consecutive and self.goal > 0

    def points(self) -> tuple[Array, Array]:
        """Landmarks (162, 2) of portrait and target in the view, crop coordinates."""
        view, rows = self.view, (self.start, self.goal)
        first, second = (place_points(self.clip.points[row], view.placing, _SIDE) for row in rows)
        return first, second + view.jitter

    def aus(self) -> Array | None:
        """The target's AUs (18,), None where the network is not to be told."""
        aus = self.clip.aus[self.goal]
        return aus if self.view.with_aus and np.isfinite(aus).all() else None


@dataclass(frozen=True)
class Shape:
    """All of a pair but its pictures; see ``Pair``."""

    raster: Array
    field: Array
    geometry: Array
    aus: Array
    importance: Array
    beside: Array


def draw_view(clip: FaceClip, goal: int, config: TrainingConfig, draw: np.random.Generator, window: int, task: str) -> View:
    """A random look, placing and window about the target ``goal``."""
    look = random_look(draw)
    placing = random_placing(draw, _SIDE)
    place = random_window(place_points(clip.points[goal], placing, _SIDE), window, draw, task)
    jitter = draw.normal(0, config.landmark_jitter, clip.points[goal].shape).astype(np.float32)
    return View(look, placing, place, jitter, bool(draw.random() >= config.no_aus))


def build_pair(clip: FaceClip, start: int, goal: int, config: TrainingConfig, view: View, with_previous: bool) -> Pair:
    """The pair of rows ``start`` (portrait) and ``goal`` (target) of a clip under a common look and placing."""
    recipe = Recipe(clip, start, goal, view, with_previous, is_held(clip, config))
    first, second = recipe.points()

    def seen(row: int, place: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        return view.look.apply(place_picture(clip.frames[row], view.placing, place), place, _SIDE)

    portrait, target = seen(start, (0, 0, _SIDE, _SIDE)), seen(goal, view.place)
    previous = to_signed(seen(goal - 1, view.place)) if recipe.has_previous else None
    pair = assemble(portrait, first, target, second, previous, recipe.aus(), view.place, config.losses)
    return replace(pair, held=recipe.held)


def is_held(clip: FaceClip, config: TrainingConfig) -> float:
    """1 where the network is to be taught to be still on a clip's person, see ``TrainingConfig.held``, else 0."""
    return float(clip.dataset in config.held)


def assemble(
    portrait: NDArray[np.uint8],
    portrait_points: Array,
    target: NDArray[np.uint8],
    points: Array,
    previous: Array | None,
    aus: Array | None,
    place: tuple[int, int, int, int],
    losses: LossWeights,
) -> Pair:
    """A pair from pictures and landmarks in crop coordinates; ``place`` is the window (left, top, width, height) in pixels."""
    left, top, width, height = place
    signed = to_signed(portrait)
    shape = pair_shape(portrait_points, points, aus, place, losses)
    return Pair(
        portrait=signed,
        portrait_window=np.ascontiguousarray(signed[:, top : top + height, left : left + width]),
        target=to_signed(target),
        raster=shape.raster,
        previous=np.zeros((3, height, width), np.float32) if previous is None else previous,
        field=shape.field,
        geometry=shape.geometry,
        aus=shape.aus,
        importance=shape.importance,
        beside=shape.beside,
        points=points,
        window=place,
    )


def pair_shape(portrait_points: Array, points: Array, aus: Array | None, place: tuple[int, int, int, int], losses: LossWeights) -> Shape:
    """All that follows from landmarks and AUs, in the window ``place``."""
    left, top, width, height = place
    cell = _SIDE // GRID
    warp = landmark_warp(portrait_points, points, (top // cell, left // cell, height // cell, width // cell), led=True)
    rows, columns = slice(top, top + height), slice(left, left + width)
    raster = landmark_raster(points, _SIDE)[rows, columns].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    field = warp.field.transpose(2, 0, 1).astype(np.float32)
    importance, beside = (plane[None, rows, columns] for plane in (importance_map(points, losses), beside_face(points)))
    return Shape(raster, field, geometry_stack(warp), au_vector(aus), importance, beside)


def random_window(points: Array, window: int, draw: np.random.Generator, task: str = "any") -> tuple[int, int, int, int]:
    """A window (left, top, width, height), on whole patches, about what the task is about, else anywhere."""
    if window >= _SIDE:
        return 0, 0, _SIDE, _SIDE
    region = {"mouth": "lips_outer", "eyes": str(draw.choice(["eye_left", "eye_right"]))}.get(task)
    if region is None:
        centre = draw.uniform(0, _SIDE, 2)
    else:
        centre = points[list(REGIONS[region])].mean(0) * _SIDE + draw.normal(0, window * 0.15, 2)
    left, top = (int(np.clip(round(float(value - window / 2) / 8) * 8, 0, _SIDE - window)) for value in centre)
    return left, top, window, window
