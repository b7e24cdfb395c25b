# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot: everything a prediction or a render needs, as plain data. A track: what a prediction gives back."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .facs import AU_COUNT, AU_KEYS, MAXIMUM_INTENSITY
from .faults import Fault
from .landmarks import LANDMARK_COUNT

HEAD_CHANNELS: tuple[str, ...] = ("yaw", "pitch", "roll", "x", "y", "scale")
HEAD_NEUTRAL: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
LONGEST_SHOT_SECONDS = 1800.0
LOWEST_FPS, HIGHEST_FPS = Fraction(1), Fraction(240)


@dataclass(frozen=True)
class Voice:
    """A piece of a recording and where it lies in the shot. All times in seconds.

    ``offset``: time in the shot at which the piece starts (negative: it began before the shot).
    ``trim_start``: time in the file at which the piece starts. ``duration``: its length, None to the file's end.
    ``gain``: how loud it is, 1 as recorded; not negative.
    """

    path: str
    offset: float = 0.0
    trim_start: float = 0.0
    duration: float | None = None
    gain: float = 1.0


@dataclass(frozen=True)
class MotionSettings:
    """Knobs of the prediction. Neutral values leave the model's own result as it is."""

    au_strength: float = 1.0  # 0..2, guidance between the free and the keyed condition
    lip_strength: float = 1.0  # 0..2, scale of lip and jaw motion
    upper_smoothing: float = 0.0  # 0..1
    lower_smoothing: float = 0.0  # 0..1
    lip_offset: float = 0.0  # added lip gap, inter-ocular units
    lid_offset: float = 0.0  # added lid gap, inter-ocular units
    blinks: bool = True
    blinks_per_minute: float = 17.0
    idle_head: float = 0.5  # 0..1, amount of quiet head motion where head pose is not keyed
    time_shift: float = 0.0  # seconds, positive: the lips come later
    mouth_only: bool = False
    variation: float = 0.5  # 0..1, temperature of the prior


@dataclass(frozen=True)
class RenderSettings:
    """Choices of a render."""

    tier: str = "small"  # "small" or "sd15"
    steps: int = 2  # diffusion steps: 1 draft, 2 standard, 4 best
    crop_size: int = 256  # pixels of the face crop: 256 or 512
    label: bool = False  # draw a visible "synthetic" label
    invisible_mark: bool = False  # write a mark into the pictures that a detector finds
    preset: str = "standard"  # tier sd15: "draft", "standard" or "best"
    weights: str = ""  # tier sd15: which published weights, empty for those that are there
    sd15_steps: int = 0  # tier sd15: diffusion steps instead of the preset's, 0 for its own
    credentials: bool = True  # sign the movie with C2PA content credentials
    consent: str = ""  # who agreed to the use of face and voice, kept in the credentials


