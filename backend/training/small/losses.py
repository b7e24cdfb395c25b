# SPDX-License-Identifier: GPL-3.0-or-later
"""The network's forward pass on a batch of pairs, and the terms of its loss."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.synthesis.small.network import LARGEST_RESIDUAL_FLOW, SmallNetwork

from .config import LossWeights
from .pairs import Pair

_PICTURE = 256
_LEAST_AND_MOST = (0.4, 4.0)  # weight of a pair
_SOFT = 1e-3  # of the Charbonnier loss: quadratic below, absolute above


@dataclass
class Batch:
    """Pairs of one window size, stacked; see ``Pair``. ``base``: (n, w, w, 2) the pixels' own places, crop coordinates."""

    portrait: Tensor
    portrait_window: Tensor
    target: Tensor
    raster: Tensor
    previous: Tensor
    field: Tensor
    geometry: Tensor
    aus: Tensor
    importance: Tensor
    beside: Tensor
    points: Tensor
    held: Tensor
    base: Tensor


@dataclass
class Prediction:
    """``picture``: what the denoiser says; ``warped``: the portrait under spline and residual flow; ``first``: under the spline.

    ``flow`` and ``paint``, which the denoiser adds: as the network gives them, also where they are held still and not shown."""

    picture: Tensor
    warped: Tensor
    first: Tensor
    mask: Tensor
    flow: Tensor
    paint: Tensor


def stack_pairs(pairs: list[Pair], device: str = "cpu") -> Batch:
    """The pairs as tensors on a device."""

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(getattr(pair, name), np.float32) for pair in pairs])).to(device)

    names = [field.name for field in fields(Batch) if field.name != "base"]
    base = torch.stack([pixel_places(pair.window) for pair in pairs]).to(device)
    return Batch(**{name: stacked(name) for name in names}, base=base)


def pixel_places(window: tuple[int, int, int, int]) -> Tensor:
    """(h, w, 2) crop coordinates of a window's pixel centres, x then y."""
    left, top, width, height = window
    x = (torch.arange(left, left + width) + 0.5) / _PICTURE
    y = (torch.arange(top, top + height) + 0.5) / _PICTURE
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def warp_portrait(portrait: Tensor, field: Tensor, base: Tensor) -> Tensor:
    """Portraits (n, 3, 256, 256) seen through backward fields (n, 2, g, g) at the places ``base`` (n, w, w, 2)."""
    dense = functional.interpolate(field, size=base.shape[1:3], mode="bilinear", align_corners=False)
    grid = (base + dense.permute(0, 2, 3, 1)) * 2 - 1
    return functional.grid_sample(portrait, grid, mode="bilinear", padding_mode="border", align_corners=False)


def predict(network: SmallNetwork, batch: Batch, previous: Tensor, noise: Tensor, time: Tensor) -> Prediction:
    """One trunk call and the denoiser at ``time`` (n,), in processor memory. ``previous``: (n, 3, w, w), all zero where there is none.

    Before a time below 1 the sampler has made a picture of its own, so the noisy picture is mixed from that and never from the
    target: a denoiser that has seen the truth shine through trusts its input too much.
    """
    late = bool((time < 1).any())  # asked before the times lie on a device, which would have to be waited for
    time = time.to(noise.device, non_blocking=True)
    first = warp_portrait(batch.portrait, batch.field, batch.base)
    given = (previous.abs().amax((1, 2, 3), keepdim=True) > 0).to(previous.dtype).expand(-1, 1, *previous.shape[2:])
    images = torch.cat([first, batch.portrait_window, batch.raster, previous, given], 1)
    images = images.contiguous(memory_format=torch.channels_last)
    with _precision(noise.device):
        fine, coarse, flow, mask = network.trunk(images, batch.geometry, batch.aus)
    flow, mask = flow.float(), mask.float()
    held = batch.held[:, None, None, None]
    face = functional.avg_pool2d(1 - batch.beside, network.config.patch)  # beside it no flow is asked for, see ``face_gates``
    used = flow * face * (1 - held)  # held, it is not shown either: nothing then speaks for it in the loss
    warped = warp_portrait(batch.portrait, batch.field + used, batch.base)
    noisy = noise
    if late:
        with torch.no_grad(), _precision(noise.device):
            own = network.denoiser(noise, warped, mask, fine, coarse, torch.ones_like(time))
        moment = time[:, None, None, None]
        noisy = (1 - moment) * own + moment * noise
    with _precision(noise.device):
        paint = network.denoiser(noisy, warped, mask, fine, coarse, time).float() - warped
    return Prediction(warped + paint * (1 - held * batch.beside), warped, first, mask, flow, paint)


def _precision(device: torch.device) -> torch.autocast:
    """bfloat16 within the network on graphics cards, float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def loss_terms(prediction: Prediction, batch: Batch, weights: LossWeights, share: float) -> dict[str, Tensor]:
    """Every term, already weighted; their sum is the loss. ``share``: how much of the run is done, 0..1."""
    importance, held = batch.importance, batch.held[:, None, None, None]
    if weights.even:
        importance = importance * evened(prediction.first, batch, weights.even)
    terms = {
        "colour": weights.colour * _distance(prediction.picture, batch.target, importance),
        "edges": weights.edges * _edge_distance(prediction.picture, batch.target, importance),
        "flow": weights.flow * _distance(prediction.warped, batch.target, importance),
        "held flow": weights.held_flow * (prediction.flow.abs() * held).mean() / LARGEST_RESIDUAL_FLOW,
        "held paint": weights.held_paint * (prediction.paint.abs() * held * batch.beside).mean(),
        "mask": weights.mask * share * prediction.mask.mean(),
    }
    if weights.square:
        terms["square"] = weights.square * ((prediction.picture - batch.target).square() * importance).mean()
    return terms


def evened(first: Tensor, batch: Batch, power: float) -> Tensor:
    """(n, 1, 1, 1) weights of the pairs by the error that the spline alone leaves: a face that hardly moves counts as one that talks.

    Without, what is lost on nearly still frames is nothing beside an opening mouth, and the network softens them.
    """
    with torch.no_grad():
        error = ((first - batch.target).abs() * batch.importance).mean((1, 2, 3), keepdim=True)
        return (error.mean() / error.clamp(min=1e-4)).pow(power).clamp(*_LEAST_AND_MOST)


def corrupted(previous: Tensor, first: Tensor, draw: torch.Generator) -> Tensor:
    """Previous frames made worse, as the network's own are: mixed with the warp, noise on top. Missing ones stay missing."""
    count = (previous.shape[0], 1, 1, 1)
    share = torch.rand(count, generator=draw).to(previous)
    strength = torch.rand(count, generator=draw).to(previous) * 0.15
    noise = torch.randn(previous.shape, generator=draw).to(previous)
    given = (previous.abs().amax((1, 2, 3), keepdim=True) > 0).to(previous)
    return given * (previous * (1 - share) + first * share + strength * noise)


def _distance(picture: Tensor, target: Tensor, importance: Tensor) -> Tensor:
    return (torch.sqrt((picture - target).square() + _SOFT**2) * importance).mean()


def _edge_distance(picture: Tensor, target: Tensor, importance: Tensor) -> Tensor:
    difference = picture - target
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * importance[..., 1:, :]
    across = (difference[..., 1:] - difference[..., :-1]).abs() * importance[..., 1:]
    return down.mean() + across.mean()
