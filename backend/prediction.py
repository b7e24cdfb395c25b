# SPDX-License-Identifier: GPL-3.0-or-later
"""From a shot to a landmark track: whole, in pieces of bounded memory, or only the rows that an edit touches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_COUNT
from bridge.faults import Fault
from bridge.knobs import check_settings
from bridge.landmarks import LANDMARK_COUNT
from bridge.shot import Shot, Track

from .portrait.cache import load_face
from .portrait.detect import PortraitFace

if TYPE_CHECKING:
    from .motion.generate import MotionGenerator
    from .speech.rows import VoiceRows

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int, str], None]
Window = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """Rows of a track, the first being row ``first`` of the shot; ``landmarks``, ``motion``, ``aus`` as in ``bridge.shot.Track``."""

    first: int
    landmarks: FloatArray
    motion: FloatArray
    aus: FloatArray


class Prediction:
    """A shot made ready for prediction: voice heard, face found, generator loaded.

    ``progress(done, total, phase)`` is called between the steps; a Fault ``cancelled`` raised in it ends the work. Raises the faults of
    the voice, the portrait and the weights.
    """

    def __init__(self, shot: Shot, progress: Progress) -> None:
        from .motion.generate import MotionInput
        from .motion.head import posed_head
        from .motion.retarget import Retargeter, idle_amount
        from .speech.rows import Energy

        self.shot = shot = shot.checked()
        check_settings(shot.motion)
        self._progress = progress
        progress(0, 3, "loading the motion generator")
        self._generator = _motion_generator()
        progress(1, 3, "reading the voice")
        voice, heard = self._voice()
        progress(2, 3, "finding the face")
        self.face = _shot_face(shot)
        self._retargeter, energy, amount = Retargeter(self.face), Energy(heard), idle_amount(shot.motion)
        self._pose = lambda window: posed_head(shot.head, shot.head_keyed, energy, shot.fps, shot.seed, amount, window)
        self._given = MotionInput(voice, shot.fps, shot.au_values, shot.au_keyed, shot.seed, shot.motion, shot.au_asymmetry)

    def pieces(self, window: Window | None = None) -> Iterator[Piece]:
        """The rows of ``window`` (first, end), or all, in pieces that follow each other. The memory does not grow with their number."""
        first, end = checked_window(window, self.shot.frame_count)
        for start, motion, aus in self._generator.pieces(self._given, first, end, self._progress):
            pose = self._pose((start, start + len(motion)))
            yield Piece(start, self._retargeter.landmarks(motion, pose), motion, aus)

    def track(self, window: Window | None = None) -> Track:
        """The rows of ``window`` (first, end), or all, as one track."""
        first, end = checked_window(window, self.shot.frame_count)
        landmarks = np.empty((end - first, LANDMARK_COUNT, 2), np.float32)
        motion, aus = np.empty_like(landmarks), np.empty((end - first, AU_COUNT), np.float32)
        for piece in self.pieces((first, end)):
            rows = slice(piece.first - first, piece.first - first + len(piece.motion))
            landmarks[rows], motion[rows], aus[rows] = piece.landmarks, piece.motion, piece.aus
        return Track(landmarks, motion, self.shot.fps, self.face.size, self.face.landmarks, aus, first).checked()

    def reached(self, edited: Window) -> Window:
        """The rows that an edit of the rows ``edited`` can change."""
        first, end = checked_window(edited, self.shot.frame_count)
        low, high = self._generator.reached(self._given, first, end)
        ramp = 2 + round(float(self.shot.fps) / 2)  # idle head motion fades round keyed spans
        return max(0, min(low, first - ramp)), min(self.shot.frame_count, max(high, end + ramp))

    def _voice(self) -> tuple[VoiceRows, VoiceRows]:
        """Rows for the generator, and log-mel rows for their loudness."""
        from .speech.extractor import LogMel
        from .speech.shot_voice import shot_rows

        shot, extractor = self.shot, self._generator.extractor
        seconds = float(shot.frame_count / shot.fps)

        def progress(share: float) -> None:
            self._progress(round(share * 100), 100, "reading the voice")

        rows = shot_rows(shot.voice, seconds, extractor, progress)
        plain = LogMel()
        return rows, rows if extractor.name == plain.name else shot_rows(shot.voice, seconds, plain, progress)


def predict(shot: Shot, progress: Progress, window: Window | None = None, edited: Window | None = None) -> Track:
    """The landmark track of a shot, or of some of its rows (``Track.first_frame`` says where they begin).

    ``window``: the rows (first, end) that are wanted; they are those of the whole prediction. ``edited``: rows whose keys changed since
    a whole prediction; all rows that the change can reach are made. Raises the faults of ``Prediction`` and Fault ``frame-invalid``.
    """
    if window is not None and edited is not None:
        raise Fault("frame-invalid", "Both a window and edited rows were asked for.", "Ask for one of them.")
    for rows in filter(None, (window, edited)):
        checked_window(rows, shot.frame_count)
    prediction = Prediction(shot, progress)
    return prediction.track(window if edited is None else prediction.reached(edited))


def checked_window(window: Window | None, count: int) -> Window:
    """``window`` (first, end) inside ``count`` rows; all rows for None. Raises Fault ``frame-invalid``."""
    first, end = window or (0, count)
    if not 0 <= first < end <= count:
        raise Fault(
            "frame-invalid", f"The frames {first + 1} to {end} do not lie in a shot of {count}.", f"Choose a range between 1 and {count}."
        )
    return first, end


def forget_prediction() -> None:
    """Lets go of the generator and the voices."""
    _motion_generator.cache_clear()
    voices = sys.modules.get("backend.speech.shot_voice")  # not imported for this
    if voices is not None:
        voices.forget_voices()


@lru_cache(maxsize=1)
def _motion_generator() -> MotionGenerator:
    from .motion.generate import MotionGenerator

    return MotionGenerator.load()


def _shot_face(shot: Shot) -> PortraitFace:
    face = load_face(shot.portrait)
    return face if shot.portrait_landmarks is None else face.with_landmarks(shot.portrait_landmarks)
