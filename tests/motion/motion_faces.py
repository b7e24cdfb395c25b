# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up faces and voices for the motion tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.motion.canonical import canonical
from backend.motion.config import AU_COUNT
from backend.motion.face import reference_face
from backend.motion.retarget import head_rotation
from backend.portrait.detect import PortraitFace
from backend.speech.features import log_mel
from backend.training.motion.dataset import Clip
from bridge.landmarks import MEDIAPIPE_INDICES


def portrait(
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0), unit: float = 120.0, blendshapes: dict[str, float] | None = None, motion=0.0
) -> PortraitFace:
    """The reference face as a portrait: turned by ``angles`` (yaw, pitch, roll, degrees), ``unit`` pixels between the outer eye corners."""
    points = reference_face().neutral.astype(np.float64).copy()
    points[:, :2] += motion
    turn = head_rotation(np.array([angles]))[0].astype(np.float64)
    mesh = np.zeros((478, 3))
    mesh[list(MEDIAPIPE_INDICES)] = points @ turn.T * unit + [300.0, 320.0, 0.0]
    flip = np.diag([1.0, -1.0, -1.0])
    pose = np.eye(4)
    pose[:3, :3] = flip @ turn @ flip
    return PortraitFace(
        mesh[list(MEDIAPIPE_INDICES), :2].astype(np.float32),
        mesh.astype(np.float32),
        blendshapes or {},
        pose.astype(np.float32),
        (640, 640),
    )


def babble(seconds: float, seed: int = 0) -> np.ndarray:
    """Syllable-like bursts of a buzzing voice, (n,) float32 at 16 kHz."""
    generator = np.random.default_rng(seed)
    times = np.arange(int(seconds * 16000)) / 16000
    buzz = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 20))
    loud = np.clip(np.sin(2 * np.pi * 3.1 * times + generator.uniform(0, 6)), 0, 1) * (times > 0.3)
    return (0.05 * buzz * loud + 0.0005 * generator.standard_normal(len(times))).astype(np.float32)


def made_up_clips(count: int = 4) -> list[Clip]:
    """Clips whose jaw follows the loudness of a babbling voice."""
    jaw = reference_face().fields[16 - 1, :, :2]
    clips = []
    for seed in range(count):
        power = log_mel(babble(3.0, seed))
        level = np.exp(power).sum(axis=1).reshape(-1, 4).mean(axis=1)
        level = (level / level.max()).astype(np.float32)
        motion = level[:, None, None] * jaw * 0.3
        ones = np.ones((162, 2), np.float32)
        clips.append(
            Clip(
                Path(f"{seed}.npz"),
                power,
                motion,
                np.zeros((len(level), AU_COUNT), np.float32),
                True,
                level < 0.05,
                reference_face().neutral[:, :2],
                ones,
            )
        )
    return clips


__all__ = ["babble", "canonical", "made_up_clips", "portrait"]
