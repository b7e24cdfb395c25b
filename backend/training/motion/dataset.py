# SPDX-License-Identifier: GPL-3.0-or-later
"""Training windows for the motion generator, balanced between tracked people, synthetic actors and silent acting."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.motion.canonical import canonical, clip_motion, region_scale
from backend.motion.config import AU_COUNT, LANDMARK_COUNT, MOTION_RATE
from backend.motion.contact import uncrossed
from backend.motion.face import ReferenceFace, geometric_aus
from backend.motion.measures import lip_gap
from backend.speech.features import BANDS, COLUMNS_PER_FRAME, log_mel, normalised_rows, silent_rows
from backend.training.motion.augment import augmented, varied
from backend.training.motion.commands import BLINK, acted_aus, commands_of, keyed_mask, lids_only, span_fade
from backend.training.prepare.prepared import at_rate
from bridge.facs import AU_INDEX, MAXIMUM_INTENSITY
from bridge.landmarks import CHIN, LIP_INNER_LOWER, LIP_INNER_UPPER, OF_MEDIAPIPE

FloatArray = NDArray[np.float32]

# The jaw line from one ear over the chin to the other, and how far it moves where the chin sinks by one: on the actors' mesh, and as
# tracked on real people and on pictures of actors. Down, and aside (outwards; mesh: hardly).
_JAW_LINE = [
    OF_MEDIAPIPE[point] for point in (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)
]
_MESH_FALL = np.array([0.12, 0.13, 0.12, 0.49, 0.56, 0.70, 1.19, 1.50, 1.27, 0.90, 1.0], np.float32)
_TRACKED_FALL = np.array([0.07, 0.08, 0.10, 0.19, 0.30, 0.38, 0.49, 0.62, 0.78, 0.93, 1.0], np.float32)
_TRACKED_ASIDE = np.array([0.0, 0.0, 0.0, -0.04, -0.11, -0.09, 0.0, 0.07, 0.10, 0.09, 0.0], np.float32)
_CHIN_GAIN = 1.8
CLOSED_SHARE = 0.15  # of the 95th percentile of the lip gap: under it, lips count as shut


@dataclass(frozen=True)
class Clip:
    """One clip at 25 frames a second, of the reference face.

    ``path``: the prepared file. ``log_power``: (4 x frames, 80). ``motion``: (frames, 162, 2). ``aus``: (frames, 18) 0..5.
    ``literal``: AUs are read off the face, speech included; otherwise they are what was commanded on top of speech.
    ``closed``: (frames,) lips truly shut.
    ``neutral``: (162, 2), the person's own. ``scale``: (162, 2), the person's motion over the reference face's.
    """

    path: Path
    log_power: FloatArray
    motion: FloatArray
    aus: FloatArray
    literal: bool
    closed: NDArray[np.bool_]
    neutral: FloatArray
    scale: FloatArray


@dataclass(frozen=True)
class Window:
    """One training example: voice rows (frames, features), motion (frames, 324), AUs 0..1 and mask (frames, 18), AUs that the reading
    is taught (frames, 18) with their mask. ``lips`` (2,): change of the lip gap under which lips count as shut, and the widest gap, both
    of the reference face; a widest gap of 0 where there is nothing to shut."""

    voice: FloatArray
    motion: FloatArray
    aus: FloatArray
    keyed: FloatArray
    read: FloatArray
    read_known: FloatArray
    lips: FloatArray


@dataclass(frozen=True)
class Shares:
    """What a batch is made of. ``recorded``: people speaking as they were recorded, every AU free but the lids'. ``tracked``: the same
    people with other voices and acting on top; ``revoiced``: the share of these that are revoiced clips, where there are some.
    ``silent``: acting without a word. Synthetic actors are the rest."""

    recorded: float = 0.1875
    tracked: float = 0.375
    silent: float = 0.125
    revoiced: float = 0.6


def held_out(stem: str) -> bool:
    """Whether a clip belongs to validation: sha256 of its stem, as an integer, is 1 modulo 10."""
    return _tenth(stem) == 1


def for_choosing(stem: str) -> bool:
    """Whether a clip of the others is kept out of training too, for choosing between settings: 2 modulo 10."""
    return _tenth(stem) == 2


def _tenth(stem: str) -> int:
    """A clip with another's voice (STEM@VOICE) belongs where the clip belongs."""
    stem = stem.partition("@")[0]
    return int(hashlib.sha256(stem.encode()).hexdigest(), 16) % 10


