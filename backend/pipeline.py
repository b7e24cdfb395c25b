# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of the data: a shot to a landmark track, a landmark track to a movie."""

from __future__ import annotations

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

from . import tiers
from .portrait.cache import forget_faces, load_face
from .prediction import Progress, forget_prediction, predict
from .provenance import invisible_mark
from .provenance.credentials import can_carry
from .provenance.signer import signer
from .speech.load import RECORDING_RATE, load_recording
from .speech.shot_voice import silent_voice
from .stitch import check_movie, stitched
from .tiers import check_render_settings, start_synthesis, steps_of
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
    if shot.render.invisible_mark:
        invisible_mark.check_available()
    watch = _Watch(progress, end - first, preview, keep_partial)
    synthesis = start_synthesis(shot, track, first, end, watch.part(end - first), preview)
    size = (synthesis.portrait.shape[1], synthesis.portrait.shape[0])
    check_target(out, size, end - first, track.fps)
    details = _take_details(shot, out)
    progress(0, end - first, "reading the voice")
    sound = _recording(shot, track.fps, first, end)
    progress(0, end - first, "loading the renderer")
    pictures = _with_marks(synthesis.frames, shot.render)
    if reuse is not None:
        pictures = _stitched(shot, track, reuse.checked(len(track.landmarks)), first, end, size, watch, synthesis.notes)
    tags = {"title": Path(out).stem, "comment": metadata_comment(shot.seed, shot.render.tier)}
    written = write_movie(out, watch.watched(pictures), track.fps, end - first, sound, tags, RECORDING_RATE, details)
    made = None if reuse is None else end - first - sum(max(0, min(b, end) - max(a, first)) for a, b, _ in reuse.runs)
    return _report(shot, track, Path(out), size, written, time.monotonic() - started, watch.cancelled, made, synthesis.notes)


def _take_details(shot: Shot, out: str | Path) -> dict[str, Any] | None:
    """What the content credentials say; None where none are wanted. A certificate of no use is found out before the work."""
    if not (shot.render.credentials and can_carry(Path(out))):
        return None
    signer().close()
    said = {"consent": shot.render.consent} if shot.render.consent else {}
    return {"tier": shot.render.tier, "seed": shot.seed, **said}


def preview_frame(shot: Shot, track: Track, frame: int, progress: Progress) -> NDArray[np.uint8]:
    """One frame of the movie, (height, width, 3) uint8. ``frame``: row of the track."""
    shot, track = shot.checked(), track.checked()
    first, end = _checked_range((frame, frame + 1), len(track.landmarks))
    progress(0, 1, "rendering")
    picture = next(start_synthesis(shot, track, first, end, lambda share: progress(int(share * 100), 100, "rendering")).frames)
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


def free_memory() -> None:
    """Lets go of the models and faces that are kept between jobs."""
    forget_prediction()
    forget_faces()
    tiers.free()


def _report(
    shot: Shot,
    track: Track,
    out: Path,
    size: tuple[int, int],
    written: int,
    seconds: float,
    cancelled: bool,
    made: int | None,
    notes: list[str],
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
        steps=steps_of(shot.render),
        seed=shot.seed,
        version=VERSION,
        cancelled=cancelled,
        notes=[*shot_notes(shot), *notes],
        made=made,
    )


def _stitched(
    shot: Shot, track: Track, reuse: Reuse, first: int, end: int, size: tuple[int, int], watch: _Watch, notes: list[str]
) -> Iterator[NDArray[np.uint8]]:
    """The rows ``first`` to ``end``, of which only those that are not taken over are made. Kept frames carry their marks already."""
    check_movie(reuse, size, track.fps)

    def draw(start: int, stop: int) -> Iterator[NDArray[np.uint8]]:
        part = start_synthesis(shot, track, start, stop, watch.part(stop - start), watch.preview)
        yield from _with_marks(part.frames, shot.render)
        notes.extend(note for note in part.notes if note not in notes)

    return stitched(draw, reuse, first, end, size)


def _with_marks(frames: Iterator[NDArray[np.uint8]], render: RenderSettings) -> Iterator[NDArray[np.uint8]]:
    """The frames with the marks that are wished for in the picture itself: the invisible one, then the label over it."""
    if render.invisible_mark:
        frames = invisible_mark.marked(frames)
    return labelled(frames) if render.label else frames


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
        self._progress, self._total, self.preview, self._keep_partial = progress, total, preview, keep_partial
        self._done = self._told = 0
        self.cancelled = False

    def part(self, count: int) -> Callable[[float], None]:
        """Takes the share done of the ``count`` frames that are made next; raises where the work is to end."""
        return lambda share: self._tell(self._done + int(share * count))

    def watched(self, frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        while not self.cancelled:
            try:
                frame = next(frames, None)
            except Fault as fault:  # raised by ``part`` in the middle of a frame
                if fault.code != "cancelled" or not (self._keep_partial and self._done):
                    raise
                self.cancelled = True
                return
            if frame is None:
                return
            self._done += 1
            if self.preview is not None:
                self.preview(frame)
            try:
                self._tell(self._done)
            except Fault as fault:
                if fault.code != "cancelled" or not self._keep_partial:
                    raise
                self.cancelled = True
            yield frame

    def _tell(self, done: int) -> None:
        self._told = max(self._told, min(done, self._total))
        self._progress(self._told, self._total, "rendering")