@dataclass(frozen=True)
class Shot:
    """One job's input.

    ``frame_start``: the scene frame of row 0. ``fps``: scene rate as a fraction. ``au_values``: (frames, 18) float32,
    0..5. ``au_keyed``: (frames, 18) bool, True where the animator commands the AU, False where it is free.
    ``head``: (frames, 6) float32, yaw, pitch, roll in degrees (yaw positive turns the face to the image's right, pitch
    positive lifts the chin, roll positive tilts clockwise in the image), x, y in inter-ocular distances (right, down),
    scale 1 = as in the portrait. ``head_keyed``: (frames, 6) bool. ``portrait_landmarks``: (162, 2) float32 in portrait
    pixels where the animator fitted the rig, else None and the backend finds them. ``au_asymmetry``: (frames, 18) float32 or
    None (both halves alike): +1 where only the subject's left half follows a keyed two-sided AU, -1 where only the right half.
    """

    frame_start: int
    fps: Fraction
    portrait: str
    voice: tuple[Voice, ...]
    au_values: NDArray[np.float32]
    au_keyed: NDArray[np.bool_]
    head: NDArray[np.float32]
    head_keyed: NDArray[np.bool_]
    seed: int = 0
    portrait_landmarks: NDArray[np.float32] | None = None
    motion: MotionSettings = field(default_factory=MotionSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    au_asymmetry: NDArray[np.float32] | None = None

    @property
    def frame_count(self) -> int:
        """Number of frames, from the AU array."""
        return int(self.au_values.shape[0]) if self.au_values.ndim else 0

    def to_message(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Header fields and arrays for the socket or a shot folder."""
        header: dict[str, Any] = {
            "frame_start": self.frame_start,
            "fps": [self.fps.numerator, self.fps.denominator],
            "portrait": self.portrait,
            "voice": [asdict(piece) for piece in self.voice],
            "seed": self.seed,
            "motion": asdict(self.motion),
            "render": asdict(self.render),
        }
        arrays: dict[str, NDArray[Any]] = {
            "au_values": np.ascontiguousarray(self.au_values, np.float32),
            "au_keyed": np.ascontiguousarray(self.au_keyed, np.uint8),
            "head": np.ascontiguousarray(self.head, np.float32),
            "head_keyed": np.ascontiguousarray(self.head_keyed, np.uint8),
        }
        if self.portrait_landmarks is not None:
            arrays["portrait_landmarks"] = np.ascontiguousarray(self.portrait_landmarks, np.float32)
        if self.au_asymmetry is not None:
            arrays["au_asymmetry"] = np.ascontiguousarray(self.au_asymmetry, np.float32)
        return header, arrays

    @classmethod
    def from_message(cls, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Shot:
        """The shot that ``to_message`` described. Raises Fault ``shot-invalid`` on anything missing or misshapen."""
        try:
            numerator, denominator = header["fps"]
            fitted, sides = arrays.get("portrait_landmarks"), arrays.get("au_asymmetry")
            shot = cls(
                frame_start=int(header["frame_start"]),
                fps=Fraction(int(numerator), int(denominator)),
                portrait=str(header["portrait"]),
                voice=tuple(_known_fields(Voice, piece) for piece in header.get("voice", [])),
                au_values=_float32(arrays["au_values"]),
                au_keyed=np.asarray(arrays["au_keyed"]).astype(bool),
                head=_float32(arrays["head"]),
                head_keyed=np.asarray(arrays["head_keyed"]).astype(bool),
                seed=int(header.get("seed", 0)),
                portrait_landmarks=None if fitted is None else _float32(fitted),
                au_asymmetry=None if sides is None else _float32(sides),
                motion=_known_fields(MotionSettings, header.get("motion", {})),
                render=_known_fields(RenderSettings, header.get("render", {})),
            )
        except ZeroDivisionError:
            raise frame_rate_fault("0") from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise Fault(
                "shot-invalid", f"The shot could not be read: {error}.", "Update the add-on or the backend so that both match."
            ) from None
        return shot.checked()

    def checked(self) -> Shot:
        """This shot, or a Fault that says what is wrong with it in one sentence."""
        check_frame_rate(self.fps)
        frames = self.frame_count
        if frames < 1:
            raise Fault("no-frames", "The shot has no frames.", "Set the end frame after the start frame.")
        if frames / self.fps > LONGEST_SHOT_SECONDS:
            raise Fault(
                "shot-too-long",
                f"The shot lasts {float(frames / self.fps) / 60:.0f} minutes; the longest is {LONGEST_SHOT_SECONDS / 60:.0f}.",
                "Split it into several shots.",
            )
        shapes: tuple[tuple[str, NDArray[Any], tuple[int, int]], ...] = (
            ("au_values", self.au_values, (frames, AU_COUNT)),
            ("au_keyed", self.au_keyed, (frames, AU_COUNT)),
            ("head", self.head, (frames, len(HEAD_CHANNELS))),
            ("head_keyed", self.head_keyed, (frames, len(HEAD_CHANNELS))),
        )
        if self.au_asymmetry is not None:
            shapes += (("au_asymmetry", self.au_asymmetry, (frames, AU_COUNT)),)
        for name, array, shape in shapes:
            if array.shape != shape:
                raise Fault(
                    "shot-invalid",
                    f"The shot's {name} has shape {array.shape} instead of {shape}.",
                    "Update the add-on or the backend so that both match.",
                )
        check_au_values(self.au_values, self.au_keyed)
        if self.au_asymmetry is not None and not (np.abs(self.au_asymmetry) <= 1).all():
            raise Fault("asymmetry-range", "An asymmetry lies outside -1 to 1.", "Change the key, or look for a broken driver.")
        if not np.isfinite(self.head).all():
            raise Fault(
                "head-not-finite",
                "The head pose holds a value that is not a number.",
                "Look for a broken driver or key on yaw, pitch, roll, x, y or scale.",
            )
        if self.portrait_landmarks is not None and (
            self.portrait_landmarks.shape != (LANDMARK_COUNT, 2) or not np.isfinite(self.portrait_landmarks).all()
        ):
            raise Fault("portrait-landmarks-invalid", "The portrait's fitted landmarks are damaged.", "Run Fit rig again.")
        return self


@dataclass(frozen=True)
class Track:
    """A landmark track.

    ``landmarks``: (frames, 162, 2) float32 in portrait pixels. ``motion``: (frames, 162, 2) float32, displacement from
    the neutral face in the canonical frame (origin between the outer eye corners, unit their distance, y down).
    ``portrait_landmarks``: (162, 2) float32, the portrait's own, in the track's convention.
    ``portrait_size``: (width, height) in pixels. ``aus``: (frames, 18) float32 0..5, keyed AUs and filled-in free ones.
    ``first_frame``: row of the shot where the track begins; above 0 where only some of the shot's rows were predicted.
    """

    landmarks: NDArray[np.float32]
    motion: NDArray[np.float32]
    fps: Fraction
    portrait_size: tuple[int, int]
    portrait_landmarks: NDArray[np.float32]
    aus: NDArray[np.float32] | None = None
    first_frame: int = 0

    def checked(self) -> Track:
        """This track, or a Fault ``track-invalid`` that says what is wrong."""
        check_frame_rate(self.fps)
        frames = self.landmarks.shape[0] if self.landmarks.ndim == 3 else 0
        good = (
            frames > 0
            and self.landmarks.shape == (frames, LANDMARK_COUNT, 2)
            and self.motion.shape == (frames, LANDMARK_COUNT, 2)
            and self.portrait_landmarks.shape == (LANDMARK_COUNT, 2)
            and (self.aus is None or self.aus.shape == (frames, AU_COUNT))
            and min(self.portrait_size) > 0
            and self.first_frame >= 0
        )
        if not good:
            raise Fault(
                "track-invalid", "The landmark track does not hold 162 points for every frame.", "Make it again with `predict` or `track`."
            )
        arrays = (self.landmarks, self.motion, self.portrait_landmarks) + (() if self.aus is None else (self.aus,))
        if not all(np.isfinite(array).all() for array in arrays):
            raise Fault(
                "track-invalid", "The landmark track holds values that are not numbers.", "Make it again with `predict` or `track`."
            )
        return self

    def to_message(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Header fields and arrays for the socket."""
        header: dict[str, Any] = {"fps": [self.fps.numerator, self.fps.denominator], "portrait_size": list(self.portrait_size)}
        header["first_frame"] = self.first_frame
        arrays: dict[str, NDArray[Any]] = {
            "landmarks": np.ascontiguousarray(self.landmarks, np.float32),
            "motion": np.ascontiguousarray(self.motion, np.float32),
            "portrait_landmarks": np.ascontiguousarray(self.portrait_landmarks, np.float32),
        }
        if self.aus is not None:
            arrays["aus"] = np.ascontiguousarray(self.aus, np.float32)
        return header, arrays

    @classmethod
    def from_message(cls, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Track:
        """The track that ``to_message`` described. Raises Fault ``track-invalid``."""
        try:
            numerator, denominator = header["fps"]
            width, height = header["portrait_size"]
            landmarks = _float32(arrays["landmarks"])
            aus = arrays.get("aus")
            return cls(
                landmarks=landmarks,
                motion=_float32(arrays.get("motion", np.zeros_like(landmarks))),
                fps=Fraction(int(numerator), int(denominator)),
                portrait_size=(int(width), int(height)),
                portrait_landmarks=_float32(arrays["portrait_landmarks"]),
                aus=None if aus is None else _float32(aus),
                first_frame=int(header.get("first_frame", 0)),
            ).checked()
        except ZeroDivisionError:
            raise frame_rate_fault("0") from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise Fault(
                "track-invalid", f"The landmark track could not be read: {error}.", "Make it again with `predict` or `track`."
            ) from None


def check_frame_rate(fps: Fraction) -> None:
    """Raises Fault ``frame-rate`` outside 1..240 frames a second."""
    if not LOWEST_FPS <= fps <= HIGHEST_FPS:
        raise frame_rate_fault(f"{float(fps):g}")


def frame_rate_fault(given: str) -> Fault:
    """The fault for a frame rate that no scene can have."""
    return Fault(
        "frame-rate", f"A frame rate of {given} frames a second is not possible.", "Use a rate from 1 to 240, e.g. 24, 25 or 30000/1001."
    )


def check_au_values(values: NDArray[np.float32], keyed: NDArray[np.bool_]) -> None:
    """Raises Fault ``au-not-finite`` or ``au-range``, naming the first bad keyed AU and its row.

    ``values``: (frames, 18) float32; ``keyed``: (frames, 18) bool. Values of free AUs are not looked at.
    """
    bad = keyed & ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise Fault(
            "au-not-finite", f"{AU_KEYS[column]} is not a number in row {row}.", "Look for a broken key or driver, or leave the AU free."
        )
    bad = keyed & ((values < 0) | (values > MAXIMUM_INTENSITY))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise Fault(
            "au-range",
            f"{AU_KEYS[column]} is {values[row, column]:g} in row {row}; AU intensities run from 0 to 5.",
            "Change the key, or divide the curve if it is in another unit.",
        )


def _known_fields(kind: type[Any], data: dict[str, Any]) -> Any:
    """``kind`` from the fields it knows; later versions may send more. Raises TypeError or ValueError on other types."""
    known = {item.name: str(item.type) for item in fields(kind)}
    return kind(**{name: _typed(name, value, known[name]) for name, value in data.items() if name in known})


def _typed(name: str, value: Any, kind: str) -> Any:
    """``value`` as the annotation ``kind`` of its field says: a number from a socket may be anything."""
    if value is None and kind.endswith("| None"):
        return None
    wanted: dict[str, tuple[type, ...]] = {"bool": (bool,), "str": (str,), "int": (int,), "float": (int, float)}
    kind = kind.split(" ")[0]
    if not isinstance(value, wanted[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise TypeError(f"{name} is not a {kind}")
    if kind != "float":
        return value
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise ValueError(f"{name} is not a finite number")
    return number


def _float32(array: Any) -> NDArray[np.float32]:
    """``array`` as float32; what is too large becomes infinite, which the checks then refuse."""
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32)