def closed_frames(neutral: FloatArray, motion: FloatArray) -> NDArray[np.bool_]:
    """(frames,) lips shut: gap under 15 % of the clip's 95th percentile, none where the mouth never opens."""
    gap = lip_gap(neutral[:, :2] + motion)
    loud = float(np.percentile(gap, 95))
    return gap < CLOSED_SHARE * loud if loud > 0.03 else np.zeros(len(gap), bool)


def lip_limits(clip: Clip) -> FloatArray:
    """(2,) of a clip: the change of the reference face's lip gap under which lips count as shut, and its widest gap (0: never opens)."""
    if not clip.closed.any():
        return np.zeros(2, np.float32)
    rest = float(clip.neutral[LIP_INNER_LOWER, 1] - clip.neutral[LIP_INNER_UPPER, 1])
    widest = float(np.percentile(lip_gap(clip.neutral + clip.motion * clip.scale), 95))
    return np.array([CLOSED_SHARE * widest - rest, widest], np.float32) / clip.scale[LIP_INNER_LOWER, 1]


def tracked_clip(path: Path, samples: FloatArray) -> Clip | None:
    """A prepared clip of a tracked person with its voice at 16 kHz; None where the face was lost."""
    with np.load(path, allow_pickle=False) as data:
        fps = Fraction(*np.atleast_1d(data["fps"]).astype(int).tolist())
        mesh, pose, aus = (at_rate(data[name], fps, Fraction(MOTION_RATE)) for name in ("mesh", "pose", "aus"))
        neutral = data["person_neutral"] if "person_neutral" in data.files else None
        heard = data["log_power"].astype(np.float32) if "log_power" in data.files else None  # revoiced: another's voice
    if not (np.isfinite(mesh).all() and np.isfinite(pose).all()):
        return None
    taken = clip_motion(mesh, pose, neutral)
    scale = region_scale(taken.neutral)
    motion = taken.motion / scale
    aus = aus.astype(np.float32).copy()
    for key, values in geometric_aus(motion, taken.neutral).items():
        aus[:, AU_INDEX[key]] = values
    return _clip(path, samples, motion, aus, True, taken.neutral, scale, heard)


def actor_clip(path: Path, samples: FloatArray) -> Clip:
    """A prepared clip of a synthetic actor: landmarks without head motion (frames, 162, 2) and exact AUs."""
    with np.load(path, allow_pickle=False) as data:
        landmarks, neutral, aus = data["landmarks_still"], data["neutral"], data["aus"]
    both = actor_canonical(np.concatenate([neutral[None], landmarks]))
    scale = region_scale(both[0])
    moved = uncrossed(both[:1] + as_tracked(both[1:] - both[:1]))
    return _clip(path, samples, (moved[..., :2] - both[0, :, :2]) / scale, aus.astype(np.float32), False, both[0], scale)


def actor_canonical(points: FloatArray) -> FloatArray:
    """Actors' landmarks (frames, 162, 2 or 3), the first frame neutral, heads still -> canonical frame of the neutral face.

    Actors' axes are x to the image's right, y down, z towards the viewer.
    """
    points = points * np.array([1.0, 1.0, -1.0], np.float32)[: points.shape[-1]]
    rest = canonical(points[:1])[0]
    unit = float(np.linalg.norm(rest[0] - rest[10])) / float(np.linalg.norm(points[0, 0] - points[0, 10]))
    return ((points - points[0, :1]) * unit + rest[:1]).astype(np.float32)


