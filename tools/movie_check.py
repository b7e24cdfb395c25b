# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a finished movie back: codecs, rate, frames, sound. Runs in the backend's environment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Movie:
    """What is in a movie file. Durations in seconds, counted from decoded frames and samples."""

    video_codec: str
    audio_codec: str
    pixel_format: str
    fps: str
    size: tuple[int, int]
    frames: int
    video_seconds: float
    audio_seconds: float
    comment: str

    def to_dict(self) -> dict[str, object]:
        """Plain form for JSON."""
        return asdict(self)


def read_movie(path: Path, wanted: set[int] | None = None) -> tuple[Movie, dict[int, NDArray[np.uint8]], NDArray[np.float32], int]:
    """Decode everything once: facts, the wanted frames ((h, w, 3) uint8 by index), mono samples and their rate."""
    with av.open(str(path)) as container:
        video, comment = container.streams.video[0], container.metadata.get("comment", "")
        rate = video.average_rate or Fraction(0)
        pictures: dict[int, NDArray[np.uint8]] = {}
        count = 0
        for frame in container.decode(video):
            if wanted and count in wanted:
                pictures[count] = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            count += 1
        facts = (video.codec_context.name, video.codec_context.pix_fmt or "", (video.codec_context.width, video.codec_context.height))
    codec, samples, sample_rate = read_sound(path)
    seconds = float(count / rate) if rate else 0.0
    movie = Movie(facts[0], codec, facts[1], str(rate), facts[2], count, seconds, len(samples) / max(sample_rate, 1), comment)
    return movie, pictures, samples, sample_rate


def read_sound(path: Path) -> tuple[str, NDArray[np.float32], int]:
    """(codec, mono samples, rate) of a file's first sound stream; ("", empty, 0) if it has none."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return "", np.zeros(0, np.float32), 0
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
        blocks = [block.to_ndarray()[0] for frame in container.decode(stream) for block in resampler.resample(frame)]
        return stream.codec_context.name, np.concatenate(blocks) if blocks else np.zeros(0, np.float32), stream.rate


def check_movie(movie: Movie, fps: Fraction, voice_seconds: float) -> list[str]:
    """What is wrong with a finished shot, one sentence each: codecs, rate, length against the voice to one frame."""
    wrong = []
    if (movie.video_codec, movie.pixel_format) != ("h264", "yuv420p"):
        wrong.append(f"The picture is {movie.video_codec} {movie.pixel_format}, not h264 yuv420p.")
    if movie.audio_codec != "aac":
        wrong.append(f"The sound is {movie.audio_codec or 'missing'}, not aac.")
    if Fraction(movie.fps) != fps:
        wrong.append(f"It runs at {movie.fps} frames a second, the scene at {fps}.")
    if abs(movie.video_seconds - voice_seconds) > float(1 / fps) + 1e-6:
        wrong.append(f"It lasts {movie.video_seconds:.3f} s, the voice {voice_seconds:.3f} s.")
    if abs(movie.audio_seconds - movie.video_seconds) > float(1 / fps) + 2048 / 44100:  # AAC pads to whole packets
        wrong.append(f"Its sound lasts {movie.audio_seconds:.3f} s, its picture {movie.video_seconds:.3f} s.")
    if "synthetic" not in movie.comment.lower():
        wrong.append("Its metadata does not say that it is synthetic.")
    return wrong
