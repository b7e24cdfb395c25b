# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheets of unseen people making eight faces, and a minute of one of them talking: to be looked at.

``evaluate --stage synthesis --faces FOLDER`` writes ``faces.png`` and, with ``--voice``, ``minute.mp4``.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .synthesis_people import EXPRESSIONS, keyed_track, loaded_picture, middle_rows

_TILE = 224
_FACE_SHARE = 1.5  # side of a tile over the longer side of the face
MINUTE = 60.0


def write_faces(path: Path, portraits: dict[str, Path], runtime: Any, steps: int = 2) -> None:
    """A row for each portrait: itself and the eight faces, cut round the face."""
    from PIL import Image, ImageDraw

    from backend.synthesis.small.crop import shot_crop
    from backend.synthesis.small.render import render_frames

    sheet = Image.new("RGB", (_TILE * (len(EXPRESSIONS) + 1), _TILE * len(portraits)))
    pen = ImageDraw.Draw(sheet)
    for row, (name, portrait) in enumerate(portraits.items()):
        picture, track = loaded_picture(portrait), keyed_track(portrait, list(EXPRESSIONS.values()))
        rows = middle_rows(len(EXPRESSIONS))
        frames = render_frames(
            picture, track.portrait_landmarks, track.landmarks[rows], np.asarray(track.aus)[rows], steps=steps, size=512, runtime=runtime
        )
        crop = shot_crop(track.portrait_landmarks, track.landmarks[:0])
        for column, (label, frame) in enumerate(zip([name, *EXPRESSIONS], [picture, *frames], strict=True)):
            tile = Image.fromarray(crop.cut(np.asarray(frame))).resize((_TILE, _TILE), Image.Resampling.LANCZOS)
            sheet.paste(tile, (column * _TILE, row * _TILE))
            pen.text((column * _TILE + 4, row * _TILE + 2), label, fill="yellow", stroke_width=1, stroke_fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def write_minute(path: Path, portrait: Path, voices: list[Path], steps: int = 2) -> None:
    """A minute of the portrait speaking recordings one after the other, with the smallest of head motion and blinks."""
    from backend import pipeline
    from backend.speech.load import probe_audio
    from bridge.facs import AU_COUNT
    from bridge.shot import HEAD_NEUTRAL, RenderSettings, Shot, Voice

    pieces: list[Voice] = []
    start = 0.0
    while start < MINUTE:
        recording = voices[len(pieces) % len(voices)]
        pieces.append(Voice(str(recording), offset=start))
        start += max(float(probe_audio(recording).duration), 0.5)
    values = np.zeros((int(MINUTE * 25), AU_COUNT), np.float32)
    head = np.tile(np.array(HEAD_NEUTRAL, np.float32), (len(values), 1))
    nothing: NDArray[np.bool_] = np.zeros_like(values, bool)
    render = RenderSettings(steps=steps, crop_size=512)
    shot = Shot(1, Fraction(25), str(portrait), tuple(pieces), values, nothing, head, np.zeros_like(head, bool), seed=1, render=render)
    track = pipeline.predict(shot, lambda done, total, phase: None)
    pipeline.render(shot, track, path, lambda done, total, phase: None)
