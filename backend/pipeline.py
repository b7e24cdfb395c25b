# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of the data: a shot to a landmark track, a landmark track to a movie."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge import VERSION
from bridge.faults import Fault
from bridge.reuse import Reuse
from bridge.shot import RenderSettings, Shot, Track

from .portrait.cache import forget_faces, load_face, load_portrait
from .prediction import Progress, forget_prediction, predict
from .speech.load import RECORDING_RATE, load_recording
from .speech.shot_voice import silent_voice
from .stitch import check_movie, stitched
from .tracks import check_portrait
from .video.label import labelled
from .video.write import check_target, metadata_comment, write_movie

__all__ = [
    "RenderReport",
    "check_render_settings",
    "free_memory",
    "load_face",
    "predict",
    "preview_frame",
    "render",
    "shot_notes",
    "track_movie",
]

Preview = Callable[[NDArray[np.uint8]], None]
TIERS = ("small", "sd15")
_MOST_STEPS = 16


@dataclass(frozen=True)
class RenderReport:
    """What a render did. ``size`` (width, height) and ``frames`` as written; ``seconds`` of work; ``cancelled``: it was cut short."""

    path: str
    frames: int
    size: tuple[int, int]
    fps: float
    duration: float
    seconds: float
    frames_per_second: float
    tier: str
    steps: int
    seed: int
    version: str
    cancelled: bool = False
    notes: list[str] = field(default_factory=list)
    made: int | None = None  # frames that were made where the others were taken over from a former take


def render(
    shot: Shot,
    track: Track,
    out: str | Path,
    progress: Progress,
    frames: tuple[int, int] | None = None,
    preview: Preview | None = None,
    keep_partial: bool = False,
    reuse: Reuse | None = None,
) -> RenderReport:
    """Writes the movie of a track, with the shot's voice.

    ``frames``: rows (first, end) of the track, end not included; the sound is cut to them. ``preview`` gets every frame
    (height, width, 3) uint8. A Fault ``cancelled`` raised in ``progress`` ends the work and leaves no file, or with
    ``keep_partial`` a movie of the frames done so far. ``reuse``: frames that are taken over from a former movie instead of being made.
    Raises the faults of the voice, the portrait, the weights and the file.
    """
    started = time.monotonic()
    shot, track = shot.checked(), track.checked()
    first, end = _checked_range(frames, len(track.landmarks))
    image, images = _start_synthesis(shot, track, first, end)
    size = (image.shape[1], image.shape[0])
    check_target(out, size, end - first, track.fps)
    progress(0, end - first, "reading the voice")
    sound = _recording(shot, track.fps, first, end)
    progress(0, end - first, "loading the renderer")
    watch = _Watch(progress, end - first, preview, keep_partial)
    pictures = labelled(images) if shot.render.label else images
    if reuse is not None:
        pictures = _stitched(shot, track, reuse.checked(len(track.landmarks)), first, end, size)
    tags = {"title": Path(out).stem, "comment": metadata_comment(shot.seed, shot.render.tier)}
    written = write_movie(out, watch.watched(pictures), track.fps, end - first, sound, tags, RECORDING_RATE)
    made = None if reuse is None else end - first - sum(max(0, min(b, end) - max(a, first)) for a, b, _ in reuse.runs)
    return _report(shot, track, Path(out), size, written, time.monotonic() - started, watch.cancelled, made)


def preview_frame(shot: Shot, track: Track, frame: int, progress: Progress) -> NDArray[np.uint8]:
    """One frame of the movie, (height, width, 3) uint8. ``frame``: row of the track."""
    shot, track = shot.checked(), track.checked()
    first, end = _checked_range((frame, frame + 1), len(track.landmarks))
    progress(0, 1, "rendering")
    _, images = _start_synthesis(shot, track, first, end)
    picture = next(images)
    progress(1, 1, "rendering")
    return picture


def track_movie(path: str | Path, progress: Progress) -> Track:
    """Landmarks, motion and estimated AUs of a real video. Its first frame with a face stands for the portrait.

    Raises Fault ``video-missing``, ``video-unreadable`` or ``face-none``.
    """
    from .motion.canonical import clip_motion
    from .portrait.action_units import estimate_aus
    from .portrait.track import track_video

    tracked = track_video(path, progress)
    motion = clip_motion(tracked.mesh, tracked.pose).motion
    portrait_landmarks = tracked.landmarks[int(np.argmax(tracked.found))]
    return Track(tracked.landmarks, motion, tracked.fps, tracked.size, portrait_landmarks, estimate_aus(tracked.blendshapes)).checked()


def shot_notes(shot: Shot) -> list[str]:
    """What is worth telling about a shot though nothing is wrong with it."""
    if shot.voice and silent_voice(shot.voice, float(shot.frame_count / shot.fps)):
        return ["The voice is silent in this shot: the lips move only where Action Units are keyed."]
    return []


