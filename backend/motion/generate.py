# SPDX-License-Identifier: GPL-3.0-or-later
"""From a voice and Action Units to canonical motion: the generator as the rest of the program sees it.

Every frame depends on a bounded stretch of its surroundings and on draws that belong to its time. So a shot is made in
pieces of bounded memory, and any window of it alone comes out as it does in the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend import au_scale
from backend.motion.asymmetry import one_sided
from backend.motion.blink import BLINK_FRAMES, blink_curve
from backend.motion.config import AU_COUNT, LANDMARK_COUNT, MOTION_RATE
from backend.motion.controls import apply_controls, crisp, reach_of_controls
from backend.motion.face import reference_face
from backend.motion.parting import parted_further
from backend.motion.passes import Passes, Stretch
from backend.motion.resample import (
    into_motion_rate,
    mask_into_motion_rate,
    motion_frame_count,
    motion_window,
    out_of_motion_rate,
    scene_window,
)
from backend.motion.weights import DEFAULT_WEIGHTS, load_model
from backend.speech.extractor import FeatureExtractor, LogMel, extractor_of_card
from backend.speech.rows import ArrayRows, VoiceRows
from bridge.facs import AU_INDEX, MAXIMUM_INTENSITY
from bridge.shot import MotionSettings

if TYPE_CHECKING:
    from backend.motion.model import MotionModel

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int, str], None]

_BLINK = AU_INDEX["AU45"]
_CHUNK = 1600  # frames at 25 a second made together: bounds the memory of long shots
_TEMPERATURE = 0.4  # of the prior at full variation: warmer takes fall out of step with the voice


@dataclass(frozen=True)
class MotionInput:
    """What motion is made from.

    ``voice``: rows of features from the shot's first frame on; silence follows where they end. ``au_values`` (frames, 18) 0..5 and
    ``au_keyed`` (frames, 18): commands at the scene's frames. ``au_asymmetry``: (frames, 18) -1..1 or None, see ``bridge.shot.Shot``.
    """

    voice: VoiceRows
    fps: Fraction
    au_values: FloatArray
    au_keyed: NDArray[np.bool_]
    seed: int
    settings: MotionSettings
    au_asymmetry: FloatArray | None = None

    @property
    def frames(self) -> int:
        """Length in scene frames."""
        return len(self.au_values)

    @property
    def motion_frames(self) -> int:
        """Length in frames at 25 a second."""
        return motion_frame_count(self.frames, self.fps)


class MotionGenerator:
    """A loaded motion generator. It remembers the last voices it heard, so that an edit of AUs costs only the decoder."""

    def __init__(self, model: MotionModel, extractor: FeatureExtractor | None = None) -> None:
        self.model = model
        self.extractor = extractor or LogMel()
        self._passes = Passes(model)

    @classmethod
    def load(cls, path: Path | None = None) -> MotionGenerator:
        """From a weights file (the default one where None). Raises Faults ``weights-missing``, ``weights-mismatch``, ``voice-model``."""
        path = Path(path) if path else DEFAULT_WEIGHTS
        return cls(load_model(path), extractor_of_card(path.with_suffix(".json")))

    def forget(self) -> None:
        """Drops the remembered voices and frees their memory."""
        self._passes.forget()

    def generate(
        self,
        samples: FloatArray,
        frames: int,
        fps: Fraction,
        au_values: FloatArray,
        au_keyed: NDArray[np.bool_],
        seed: int,
        settings: MotionSettings,
        progress: Progress | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Motion and AUs of a shot of ``frames``.

        ``samples``: (n,) float32 mono at 16 kHz from the shot's first frame on; silence follows where it is shorter. The other
        arguments are those of ``MotionInput``. Returns motion (frames, 162, 2) float32 in the canonical frame, of the reference face,
        and AUs (frames, 18) float32 0..5: keyed ones as commanded, free ones as the model fills them in. The same arguments give
        the same bits on one machine.
        """
        return self.from_rows(self.extractor.features(samples), frames, fps, au_values, au_keyed, seed, settings, progress)

    def from_rows(
        self,
        rows: FloatArray,
        frames: int,
        fps: Fraction,
        au_values: FloatArray,
        au_keyed: NDArray[np.bool_],
        seed: int,
        settings: MotionSettings,
        progress: Progress | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """``generate`` from feature rows (n, features) at 25 a second."""
        given = MotionInput(ArrayRows(rows), fps, au_values[:frames], au_keyed[:frames], seed, settings)
        motion, aus = np.empty((frames, LANDMARK_COUNT, 2), np.float32), np.empty((frames, AU_COUNT), np.float32)
        for first, moved, shown in self.pieces(given, 0, frames, progress):
            if len(moved) == frames:
                return moved, shown
            motion[first : first + len(moved)], aus[first : first + len(moved)] = moved, shown
        return motion, aus

    def pieces(
        self, given: MotionInput, first: int, end: int, progress: Progress | None = None
    ) -> Iterator[tuple[int, FloatArray, FloatArray]]:
        """The scene frames ``first`` to ``end`` in pieces: (first frame, motion, AUs), as ``generate`` gives them for the whole."""
        length = max(1, math.floor(_CHUNK * given.fps / MOTION_RATE))
        for start in range(first, end, length):
            beyond = min(start + length, end)
            motion, aus = self._window(given, start, beyond)
            if progress is not None:
                progress(beyond - first, end - first, "motion")
            yield start, motion, aus

    def reached(self, given: MotionInput, first: int, end: int) -> tuple[int, int]:
        """The scene frames (first, end) that an edit of the scene frames ``first`` to ``end`` can change."""
        low, high = motion_window(first, end, given.frames, given.fps)
        reach = self._passes.reach + reach_of_controls(given.settings) + 2 * BLINK_FRAMES
        return scene_window(low - reach, high + reach, given.frames, given.fps)

    def _window(self, given: MotionInput, first: int, end: int) -> tuple[FloatArray, FloatArray]:
        low, high = motion_window(first, end, given.frames, given.fps)
        margin = reach_of_controls(given.settings)
        start, beyond = max(0, low - margin), min(high + margin, given.motion_frames)
        stretch = self._passes.stretch(start, beyond, given.motion_frames)
        values, keyed, commanded = self._commands(given, stretch)
        noise = self._passes.noise(stretch, given.seed) * np.float32(_TEMPERATURE * given.settings.variation)
        strength = given.settings.au_strength
        told = au_scale.told(values)
        motion, read = self._passes.run(self._voice(given, stretch), told / MAXIMUM_INTENSITY, commanded, noise, strength)
        inside = slice(start - stretch.first, beyond - stretch.first)
        values, told, keyed, commanded, motion = values[inside], told[inside], keyed[inside], commanded[inside], motion[inside]
        motion = apply_controls(crisp(motion), given.settings, lambda: strength * reference_face().displaced(told * keyed))
        motion = parted_further(motion, strength * au_scale.beyond(values * keyed))
        if given.au_asymmetry is not None:
            sides = into_motion_rate(given.au_asymmetry, given.fps, np.arange(start, beyond))
            motion = motion - one_sided(strength * told * keyed, sides)
        aus = np.where(commanded, values, au_scale.as_keyed(np.clip(read[inside], 0, 1) * MAXIMUM_INTENSITY))
        shown = out_of_motion_rate(aus, given.frames, given.fps, (first, end), start)
        shown = np.where(given.au_keyed[first:end], given.au_values[first:end], shown)
        return out_of_motion_rate(motion, given.frames, given.fps, (first, end), start), shown.astype(np.float32)

    def _commands(self, given: MotionInput, stretch: Stretch) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """AU values 0..5, which are the animator's, and which are commands to the model, each (frames of the stretch, 18).

        AU45 is always a command: the animator's where keyed, seeded blinks or open lids elsewhere.
        """
        total = given.motion_frames
        places = np.clip(np.arange(stretch.first, stretch.end), 0, total - 1)
        keyed = mask_into_motion_rate(np.asarray(given.au_keyed, bool), given.fps, places)
        values = into_motion_rate(given.au_values, given.fps, places, given.au_keyed) * keyed
        commanded = keyed.copy()
        commanded[:, _BLINK] = True
        settings = given.settings
        if settings.blinks and not settings.mouth_only and not keyed[:, _BLINK].all():
            everywhere = mask_into_motion_rate(np.asarray(given.au_keyed[:, _BLINK:], bool), given.fps)[:, 0]
            low, high = int(places[0]), int(places[-1]) + 1
            blinks = blink_curve(total, settings.blinks_per_minute, given.seed, everywhere, (low, high))[places - low]
            values[:, _BLINK] = np.where(keyed[:, _BLINK], values[:, _BLINK], blinks)
        return values, keyed, commanded

    def _voice(self, given: MotionInput, stretch: Stretch) -> FloatArray:
        """Feature rows of a stretch, later by the time shift, silence where nothing lies."""
        each = self.extractor.columns_per_row
        rows = self.extractor.silent_rows(len(stretch))
        columns = rows.reshape(len(rows) * each, -1)
        shift = round(given.settings.time_shift * MOTION_RATE * each)
        last = min(given.motion_frames * each, len(given.voice) * each + shift)
        start, end = max(0, stretch.first * each, shift), min(stretch.end * each, last)
        if end > start:
            low, high = (start - shift) // each, -(-(end - shift) // each)
            heard = given.voice.rows(low, high).reshape((high - low) * each, -1)
            skipped, place = start - shift - low * each, start - stretch.first * each
            columns[place : place + end - start] = heard[skipped : skipped + end - start]
        return rows
