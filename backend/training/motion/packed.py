# SPDX-License-Identifier: GPL-3.0-or-later
"""All clips of a motion training in one small file, for a machine that has neither the videos nor what tracks and decodes them.

``prepare --layout packed`` writes it and ``train motion --data`` reads it with numpy and scipy alone. It is a zip (numpy's npz): a table of
the clips, and arrays that are transformed so that few values are far from zero, rounded, and compressed. The rounding is far under what the
augmentation of a voice adds and under what a tracker jitters: log power is kept to .23 nepers, motion to .0001 inter-ocular units (root
mean square). A clip with another's voice shares the motion of the clip it was made from.
"""

from __future__ import annotations

import bz2
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.files import written_beside
from backend.motion.config import AU_COUNT, LANDMARK_COUNT, MOTION_WIDTH
from backend.speech.features import BANDS, COLUMNS_PER_FRAME
from backend.training.motion.dataset import Clip
from bridge.faults import Fault

FloatArray = NDArray[np.float32]

FORMAT = 1
POWER_STEP = 0.8  # nepers
MOTION_STEP = 0.0005  # inter-ocular units
AU_STEP = 0.02  # of an intensity 0..5
_BLOCK = 8  # columns of a voice that are transformed together


@dataclass(frozen=True)
class PackedClips:
    """``tracked``: people as recorded. ``revoiced``: the same lips, another's voice. ``actors``: synthetic people; ``unseen_actors``:
    those that no training sees."""

    tracked: list[Clip]
    revoiced: list[Clip]
    actors: list[Clip]
    unseen_actors: list[Clip]


