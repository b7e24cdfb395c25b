# SPDX-License-Identifier: GPL-3.0-or-later
"""A quick look at held-out people while training: gain over the warp alone, in decibels, at the sampler's first step."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray

from backend.synthesis.small.crop import region_box
from backend.synthesis.small.network import SmallNetwork

from .cache import FaceClip, for_choosing
from .config import LossWeights
from .losses import predict, stack_pairs
from .pairs import Pair, assemble, row_likelihoods


class Validation:
    """A fixed set of pairs of held-out clips, drawn once from the seed."""

    def __init__(self, clips: list[FaceClip], pairs_a_group: int, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        groups: dict[str, list[FaceClip]] = defaultdict(list)
        for clip in clips:
            if clip.validation:
                groups[clip.dataset].append(clip)
            elif for_choosing(clip):
                groups[f"{clip.dataset} (choosing)"].append(clip)
        self.pairs: list[tuple[str, Pair, NDArray[np.float32]]] = []
        for dataset, members in sorted(groups.items()):
            for _ in range(pairs_a_group):
                clip = members[draw.integers(len(members))]
                as_portrait, as_target = row_likelihoods(clip.points)
                start = int(draw.choice(len(clip.points), p=as_portrait))
                as_target[start] = 0  # a portrait driven by itself tells nothing
                goal = int(draw.choice(len(clip.points), p=as_target / as_target.sum()))
                place = (0, 0, 256, 256)
                pictures = np.asarray(clip.frames[start]), np.asarray(clip.frames[goal])
                pair = assemble(pictures[0], clip.points[start], pictures[1], clip.points[goal], None, clip.aus[goal], place, LossWeights())
                self.pairs.append((dataset, pair, region_box(clip.points[goal], ("lips_outer",), 0.25)))

    def measure(self, network: SmallNetwork, device: str = "cpu") -> dict[str, dict[str, float]]:
        """Per data set: mean PSNR of the warp in crop and mouth box, and the gain over it of the network, which lies on ``device``."""
        rows: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
        noise = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)).to(device)
        for dataset, pair, box in self.pairs:
            batch = stack_pairs([pair], device)
            with torch.no_grad():
                result = predict(network, batch, batch.previous, noise, torch.ones(1))
            target, warped, picture = (part[0].clamp(-1, 1).cpu().numpy() for part in (batch.target, result.first, result.picture))
            rows[dataset].append((*_psnr_pair(warped, target, box), *_psnr_pair(picture, target, box)))
        report = {}
        for dataset, values in rows.items():
            crop, mouth, crop_after, mouth_after = np.mean(values, axis=0)
            gains = {"crop_gain": crop_after - crop, "mouth_gain": mouth_after - mouth}
            report[dataset] = {"crop_warp": float(crop), "mouth_warp": float(mouth), **{key: float(value) for key, value in gains.items()}}
        return report


def _psnr_pair(picture: NDArray[np.float32], target: NDArray[np.float32], box: NDArray[np.float32]) -> tuple[float, float]:
    side = picture.shape[-1]
    left, top, right, bottom = np.clip(np.rint(box * side).astype(int), 0, side)
    mouth = np.s_[:, top:bottom, left:right]
    return _psnr(picture, target), _psnr(picture[mouth], target[mouth])


def _psnr(picture: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    return float(10 * np.log10(4 / max(float(np.square(picture - target).mean()), 1e-10)))
