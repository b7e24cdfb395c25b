# SPDX-License-Identifier: GPL-3.0-or-later
"""Several frames of a shot at once on a graphics card: the way of ``CropRenderer`` and ``Paste`` with everything that touches pixels there.

Only what ``Prepared`` holds goes to the card, and only finished pixels of the crop's square come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .conditions import IMAGE_CHANNELS
from .device_paste import DevicePaste
from .device_pictures import carried, enlarged, on_device, planes, seen_through, signed
from .device_warp import faded_warps, geometry_stacks, similarity_displacements, spline_displacements
from .paste import Paste
from .prepared import Preparation, Prepared
from .runtime import TorchRuntime
from .sampler import shot_noise
from .warp import GRID, node_centres

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Given:
    """``Prepared`` frames on the device, one beside the other; ``raster``: (n, 3, s, s) 0..1, ``gates``: (n, 2, 64, 64), ``skin``:
    (n, 64, 64, 2)."""

    centres: Tensor
    weights: Tensor
    skin: Tensor
    motions: Tensor
    raster: Tensor
    gates: Tensor
    aus: Tensor


@dataclass(frozen=True)
class Seen:
    """What the trunk makes of the warped portraits: features for the denoiser, flow (n, 2, nodes, nodes), mask (n, 1, s, s)."""

    fine: Tensor
    coarse: Tensor
    flow: Tensor
    mask: Tensor


class Rendered:
    """Pixels of the crops of some frames, perhaps still being made."""

    def __init__(self, pixels: Tensor, kept: Tensor) -> None:
        """``pixels``: (n, rows, columns, 3) uint8; ``kept``: (n,), see ``Warp``; both on the device."""
        self._made = pixels, kept
        self._done = None
        if pixels.device.type == "cuda":
            self._made = tuple(torch.empty(values.shape, dtype=values.dtype, pin_memory=True) for values in (pixels, kept))
            for here, there in zip(self._made, (pixels, kept), strict=True):
                here.copy_(there, non_blocking=True)
            self._done = torch.cuda.Event()
            self._done.record()

    def fetched(self) -> tuple[NDArray[np.uint8], Array]:
        """Both in the machine's memory; waits until they are there."""
        if self._done is not None:
            self._done.synchronize()
        pixels, kept = self._made
        return pixels.cpu().numpy(), kept.cpu().numpy()


class DeviceRenderer:
    """Renders frames of one shot in chunks of any size; one thread at a time."""

    def __init__(
        self, portrait: NDArray[np.uint8], points: Array, paste: Paste, runtime: TorchRuntime, *, steps: int = 2, seed: int = 0
    ) -> None:
        """``portrait``: (256, 256, 3) uint8 crop; ``points``: (162, 2) crop coordinates."""
        self.runtime, self.steps, self.device, self.side = runtime, steps, runtime.device, portrait.shape[0]
        self.prepare = Preparation(portrait, points)
        with runtime.in_use():
            self.portrait = planes(portrait, self.device)
            self.noise = on_device(shot_noise(seed, self.side)[None], self.device)
            self.nodes = on_device(node_centres(0, 0, GRID, GRID)[None], self.device)
            self.paste = DevicePaste(paste, self.device)
            still = self.given([self.prepare(points, None)])
            self.mistake = self.seen(still, *self.warps(still)[:2]).flow  # see ``CropRenderer``

    def __call__(self, frames: Sequence[Prepared]) -> Rendered:
        """Starts to make the frames; nothing waits for them but the search for faces that fold."""
        with self.runtime.in_use():
            given = self.given(frames)
            field, determinant, kept = self.warps(given)
            seen = self.seen(given, field, determinant)
            field, warped = self.moved(given, field, seen)
            return Rendered(self.paste(field, warped, self.painted(frames, warped, seen)), kept)

    def given(self, frames: Sequence[Prepared]) -> Given:
        """The frames' numbers on the device."""
        names = ("centres", "weights", "skin", "motion", "raster", "gates", "aus")
        centres, weights, skin, motions, raster, gates, aus = (
            on_device(np.stack([getattr(frame, name) for frame in frames]), self.device) for name in names
        )
        return Given(centres, weights, skin, motions, raster.permute(0, 3, 1, 2).float() * (1 / 255), gates, aus)

    def warps(self, given: Given) -> tuple[Tensor, Tensor, Tensor]:
        """Fields (n, 2, nodes, nodes), determinants (n, 1, nodes, nodes) and the share of the motion kept (n,)."""
        nodes = self.nodes.expand(len(given.aus), -1, -1, -1)
        rigid = similarity_displacements(given.motions, nodes)
        return faded_warps(rigid, spline_displacements(given.centres, given.weights, nodes) + given.skin)

    def seen(self, given: Given, field: Tensor, determinant: Tensor) -> Seen:
        """The trunk's answer, the mask within the gate."""
        count = len(field)
        images = self.portrait.new_zeros(count, IMAGE_CHANNELS, self.side, self.side)
        images[:, 0:3] = signed(seen_through(self.portrait, field, self.side))
        images[:, 3:6] = signed(self.portrait)
        images[:, 6:9] = given.raster
        fine, coarse, flow, mask = self.runtime.trunk_batch(images, geometry_stacks(field, determinant), given.aus)
        return Seen(fine, coarse, flow, mask * enlarged(given.gates[:, :1], self.side))

    def moved(self, given: Given, field: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
        """The fields with the network's flow, and the portrait through them (n, 3, s, s) -1..1."""
        field = field + (seen.flow - carried(self.mistake, field, self.nodes)) * given.gates[:, 1:]
        return field, signed(seen_through(self.portrait, field, self.side))

    def painted(self, frames: Sequence[Prepared], warped: Tensor, seen: Seen) -> Tensor:
        """The network's pictures (n, 3, s, s) -1..1 with the interiors of mouths in them."""
        noise = self.noise.expand(len(warped), -1, -1, -1)
        pictures = self.runtime.sample_batch(noise, self.steps, warped, seen.mask, seen.fine, seen.coarse).clamp_(-1, 1)
        for picture, frame in zip(pictures, frames, strict=True):
            if frame.mouth is None:
                continue
            patch = on_device(np.concatenate([frame.mouth.weight, frame.mouth.colour]), self.device)
            place = picture[(slice(None), *frame.mouth.window)]
            place.copy_(place * (1 - patch[:1]) + patch[1:] * patch[:1])
        return pictures
