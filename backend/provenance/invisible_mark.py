# SPDX-License-Identifier: GPL-3.0-or-later
"""A mark inside the pictures that is hardly seen and that a detector finds again, also after encoding, scaling and modest cropping.

It is RivaGAN (K. A. Zhang, L. Xu, A. Cuesta-Infante, K. Veeramachaneni, "Robust invisible video watermarking with attention", 2019) as
the package invisible-watermark ships it, networks and all. They write 32 bits; ours always write the same word, so the mark says
"synthetic, made with AUtter" and nothing about who or when. The networks see each picture at 256 x 256 pixels and what they change
is laid over it at its full size: so the cost does not grow with the picture, and scaling it later does not matter.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault

WORD = np.unpackbits(np.frombuffer(hashlib.sha256(b"synthetic media made with AUtter").digest()[:4], np.uint8))
LEAST_MATCHING = 29  # of 32 bits. Fair coins reach it in 5,489 of 2^32 cases, about once in 780,000
_SIDE = 256
_STEP = 6  # frames: what is laid over a picture fits its neighbours too while little moves, and a mark at rest survives encoding better
_FADE = 3  # frames from one to the next: both carry the word, and a sudden change would flicker
_FRAMES_READ = 5  # odd: a vote has a winner
_METHOD = "rivaGan"
# How much is used of what the networks write. At the whole of it skin and hair look mottled, at this the change is 2 of 255 levels; but in
# small pictures H.264 halves the colours' resolution below the pattern's own, and there it needs the whole.
_STRENGTH, _SMALL_PICTURE = 0.6, 512


@dataclass(frozen=True)
class MarkFound:
    """What the detector saw. ``matching`` of ``bits`` agree with our word, by vote over ``frames`` pictures."""

    found: bool
    matching: int
    bits: int
    frames: int


def is_available() -> bool:
    """Whether the package that writes and finds the mark is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("imwatermark", "pywt", "onnxruntime"))


def check_available() -> None:
    """Raises Fault ``mark-unavailable``."""
    if not is_available():
        raise Fault(
            "mark-unavailable",
            "The invisible mark needs the packages invisible-watermark and PyWavelets, which are not installed.",
            "Repair the backend, or render without the invisible mark.",
        )


def marked(frames: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """The frames (height, width, 3) uint8 with the mark laid over them. Raises Fault ``mark-unavailable``."""
    check_available()
    encoder = _encoder()
    former = present = np.zeros(0, np.float32)
    for number, frame in enumerate(frames):
        step = number % _STEP
        if step == 0 or present.shape != frame.shape:
            former, present = present, _change(encoder, frame)
            former = former if former.shape == present.shape else present
        share = min((step + 1) / _FADE, 1.0)
        change = (1 - share) * former + share * present
        yield np.clip(np.rint(frame + change), 0, 255).astype(np.uint8)


def find_mark(path: Path) -> MarkFound:
    """Looks for the mark in pictures from all over a movie. Raises Fault ``mark-unavailable``; errors of PyAV pass through."""
    check_available()
    decoder = _decoder()
    seen = [np.asarray(decoder.decode(_small(picture), _METHOD), np.uint8) for picture in _spread(path, _FRAMES_READ)]
    if not seen:
        return MarkFound(False, 0, len(WORD), 0)
    voted = np.mean(seen, axis=0) > 0.5
    matching = int((voted == WORD.astype(bool)).sum())
    return MarkFound(matching >= LEAST_MATCHING, matching, len(WORD), len(seen))


def _change(encoder: Any, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the mark adds to a picture, (height, width, 3) float32."""
    import cv2

    small = _small(frame)
    change = encoder.encode(small, _METHOD).astype(np.float32) - small
    change -= change.mean((0, 1))  # the package cuts fractions off, which would darken the picture by half a level
    strength = 1.0 if min(frame.shape[:2]) < _SMALL_PICTURE else _STRENGTH
    return np.asarray(cv2.resize(strength * change, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def _small(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _encoder() -> Any:
    from imwatermark import WatermarkEncoder

    _load_networks()
    encoder = WatermarkEncoder()
    encoder.set_watermark("bits", WORD.tolist())
    return encoder


def _decoder() -> Any:
    from imwatermark import WatermarkDecoder

    _load_networks()
    return WatermarkDecoder("bits", len(WORD))


def _load_networks() -> None:
    """What the package's ``loadModel`` does, on one thread: its many would wait on each other beside the renderer's."""
    import onnxruntime
    from imwatermark import rivaGan

    kept, folder = rivaGan.RivaWatermark, Path(rivaGan.__file__).parent
    if kept.encoder is None or kept.decoder is None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        kept.encoder, kept.decoder = (
            onnxruntime.InferenceSession(str(folder / f"rivagan_{name}.onnx"), options, providers=["CPUExecutionProvider"])
            for name in ("encoder", "decoder")
        )


def _spread(path: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """``count`` pictures from all over a movie, (height, width, 3) uint8."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        seconds = float(container.duration or 0) / av.time_base
        begin = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
        for number in range(count):
            wanted = begin + seconds * (number + 0.5) / count
            if seconds:
                container.seek(int(wanted * av.time_base))
            picture = None
            for picture in container.decode(stream):
                if picture.time is None or picture.time >= wanted:
                    break
            if picture is not None:  # the last one where times end too early or say nothing
                yield np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
