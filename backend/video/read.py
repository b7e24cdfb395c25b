# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading movies frame by frame at a constant rate, whatever rate the file has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.rates import exact_rate

_FALLBACK_RATE = Fraction(25)
_COLORSPACE_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED
_BT709, _LIMITED_RANGE = 1, 1  # AVCOL_SPC_BT709, AVCOL_RANGE_MPEG
HIGH_DEFINITION = 720  # rows from which a file without a colour tag is taken for BT.709, below for BT.601


@dataclass(frozen=True)
class VideoInfo:
    """``size``: (width, height) as shown, in pixels. ``frame_count``: as stated by the file, 0 where it does not say."""

    size: tuple[int, int]
    fps: Fraction
    frame_count: int
    has_audio: bool


def probe_video(path: str | Path) -> VideoInfo:
    """Size, rate and length. Raises Fault ``video-missing`` or ``video-unreadable``."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        fps = _stream_rate(stream)
        turned = round(next((frame.rotation for frame in container.decode(stream)), 0) / 90) % 2
        size = (stream.height, stream.width) if turned else (stream.width, stream.height)
        count = int(stream.frames or 0)
        if not count and stream.duration:
            count = round(stream.duration * stream.time_base * fps)
        return VideoInfo(size, fps, count, bool(container.streams.audio))


def read_frames(path: str | Path, first: int = 0, count: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """Frames (height, width, 3) RGB at the constant rate of ``probe_video``, from number ``first`` on, streaming.

    A frame that lasts longer than a tick is repeated, so that a phone's variable rate stays in step with the sound.
    """
    yield from map(_pixels, islice(_all_frames(path), first, None if count is None else first + count))


class KeptPicture(np.ndarray):
    """A frame as RGB pixels together with its planes, which are encoded again without the loss of two conversions. What is
    made of it, a part or a changed copy, has no planes.
    """

    planes: Any

    def __array_finalize__(self, _made_of: object) -> None:
        self.planes = None

    def cut(self, width: int, height: int) -> KeptPicture:
        """The upper left part, which still counts as the whole: the rest is what was padded to an even side."""
        part = self[:height, :width].view(KeptPicture)
        part.planes = self.planes
        return part


def read_kept_frames(path: str | Path) -> Iterator[KeptPicture]:
    """``read_frames`` of a movie of our own, from its beginning, with planes where they are as ``write_movie`` makes them."""
    for frame in _all_frames(path):
        picture = _pixels(frame).view(KeptPicture)
        ours = frame.format.name == "yuv420p" and int(frame.colorspace) == _BT709 and int(frame.color_range) == _LIMITED_RANGE
        picture.planes = frame if ours and not frame.rotation else None
        yield picture


def _all_frames(path: str | Path) -> Iterator[Any]:
    import av

    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        fps = _stream_rate(stream)
        held: Any = None
        tick, start = 0, None
        try:
            for frame in container.decode(stream):
                if frame.pts is not None:
                    time = frame.pts * stream.time_base
                    start = time if start is None else start
                    due = round((time - start) * fps)
                    while held is not None and tick < due:
                        yield held
                        tick += 1
                elif held is not None:
                    yield held
                    tick += 1
                held = frame
        except av.FFmpegError as error:
            if held is None:
                raise _unreadable(path, str(error)) from None
        if held is not None:
            yield held


def _pixels(frame: Any) -> NDArray[np.uint8]:
    from av.video.reformatter import Colorspace, Interpolation

    # Without accurate rounding every conversion loses about one grey level.
    exact = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
    untagged = int(frame.colorspace) == _COLORSPACE_UNTAGGED
    source = Colorspace.ITU709 if untagged and frame.height >= HIGH_DEFINITION else None
    rgb = frame.reformat(format="rgb24", interpolation=exact, src_colorspace=source, threads=1).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90) % 4))


def _stream_rate(stream: Any) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    return exact_rate(Fraction(rate)) if rate else _FALLBACK_RATE


def _opened(path: str | Path) -> Any:
    import av

    if not Path(path).is_file():
        raise Fault("video-missing", f"There is no file {path}.", "Check the path.")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    if not container.streams.video:
        container.close()
        raise _unreadable(path, "it holds no pictures")
    return container


def _unreadable(path: str | Path, reason: str) -> Fault:
    return Fault(
        "video-unreadable",
        f"{Path(path).name} cannot be read as a video ({reason}).",
        "Use an mp4, mov, mkv, webm or mpg file that plays elsewhere.",
    )