def check_render_settings(settings: RenderSettings) -> None:
    """Raises Fault ``tier-unknown``, ``tier-unavailable``, ``steps-range`` or ``crop-size``."""
    if settings.tier not in TIERS:
        raise Fault("tier-unknown", f"There is no tier {settings.tier!r}.", f"Choose {' or '.join(TIERS)}.")
    if settings.tier != "small":
        raise Fault("tier-unavailable", f"The tier {settings.tier} comes with a later release.", "Use the tier small.")
    if not 1 <= settings.steps <= _MOST_STEPS:
        raise Fault(
            "steps-range",
            f"{settings.steps} diffusion steps are not possible.",
            f"Use 1 (draft), 2 (standard), 4 (best), at most {_MOST_STEPS}.",
        )
    if settings.crop_size not in (256, 512):
        raise Fault("crop-size", f"A face crop of {settings.crop_size} pixels is not possible.", "Use 256 or 512.")


def free_memory() -> None:
    """Lets go of the models and faces that are kept between jobs."""
    forget_prediction()
    forget_faces()
    runtime = sys.modules.get("backend.synthesis.small.runtime")  # not imported for this
    if runtime is not None:
        runtime.default_runtime.cache_clear()


def _report(
    shot: Shot, track: Track, out: Path, size: tuple[int, int], written: int, seconds: float, cancelled: bool, made: int | None = None
) -> RenderReport:
    return RenderReport(
        path=str(out),
        frames=written,
        size=(size[0] + size[0] % 2, size[1] + size[1] % 2),
        fps=float(track.fps),
        duration=float(written / track.fps),
        seconds=round(seconds, 3),
        frames_per_second=round(written / max(seconds, 1e-6), 2),
        tier=shot.render.tier,
        steps=shot.render.steps,
        seed=shot.seed,
        version=VERSION,
        cancelled=cancelled,
        notes=shot_notes(shot),
        made=made,
    )


def _start_synthesis(shot: Shot, track: Track, first: int, end: int) -> tuple[NDArray[np.uint8], Iterator[NDArray[np.uint8]]]:
    """The portrait and an iterator over the rendered rows ``first`` to ``end`` of the track."""
    settings = shot.render
    check_render_settings(settings)
    from .synthesis.small.render import render_frames

    image, face = load_portrait(shot.portrait)
    # A rig that was fitted by hand may rightly stand elsewhere than the face that was found.
    check_portrait(track, face.size, face.landmarks if shot.portrait_landmarks is None else shot.portrait_landmarks)
    choices: dict[str, Any] = {"steps": settings.steps, "size": settings.crop_size, "seed": shot.seed}
    images = render_frames(
        image, track.portrait_landmarks, track.landmarks, track.aus, first_frame=first, frame_count=end - first, **choices
    )
    return image, iter(images)


def _stitched(shot: Shot, track: Track, reuse: Reuse, first: int, end: int, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """The rows ``first`` to ``end``, of which only those that are not taken over are made. Kept frames carry their label already."""
    check_movie(reuse, size, track.fps)

    def draw(start: int, stop: int) -> Iterator[NDArray[np.uint8]]:
        images = _start_synthesis(shot, track, start, stop)[1]
        return labelled(images) if shot.render.label else images

    return stitched(draw, reuse, first, end, size)


def _checked_range(frames: tuple[int, int] | None, count: int) -> tuple[int, int]:
    first, end = frames or (0, count)
    if not 0 <= first < end <= count:
        raise Fault(
            "frame-invalid", f"The frames {first + 1} to {end} do not lie in a track of {count}.", f"Choose a range between 1 and {count}."
        )
    return first, end


def _recording(shot: Shot, fps: Fraction, first: int, end: int) -> NDArray[np.float32] | None:
    """The voice as recorded, (n, 1 or 2) float32 at 48 kHz, of the rows ``first`` to ``end``."""
    if not shot.voice:
        return None
    sound = load_recording(shot.voice, float(end / fps), RECORDING_RATE)
    return sound[round(first / fps * RECORDING_RATE) :]


class _Watch:
    """Passes frames on while it reports progress, shows previews and heeds cancellation."""

    def __init__(self, progress: Progress, total: int, preview: Preview | None, keep_partial: bool) -> None:
        self._progress, self._total, self._preview, self._keep_partial = progress, total, preview, keep_partial
        self.cancelled = False

    def watched(self, frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        for done, frame in enumerate(frames, 1):
            if self._preview is not None:
                self._preview(frame)
            try:
                self._progress(done, self._total, "rendering")
            except Fault as fault:
                if fault.code != "cancelled" or not self._keep_partial:
                    raise
                self.cancelled = True
            yield frame
            if self.cancelled:
                return