def write_pack(path: Path, clips: PackedClips) -> int:
    """Writes the file, beside and renamed; its size in bytes."""
    kinds = ("tracked", "actors", "unseen_actors", "revoiced")
    listed = [(kind, clip) for kind in kinds for clip in getattr(clips, kind)]
    faces = [clip for kind, clip in listed if kind != "revoiced"]
    number_of = {clip.path.stem: number for number, clip in enumerate(faces)}
    table = [
        {
            "stem": clip.path.stem,
            "kind": kind,
            "literal": clip.literal,
            "frames": len(clip.motion),
            "face": number_of[clip.path.stem.partition("@")[0]] if kind == "revoiced" else number_of[clip.path.stem],
        }
        for kind, clip in listed
    ]
    basis = _basis([clip.motion for clip in faces])
    arrays: dict[str, Any] = {
        "table": np.frombuffer(json.dumps({"format": FORMAT, "clips": table}).encode(), np.uint8),
        "basis": basis,
        "voices": _squeezed(np.concatenate([_power_values(clip.log_power) for _, clip in listed])),
        "motions": _squeezed(np.concatenate([_motion_values(clip.motion, basis) for clip in faces])),
        "aus": _squeezed(np.concatenate([np.diff(np.rint(clip.aus / AU_STEP), axis=0, prepend=0) for clip in faces])),
        "neutrals": np.stack([clip.neutral for clip in faces]).astype(np.float16),
        "scales": np.stack([clip.scale for clip in faces]).astype(np.float16),
        "closed": np.packbits(np.concatenate([clip.closed for clip in faces])),
    }
    with written_beside(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path.stat().st_size


def read_pack(path: Path) -> PackedClips:
    """The clips of a file that ``write_pack`` wrote. Raises Fault ``data-missing`` where there is none, or none of this kind."""
    hint = "Make it with `python -m backend prepare --layout packed`."
    if not path.is_file():
        raise Fault("data-missing", f"There is no file {path}.", hint)
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        described = json.loads(arrays["table"].tobytes())
        if described["format"] != FORMAT:
            raise ValueError(described["format"])
    except (OSError, ValueError, KeyError) as error:
        raise Fault("data-missing", f"{path.name} does not hold packed clips that can be read.", hint, str(error)) from None
    return _unpacked(described["clips"], arrays)


def _unpacked(table: Sequence[dict[str, Any]], arrays: dict[str, Any]) -> PackedClips:
    faces = [row for row in table if row["kind"] != "revoiced"]
    frames = [row["frames"] for row in faces]
    ends = np.cumsum(frames)[:-1]
    motions = np.split(_loosened(arrays["motions"], MOTION_WIDTH), ends)
    aus = np.split(_loosened(arrays["aus"], AU_COUNT), ends)
    closed = np.split(np.unpackbits(arrays["closed"], count=sum(frames)).astype(bool), ends)
    voices = _loosened(arrays["voices"], _BLOCK * BANDS)
    blocks = np.cumsum([_blocks(row["frames"]) for row in table])[:-1]
    moved = [_motion(values, arrays["basis"]) for values in motions]
    felt = [(np.cumsum(values, axis=0, dtype=np.int32) * np.float32(AU_STEP)).astype(np.float32) for values in aus]
    found = PackedClips([], [], [], [])
    for row, values in zip(table, np.split(voices, blocks), strict=True):
        face = row["face"]
        getattr(found, row["kind"]).append(
            Clip(
                Path(f"{row['stem']}.npz"),
                _power(values, row["frames"]),
                moved[face],
                felt[face],
                row["literal"],
                closed[face],
                arrays["neutrals"][face].astype(np.float32),
                arrays["scales"][face].astype(np.float32),
            )
        )
    return found


def _blocks(frames: int) -> int:
    return -(-frames * COLUMNS_PER_FRAME // _BLOCK)


def _power_values(log_power: FloatArray) -> NDArray[np.int16]:
    """(blocks, 640) rounded cosine transforms of (columns, 80) log power: neighbouring bands and columns are alike."""
    from scipy.fft import dctn

    padded = np.pad(log_power, ((0, -len(log_power) % _BLOCK), (0, 0)), mode="edge").reshape(-1, _BLOCK, BANDS)
    return np.rint(dctn(padded, axes=(1, 2), norm="ortho") / POWER_STEP).astype(np.int16).reshape(-1, _BLOCK * BANDS)


def _power(values: NDArray[np.int16], frames: int) -> FloatArray:
    from scipy.fft import idctn

    blocks = values.reshape(-1, _BLOCK, BANDS).astype(np.float32) * np.float32(POWER_STEP)
    return np.ascontiguousarray(idctn(blocks, axes=(1, 2), norm="ortho").reshape(-1, BANDS)[: frames * COLUMNS_PER_FRAME])


def _basis(motions: Sequence[FloatArray]) -> FloatArray:
    """(324, 324) orthonormal directions in which landmarks move together, the greatest first."""
    spread = np.zeros((MOTION_WIDTH, MOTION_WIDTH))
    for motion in motions:
        rows = motion.reshape(len(motion), -1).astype(np.float64)
        spread += rows.T @ rows
    return np.linalg.eigh(spread)[1].T[::-1].astype(np.float32)


def _motion_values(motion: FloatArray, basis: FloatArray) -> NDArray[np.int16]:
    from scipy.fft import dct

    turned = motion.reshape(len(motion), -1) @ basis.T
    return np.rint(dct(turned, axis=0, norm="ortho") / MOTION_STEP).astype(np.int16)


def _motion(values: NDArray[np.int16], basis: FloatArray) -> FloatArray:
    from scipy.fft import idct

    turned = idct(values.astype(np.float32) * np.float32(MOTION_STEP), axis=0, norm="ortho")
    return np.asarray(turned @ basis, np.float32).reshape(-1, LANDMARK_COUNT, 2)


def _squeezed(values: NDArray[Any]) -> NDArray[np.uint8]:
    """(rows, columns) whole numbers, most of them small -> compressed bytes: columns one after the other, signs folded away (0, -1, 1, -2
    become 0, 1, 2, 3), low and high bytes apart."""
    numbers = np.ascontiguousarray(values.T).astype(np.int32)
    folded = ((numbers << 1) ^ (numbers >> 31)).astype("<u2").reshape(-1)
    planes = folded.view(np.uint8).reshape(-1, 2).T.tobytes()
    return np.frombuffer(bz2.compress(planes), np.uint8)


def _loosened(packed: NDArray[np.uint8], columns: int) -> NDArray[np.int16]:
    """What ``_squeezed`` took, (rows, columns)."""
    planes = np.frombuffer(bz2.decompress(packed.tobytes()), np.uint8).reshape(2, -1)
    folded = planes[0].astype(np.int32) | (planes[1].astype(np.int32) << 8)
    numbers = (folded >> 1) ^ -(folded & 1)
    return np.ascontiguousarray(numbers.astype(np.int16).reshape(columns, -1).T)
