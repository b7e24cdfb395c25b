# SPDX-License-Identifier: GPL-3.0-or-later
"""The warp of ``warp.py`` for many faces at once, on the device that holds them.

The same spline, the same smoothing of folds and the same fading as ``landmark_warp``; a test holds the two together. The points that lead
the spline are few and are found on the processor (``SplinePoints.of``); systems of some 250 unknowns are solved in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .conditions import DISPLACEMENT_SCALE
from .device_blur import blurred
from .device_skin import skin_corrections
from .skin import skin_pairs
from .warp import (
    FADE,
    GRID,
    LARGEST_DETERMINANT,
    LARGEST_FOLDED_SHARE,
    LETTING_GO,
    REGULARISATION,
    SMALLEST_DETERMINANT,
    anchors,
    led_points,
)

MOST_POINTS = 232  # landmarks 162, creases 10, hair at most 36, chest 18, and some room
_FADES, _SMOOTHINGS = 8, 3
_SMALLEST_AREA = 0.02


@dataclass(frozen=True)
class SplinePoints:
    """What the warps of n faces need: ``portrait`` and ``frame`` (n, 162, 2); ``starts`` (portrait), ``goals`` (frame)
    (n, MOST_POINTS, 2), ``softness`` and ``used`` (n, MOST_POINTS), rows beyond a face's own points unused; ``skin_starts`` and
    ``skin_goals`` (n, 316, 2), see ``skin_pairs``. Crop coordinates."""

    portrait: Tensor
    frame: Tensor
    starts: Tensor
    goals: Tensor
    softness: Tensor
    used: Tensor
    skin_starts: Tensor
    skin_goals: Tensor

    @classmethod
    def of(cls, pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> SplinePoints:
        """From pairs of landmarks (162, 2) of portrait and frame, as ``landmark_warp(..., led=True)`` takes them."""
        count = len(pairs)
        starts, goals = np.zeros((count, MOST_POINTS, 2), np.float32), np.zeros((count, MOST_POINTS, 2), np.float32)
        softness, used = np.zeros((count, MOST_POINTS), np.float32), np.zeros((count, MOST_POINTS), np.float32)
        for row, (portrait, frame) in enumerate(pairs):
            first, second, soft = led_points(portrait, frame)
            own = slice(0, len(first))
            starts[row, own], goals[row, own], softness[row, own], used[row, own] = first, second, soft, 1
        both = (np.stack([np.asarray(pair[side], np.float32) for pair in pairs]) for side in (0, 1))
        skin = (np.stack(points) for points in zip(*(skin_pairs(*pair) for pair in pairs), strict=True))
        return cls(*(torch.from_numpy(values) for values in (*both, starts, goals, softness, used, *skin)))

    def to(self, device: str | torch.device, non_blocking: bool = False) -> SplinePoints:
        """The same on another device, as ``Tensor.to`` does it."""
        return SplinePoints(*(value.to(device, non_blocking=non_blocking) for value in vars(self).values()))


def node_places(places: Tensor, rows: int, columns: int) -> Tensor:
    """(n, rows, columns, 2) centres of the nodes of windows whose first node is ``places`` (n, 2), row and column."""
    y = (places[:, :1] + torch.arange(rows, device=places.device) + 0.5) / GRID
    x = (places[:, 1:] + torch.arange(columns, device=places.device) + 0.5) / GRID
    return torch.stack([x[:, None, :].expand(-1, rows, -1), y[:, :, None].expand(-1, -1, columns)], -1).float()


def landmark_warps(points: SplinePoints, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Fields (n, 2, rows, columns), portrait place minus frame place, and determinants (n, 1, rows, columns) at ``nodes``
    (n, rows, columns, 2), crop coordinates; float32."""
    rigid = similarity_displacements(_similarities(points.frame, points.portrait), nodes)
    centres, weights = _spline_weights(points)
    missed = skin_corrections(
        points.skin_starts, points.skin_goals, points.frame, lambda places: spline_displacements(centres, weights, places), GRID
    )
    spline = spline_displacements(centres, weights, nodes) + _at_nodes(missed, nodes)
    field, determinant, _ = faded_warps(rigid, spline)
    return field, determinant


def _at_nodes(values: Tensor, nodes: Tensor) -> Tensor:
    """(n, rows, columns, c) of values (n, GRID, GRID, c) at ``nodes`` (n, rows, columns, 2), some of the whole crop's."""
    spots = (nodes * GRID).long()
    return values[torch.arange(len(values), device=values.device)[:, None, None], spots[..., 1], spots[..., 0]]