def as_tracked(motion: FloatArray) -> FloatArray:
    """Actors' displacements (..., 162, 2 or 3) with the jaw line moving as a tracker sees it.

    On the mesh the chin's landmark lies under the jaw, near the hinge of a turning jaw, and falls by a quarter of what the lower lip
    falls; a tracked chin falls by more than half of it, and draws the jaw line along in a soft curve. What sinks with the chin is
    replaced; what pulls the jaw line otherwise, as a smile does, stays.
    """
    motion = np.array(motion, np.float32)
    sunk = motion[..., CHIN, 1][..., None].copy()
    fall, aside = _TRACKED_FALL * _CHIN_GAIN - _MESH_FALL, _TRACKED_ASIDE * _CHIN_GAIN
    motion[..., _JAW_LINE, 1] += sunk * np.concatenate([fall, fall[-2::-1]])
    motion[..., _JAW_LINE, 0] += sunk * np.concatenate([aside, -aside[-2::-1]])
    return motion


def _clip(
    path: Path,
    samples: FloatArray,
    motion: FloatArray,
    aus: FloatArray,
    literal: bool,
    neutral: FloatArray,
    scale: FloatArray,
    heard: FloatArray | None = None,
) -> Clip:
    frames = len(motion)
    power = of_length(log_mel(samples[: frames * 640]) if heard is None else heard, frames)
    return Clip(
        path,
        power,
        motion.astype(np.float32),
        aus,
        literal,
        closed_frames(neutral, motion * scale),
        neutral[:, :2].astype(np.float32),
        scale,
    )


def of_length(log_power: FloatArray, frames: int) -> FloatArray:
    """Log power cut, or held at its end, to (4 x frames, 80)."""
    short = frames * COLUMNS_PER_FRAME - len(log_power)
    return np.pad(log_power, ((0, short), (0, 0)), mode="edge") if short > 0 else log_power[: frames * COLUMNS_PER_FRAME]


