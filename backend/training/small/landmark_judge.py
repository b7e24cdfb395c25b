# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the landmarks that a landmarker finds on a rendered picture lie from those that it finds on the true one.

A painted turn or a stretched cheek may be near its target in colour and still read as another shape; pixels alone do not say so. Asked
with MediaPipe's network on both pictures, in one and the same square, so that what the landmarker itself is wrong about cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from bridge.landmarks import EYE_OUTER_LEFT, EYE_OUTER_RIGHT

from .face_mesh import SIDE, FaceMesh

_MARGIN = 1.5  # side of the square over the longer side of the landmarks' box, as MediaPipe cuts it
_SOFT = 1e-3  # eye distances; below it the distance is quadratic


class LandmarkJudge(nn.Module):
    """The distance of two batches of whole pictures. Frozen."""

    def __init__(self, model: Path) -> None:
        """``model``: MediaPipe's ``face_landmarker.task``."""
        super().__init__()
        self.mesh = FaceMesh(model)

    def forward(self, pictures: Sequence[Tensor], target: Tensor, points: Tensor) -> list[Tensor]:
        """Mean distance, in distances of the outer eye corners, of the landmarks found on each of ``pictures`` from those found on
        ``target``, (n, 3, s, s) -1..1.

        ``points``: (n, 162, 2) landmarks of the targets, crop coordinates.
        """
        grids, scale = face_squares(points)
        with torch.no_grad():
            wanted = self.mesh(_seen(target, grids))
        return [_distance((self.mesh(_seen(picture, grids)) - wanted) * scale[:, None, None]) for picture in pictures]


def face_squares(points: Tensor) -> tuple[Tensor, Tensor]:
    """Upright squares round landmarks (n, 162, 2) as grids (n, 256, 256, 2) for ``grid_sample``; their sides (n,) in eye distances."""
    least, most = points.amin(1), points.amax(1)
    side = _MARGIN * (most - least).amax(1)
    eyes = points[:, EYE_OUTER_LEFT] - points[:, EYE_OUTER_RIGHT]
    distance = eyes.norm(dim=1).clamp(min=1e-6)
    cosine, sine = (eyes / distance[:, None]).unbind(1)
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1) * side[:, None, None]
    corner = torch.cat([turn, ((least + most) / 2)[..., None]], 2)  # crop coordinates of an offset from the middle, sides of the square
    steps = (torch.arange(SIDE, device=points.device) + 0.5) / SIDE - 0.5
    across, down = torch.meshgrid(steps, steps, indexing="xy")
    offsets = torch.stack([across, down, torch.ones_like(across)], -1)
    return torch.einsum("nij,hwj->nhwi", corner, offsets) * 2 - 1, side / distance


def _seen(pictures: Tensor, grids: Tensor) -> Tensor:
    """Squares (n, 3, 256, 256) 0..1 of pictures -1..1."""
    return (functional.grid_sample(pictures, grids, mode="bilinear", padding_mode="border", align_corners=False) + 1) / 2


def _distance(apart: Tensor) -> Tensor:
    return ((apart.square().sum(-1) + _SOFT**2).sqrt() - _SOFT).mean()