def faded_warps(rigid: Tensor, spline: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fields and determinants as ``landmark_warps`` gives them, and the share of the motion kept (n,), see ``Warp``; from displacements
    (n, rows, columns, 2) of the similarity and of the spline."""
    bend = spline - rigid
    kept = torch.ones(len(bend), 1, 1, 1, device=bend.device)
    for _ in range(_FADES):
        field, determinant = _unfolded((rigid + kept * bend).permute(0, 3, 1, 2))
        folded = (determinant < 0).float().mean((1, 2, 3), keepdim=True) > LARGEST_FOLDED_SHARE
        if not bool(folded.any()):
            break
        kept = torch.where(folded, kept * FADE, kept)
    return field, determinant, kept.flatten()


def geometry_stacks(field: Tensor, determinant: Tensor) -> Tensor:
    """(n, 3, rows, columns) as ``geometry_stack`` makes it of one warp."""
    area = determinant.clamp(_SMALLEST_AREA, 1 / _SMALLEST_AREA)
    return torch.cat([field * DISPLACEMENT_SCALE, area.log() / 4], 1)


def _spline_weights(points: SplinePoints) -> tuple[Tensor, Tensor]:
    """Centres (n, k, 2) and weights (n, k + 3, 2) of the thin-plate splines through all points and the still border."""
    device, count = points.goals.device, len(points.goals)
    border = torch.from_numpy(anchors()).to(device).expand(count, -1, -1)
    centres = torch.cat([points.goals, border], 1).double()
    values = torch.cat([points.starts - points.goals, torch.zeros_like(border)], 1).double()
    used = torch.cat([points.used, torch.ones_like(border[..., 0])], 1).double()
    softness = torch.cat([points.softness, torch.zeros_like(border[..., 0])], 1).double()
    diagonal = REGULARISATION * (LETTING_GO / REGULARISATION) ** softness
    known, size = centres.shape[1], centres.shape[1] + 3
    affine = torch.cat([torch.ones_like(used)[..., None], centres - 0.5], -1) * used[..., None]
    system = torch.zeros(count, size, size, dtype=torch.float64, device=device)
    # A point that is not used has an equation of its own, which makes its weight 0.
    own = torch.diag_embed(diagonal * used + (1 - used))
    system[:, :known, :known] = _kernel(_squared_distances(centres, centres)) * used[:, :, None] * used[:, None, :] + own
    system[:, :known, known:], system[:, known:, :known] = affine, affine.transpose(1, 2)
    wanted = torch.cat([values * used[..., None], values.new_zeros(count, 3, 2)], 1)
    return centres.float(), torch.linalg.solve(system, wanted).float()


def spline_displacements(centres: Tensor, weights: Tensor, nodes: Tensor) -> Tensor:
    """(n, rows, columns, 2) float32 at ``nodes`` of splines with ``centres`` (n, k, 2) and ``weights`` (n, k + 3, 2), see
    ``spline_weights``; worked out in their precision."""
    known, flat = centres.shape[1], nodes.flatten(1, 2).to(centres.dtype)
    bent = _kernel(_squared_distances(flat, centres)) @ weights[:, :known]
    return (bent + weights[:, known : known + 1] + (flat - 0.5) @ weights[:, known + 1 :]).view_as(nodes).float()


def _squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """(n, a, b) by differences: a matrix product on a graphics card would round too coarsely."""
    across = first[:, :, None, 0] - second[:, None, :, 0]
    down = first[:, :, None, 1] - second[:, None, :, 1]
    return across.square_().addcmul_(down, down)


def _kernel(squared: Tensor) -> Tensor:
    """r^2 log r from r^2."""
    squared = squared.clamp_(min=1e-12)
    return squared.log().mul_(squared).mul_(0.5)


def _similarities(source: Tensor, target: Tensor) -> Tensor:
    """(n, 4, 2) the best rotations, scales and shifts, as ``similarity`` gives one."""
    middle_source, middle_target = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    a, b = source - middle_source, target - middle_target
    norm = a.square().sum((1, 2)).clamp(min=1e-9)
    cosine = (a * b).sum((1, 2)) / norm
    sine = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(1) / norm
    matrix = torch.stack([cosine, sine, -sine, cosine], 1).view(-1, 2, 2)
    return torch.cat([matrix, middle_source, middle_target], 1)


def similarity_displacements(motions: Tensor, nodes: Tensor) -> Tensor:
    """(n, rows, columns, 2) of ``motions`` (n, 4, 2), fading to nothing at the border."""
    first, second, middle_source, middle_target = motions[:, :, None, None].unbind(1)
    x, y = (nodes - middle_source).split(1, -1)
    moved = x * first + y * second + middle_target - nodes
    border = (torch.minimum(nodes, 1 - nodes).amin(-1, keepdim=True) * 5).clamp(max=1)
    return moved * border


def _determinant(field: Tensor) -> Tensor:
    down, across = torch.gradient(field, spacing=1 / GRID, dim=(2, 3))
    return (1 + across[:, :1]) * (1 + down[:, 1:]) - across[:, 1:] * down[:, :1]


def _unfolded(field: Tensor) -> tuple[Tensor, Tensor]:
    """The fields with their folds smoothed out, and the determinants."""
    determinant = _determinant(field)
    for _ in range(_SMOOTHINGS):
        bad = ((determinant < SMALLEST_DETERMINANT) | (determinant > LARGEST_DETERMINANT)).float()
        near = blurred(functional.max_pool2d(bad, 3, 1, 1))
        field = torch.lerp(field, blurred(field), near)
        determinant = _determinant(field)
    return field, determinant
