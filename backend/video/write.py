# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the movie: H.264 and AAC, as long as its frames, tagged as synthetic, put in place only when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge import VERSION
from bridge.faults import Fault

from ..files import check_space, check_writable, fault_of, written_beside
from ..provenance.credentials import add_credentials, can_carry
from ..provenance.stream_mark import StreamMark

SYNTHETIC_NOTE = "Synthetic media made with AUtter"
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_LARGEST_SIDE = 8192
_CONSTANT_QUALITY = 16
_AUDIO_BITS_PER_SECOND = 192_000
_AUDIO_RATES = (48000, 44100, 32000, 24000, 22050, 16000)
_BYTES_PER_PIXEL = 0.1  # of a frame at this quality, with a generous margin: still backgrounds cost nearly nothing
_BT709 = 1  # primaries, transfer and matrix alike
_LIMITED_RANGE = 1


def metadata_comment(seed: int | None = None, tier: str | None = None) -> str:
    """The note that every movie carries."""
    parts = [f"{SYNTHETIC_NOTE} {VERSION}"]
    parts += [f"seed {seed}"] if seed is not None else []
    parts += [f"tier {tier}"] if tier else []
    return ", ".join(parts)


def expected_bytes(size: tuple[int, int], frame_count: int, fps: Fraction) -> int:
    """A generous estimate of a movie's size on disk."""
    return int(size[0] * size[1] * frame_count * _BYTES_PER_PIXEL + float(frame_count / fps) * _AUDIO_BITS_PER_SECOND / 8) + 2**20


def check_target(path: str | Path, size: tuple[int, int], frame_count: int, fps: Fraction) -> None:
    """Raises what would stop the movie from being written, before any work is done for it.

    ``size``: (width, height). Faults ``movie-format``, ``movie-size``, ``folder-read-only``, ``disk-full``, ``path-invalid``.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise Fault("movie-format", f"A movie cannot be written as {path.name}.", f"Use a name that ends in {', '.join(FORMATS)}.")
    if max(size) > _LARGEST_SIDE:
        raise Fault(
            "movie-size",
            f"A movie of {size[0]} x {size[1]} pixels is larger than players can show.",
            "Scale the portrait down to 4000 pixels or less.",
        )
    check_writable(path)
    check_space(path, expected_bytes(size, frame_count, fps))


def write_movie(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: Fraction,
    frame_count: int,
    samples: NDArray[np.float32] | None,
    metadata: Mapping[str, str] | None = None,
    sample_rate: int = 48000,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Writes a movie and returns its number of frames.

    ``frames``: (height, width, 3) uint8 RGB, all of one size; odd sides are padded by one pixel. Planes of a ``KeptPicture`` are encoded as
    they are. ``samples``: (n,) or (n, 1 or 2) float32 in -1..1 at ``sample_rate``, or None for a silent movie; cut or padded with silence
    to the length of the pictures. ``metadata``: tags; ``comment`` is set if it is missing. ``details``: what the content
    credentials say of the take; None writes none, and Matroska files cannot carry them. If ``frames`` ends before ``frame_count``
    the movie ends there too. Raises Fault ``movie-format``, ``no-frames``, ``disk-full``, ``folder-read-only``, ``path-invalid``; whatever
    the iterator raises passes through, and nothing is left.
    """
    import av

    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise Fault("movie-format", f"A movie cannot be written as {path.name}.", f"Use a name that ends in {', '.join(FORMATS)}.")
    with written_beside(path) as partial:
        try:
            written = _encode(
                partial, form, iter(frames), fps, frame_count, _sound(samples, frame_count, fps, sample_rate), metadata or {}, sample_rate
            )
        except av.FFmpegError as error:
            raise fault_of(OSError(error.errno, error.strerror), path) from error
        _check_whole(partial, form, path)
        if details is not None and can_carry(path):
            _sign(partial, path, details)
    return written


def _sign(partial: Path, path: Path, details: Mapping[str, Any]) -> None:
    """Gives the finished file its content credentials, in a second file beside it that then takes its place."""
    signed = partial.with_name(partial.name.replace(".partial", ".signed.partial"))
    try:
        add_credentials(partial, signed, path.name, details)
        os.replace(signed, partial)
    finally:
        with suppress(OSError):
            signed.unlink(missing_ok=True)