class WindowSource:
    """Draws windows without end; the same seed draws the same ones."""

    def __init__(
        self, tracked: list[Clip], actors: list[Clip], face: ReferenceFace, frames: int, seed: int, revoiced: list[Clip] | None = None
    ) -> None:
        self.tracked, self.actors, self.face, self.frames = tracked, actors, face, frames
        self.revoiced = revoiced or []
        self.seed = seed
        self.generator = np.random.default_rng(seed)
        self.lips = {id(clip): lip_limits(clip) for clip in (*tracked, *actors, *self.revoiced)}

    def batches(self, size: int, shares: Shares, plain: int = 0) -> Iterator[list[Window]]:
        """Batches with fixed shares of each kind of window.

        The first ``plain`` batches are recorded speech alone: what lips do with a voice is learnt several times faster from it.
        """
        again = shares.revoiced if self.revoiced else 0.0
        recorded, tracked, silent = round(size * shares.recorded), round(size * shares.tracked), round(size * shares.silent)
        if not self.tracked:
            tracked = 0
        elif not self.actors:
            tracked = size - silent - recorded
        while True:
            first, plain = plain > 0, plain - 1
            batch = [self._spoken(self._pick(self.tracked or self.actors), plain=True) for _ in range(size if first else recorded)]
            if not first:
                others = round(tracked * again)
                batch += [self._spoken(self._pick(self.revoiced if number < others else self.tracked)) for number in range(tracked)]
                batch += [self._silent() for _ in range(silent)]
                batch += [self._spoken(self._pick(self.actors)) for _ in range(size - len(batch))]
            yield batch

    def _pick(self, clips: list[Clip]) -> Clip:
        return clips[int(self.generator.integers(len(clips)))]

    def _spoken(self, clip: Clip, plain: bool = False) -> Window:
        """A stretch of a clip at a random speed, voice augmented, some AUs keyed and acted on top. ``plain``: nothing of that,
        the voice but little varied."""
        draw = self.generator
        places = self._places(len(clip.motion))
        columns = (places[:, None] * COLUMNS_PER_FRAME + np.arange(COLUMNS_PER_FRAME) * (places[1] - places[0])).reshape(-1)
        power = clip.log_power
        if draw.random() < 0.75:
            power = varied(power, draw) if plain else augmented(power, draw)
        voice = _at(normalised_rows(power).reshape(-1, BANDS + 1), columns).reshape(self.frames, -1)
        if draw.random() < 0.6:  # before and after a recording lies true silence, as when the generator runs
            beyond = (places < 0) | (places > len(clip.motion) - 1)
            voice[beyond] = silent_rows(1)
        motion, aus = _at(clip.motion, places), _at(clip.aus, places)
        mask = lids_only(self.frames) if plain else keyed_mask(self.frames, draw)
        # A performance that was captured keys every AU, speech included; a few keys are always acting on top of speech.
        literal = clip.literal and bool(mask.all()) and draw.random() < 0.15
        if not (clip.literal or plain) and draw.random() < 0.7:  # acting that is not keyed cannot be foreseen: key most of it
            mask |= (aus.max(axis=0) > 0.1)[None] & mask[:, BLINK : BLINK + 1]
        commands = commands_of(aus, literal) if clip.literal else aus.copy()
        if not plain and draw.random() < (0.8 if clip.literal else 0.4):
            motion, added = self._act(motion, aus, mask)
            commands, aus = commands + added, aus + added
        known = np.zeros(AU_COUNT, bool) if not clip.literal else np.ones(AU_COUNT, bool)
        return self._window(voice, motion, commands, mask, aus, known, self.lips[id(clip)])

    def _places(self, length: int) -> NDArray[np.float64]:
        speed = 1.0 if self.generator.random() < 0.6 else float(np.exp(self.generator.uniform(np.log(0.82), np.log(1.2))))
        span = (self.frames - 1) * speed
        times = np.arange(self.frames, dtype=np.float64)
        start = self.generator.uniform(-0.15 * self.frames, max(0.0, length - span + 0.15 * self.frames))
        return float(round(start)) + speed * times if speed == 1.0 else start + speed * times

    def _act(self, motion: FloatArray, aus: FloatArray, mask: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        """Adds acted AUs to a clip where they are keyed: the field of each AU on the face, its curve on the commands."""
        added = acted_aus(self.frames, self.generator) * span_fade(mask)
        added = np.minimum(added, MAXIMUM_INTENSITY - np.clip(aus, 0, MAXIMUM_INTENSITY))
        return motion + self.face.displaced(added), added

    def _silent(self) -> Window:
        """Acting without a word, before silence or noise."""
        draw = self.generator
        mask = keyed_mask(self.frames, draw)
        mask[:, BLINK] = True
        aus = acted_aus(self.frames, draw, most=4) * (span_fade(mask) if draw.random() < 0.5 else mask.all(axis=0))
        power = np.full((self.frames * COLUMNS_PER_FRAME, BANDS), -20.0, np.float32)
        if draw.random() < 0.5:
            power = power + draw.normal(0.0, 1.0, power.shape).astype(np.float32) + draw.uniform(0.0, 9.0)
        voice = normalised_rows(power.astype(np.float32))
        return self._window(voice, self.face.displaced(aus), aus, mask, aus, np.ones(AU_COUNT, bool), np.zeros(2, np.float32))

    def _window(
        self,
        voice: FloatArray,
        motion: FloatArray,
        commands: FloatArray,
        mask: NDArray[np.bool_],
        aus: FloatArray,
        known: NDArray[np.bool_],
        lips: FloatArray,
    ) -> Window:
        return Window(
            voice=voice.astype(np.float32),
            motion=motion.reshape(self.frames, LANDMARK_COUNT * 2).astype(np.float32),
            aus=(np.clip(commands, 0, MAXIMUM_INTENSITY) / MAXIMUM_INTENSITY).astype(np.float32),
            keyed=mask.astype(np.float32),
            read=(np.clip(aus, 0, MAXIMUM_INTENSITY) / MAXIMUM_INTENSITY).astype(np.float32),
            read_known=np.repeat(known[None].astype(np.float32), self.frames, axis=0),
            lips=lips,
        )


def _at(rows: FloatArray, places: NDArray[np.float64]) -> FloatArray:
    """Rows at fractional places, the first and last held beyond the ends."""
    places = np.clip(places, 0, len(rows) - 1)
    low = np.minimum(np.floor(places).astype(int), len(rows) - 1)
    high = np.minimum(low + 1, len(rows) - 1)
    part = (places - low).reshape(-1, *[1] * (rows.ndim - 1)).astype(np.float32)
    return rows[low] * (1 - part) + rows[high] * part
