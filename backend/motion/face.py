# SPDX-License-Identifier: GPL-3.0-or-later
"""What each Action Unit does to the reference face: displacement fields of the 162 landmarks, shipped beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.motion.measures import chin_drop, lid_opening, lip_gap
from bridge.facs import AU_COUNT, AU_INDEX, MAXIMUM_INTENSITY
from bridge.faults import Fault
from bridge.landmarks import LANDMARK_COUNT

FloatArray = NDArray[np.float32]
FACE_FILE = Path(__file__).resolve().parent.parent / "weights" / "motion_face.safetensors"


@dataclass(frozen=True)
class ReferenceFace:
    """``neutral``: (162, 3) canonical landmarks of the reference face. ``fields``: (18, 162, 3), displacement at intensity 5,
    inter-ocular units, means over many people with the measures of the reference face."""

    neutral: FloatArray
    fields: FloatArray

    def displaced(self, aus: FloatArray) -> FloatArray:
        """Motion (frames, 162, 2) of AU intensities (frames, 18) 0..5 by themselves, added up."""
        return np.einsum("fa,apc->fpc", aus / MAXIMUM_INTENSITY, self.fields[..., :2]).astype(np.float32)


@lru_cache(maxsize=2)
def reference_face(path: Path = FACE_FILE) -> ReferenceFace:
    """The shipped reference face. Raises Fault ``weights-missing``."""
    from safetensors.numpy import load_file

    if not path.is_file():
        raise Fault(
            "weights-missing",
            f"The file {path.name} of the motion generator is missing.",
            "Install the backend again, or run `python -m backend train motion`.",
        )
    tensors = load_file(path)
    neutral, fields = tensors["neutral"].astype(np.float32), tensors["fields"].astype(np.float32)
    if neutral.shape != (LANDMARK_COUNT, 3) or fields.shape != (AU_COUNT, LANDMARK_COUNT, 3):
        raise Fault(
            "weights-mismatch", f"The file {path.name} does not hold the fields of 18 AUs on 162 landmarks.", "Install the backend again."
        )
    return ReferenceFace(neutral, fields)


def geometric_aus(motion: FloatArray, neutral: FloatArray) -> dict[str, FloatArray]:
    """AU25, AU26 and AU45 of tracked motion, each (frames,) 0..5, read from lips, chin and lids themselves.

    ``motion``: (frames, 162, 2) of the reference face; ``neutral``: (162, 2 or 3) canonical. The jaw's own share of the lip gap is
    taken off before the lips' is read.
    """
    face = reference_face()
    own = {key: face.fields[AU_INDEX[key], :, :2] for key in ("AU25", "AU26")}
    rest = face.neutral[:, :2]
    drop = {key: chin_drop(rest + field) - chin_drop(rest) for key, field in own.items()}
    part = {key: lip_gap(rest + field) - lip_gap(rest) for key, field in own.items()}
    points = neutral[:, :2] + motion
    jaw = np.clip((chin_drop(points) - chin_drop(neutral)) / max(float(drop["AU26"]), 1e-3), 0, 1)
    lips = np.clip((lip_gap(points) - lip_gap(neutral) - jaw * part["AU26"]) / max(float(part["AU25"]), 1e-3), 0, 1)
    open_lids = np.maximum(lid_opening(neutral), 1e-3)
    shut = np.clip((1 - lid_opening(points) / open_lids) / 0.92, 0, 1)
    return {"AU25": lips * MAXIMUM_INTENSITY, "AU26": jaw * MAXIMUM_INTENSITY, "AU45": np.where(shut > 0.15, shut, 0) * MAXIMUM_INTENSITY}