def _encode(
    partial: Path,
    form: str,
    frames: Iterator[NDArray[np.uint8]],
    fps: Fraction,
    frame_count: int,
    sound: NDArray[np.float32] | None,
    metadata: Mapping[str, str],
    sample_rate: int,
) -> int:
    import av

    first = next(frames, None)
    if first is None or frame_count < 1:
        raise Fault("no-frames", "The movie has no frames.", "Set the end frame after the start frame.")
    options = {"movflags": "+faststart"} if form in ("mp4", "mov") else {}
    with av.open(str(partial), "w", format=form, options=options) as container:
        container.metadata.update({"comment": metadata_comment(), **metadata})
        picture = _picture_stream(container, first.shape[1], first.shape[0], fps)
        voice = None if sound is None else _SoundTrack(container, sound, sample_rate)
        written = 0
        mark = StreamMark(metadata.get("comment", metadata_comment()))
        for image in _with_first(first, frames):
            container.mux(list(mark.marked(container, picture, picture.encode(_video_frame(image, written, fps)))))
            written += 1
            if voice is not None:
                voice.write_until(written / fps)
            if written == frame_count:
                break
        container.mux(list(mark.marked(container, picture, picture.encode(), last=True)))
        if voice is not None:
            voice.finish()
    return written


def _with_first(first: NDArray[np.uint8], rest: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    yield first
    yield from rest


def _picture_stream(container: Any, width: int, height: int, fps: Fraction) -> Any:
    # One key frame a second: animators scrub. No B-frames: times then start at 0 in every player.
    options = {"crf": str(_CONSTANT_QUALITY), "preset": "medium", "g": str(max(round(fps), 1)), "bf": "0", "threads": "2"}
    stream = container.add_stream("libx264", rate=fps, options=options)
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = "yuv420p"
    stream.time_base = 1 / fps
    context = stream.codec_context
    context.time_base = 1 / fps
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _video_frame(image: NDArray[np.uint8], index: int, fps: Fraction) -> Any:
    import av
    from av.video.frame import PictureType
    from av.video.reformatter import Colorspace, Interpolation

    height, width = image.shape[:2]
    planes = getattr(image, "planes", None)  # of a KeptPicture
    if planes is not None and (planes.width, planes.height) == (width + width % 2, height + height % 2):
        planes.pts, planes.time_base, planes.pict_type = index, 1 / fps, PictureType.NONE
        return planes
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    # Without accurate rounding a grey level is lost.
    exact = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image, np.uint8), format="rgb24")
    frame = frame.reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=_LIMITED_RANGE, interpolation=exact, threads=1
    )
    frame.pts, frame.time_base = index, 1 / fps
    return frame


def _sound(samples: NDArray[np.float32] | None, frame_count: int, fps: Fraction, rate: int) -> NDArray[np.float32] | None:
    """(channels, n) float32 within -1..1, exactly as long as the pictures."""
    if samples is None:
        return None
    if rate not in _AUDIO_RATES:
        raise ValueError(f"AAC has no sample rate of {rate} Hz")
    planes = np.atleast_2d(np.asarray(samples, np.float32).T)[:2]
    wanted = round(frame_count / fps * rate)
    planes = np.pad(planes[:, :wanted], ((0, 0), (0, max(wanted - planes.shape[1], 0))))
    return np.clip(np.nan_to_num(planes), -1, 1)


class _SoundTrack:
    """The AAC stream, fed step by step beside the pictures so that both lie side by side in the file."""

    def __init__(self, container: Any, planes: NDArray[np.float32], rate: int) -> None:
        self._container, self._planes, self._rate = container, planes, rate
        self._layout = "stereo" if len(planes) == 2 else "mono"
        self._stream = container.add_stream("aac", rate=rate, layout=self._layout)
        self._stream.bit_rate = _AUDIO_BITS_PER_SECOND if rate >= 32000 else _AUDIO_BITS_PER_SECOND // 2
        self._position = self._wanted = 0

    def write_until(self, seconds: Fraction | float) -> None:
        """Encodes whole AAC frames up to a time."""
        self._wanted = min(round(seconds * self._rate), self._planes.shape[1])
        while self._wanted - self._position >= self._step:
            self._write(self._step)

    def finish(self) -> None:
        """Encodes the rest up to the time of the last picture."""
        while self._position < self._wanted:
            self._write(min(self._step, self._wanted - self._position))
        self._container.mux(self._stream.encode())

    @property
    def _step(self) -> int:
        return int(self._stream.codec_context.frame_size or 1024)

    def _write(self, count: int) -> None:
        import av

        part = np.ascontiguousarray(self._planes[:, self._position : self._position + count])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._container.mux(self._stream.encode(frame))
        self._position += count


def _check_whole(partial: Path, form: str, path: Path) -> None:
    """A full disk can pass unnoticed until the file is closed: what cannot be opened again was not written."""
    import av

    try:
        with av.open(str(partial), format=form) as container:
            next(container.demux(video=0))
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise Fault(
            "disk-full",
            f"{path.name} could not be written to its end; nothing was left behind.",
            "Look at the free space of that disk, or choose another folder.",
        ) from error
