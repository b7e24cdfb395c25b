# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as the networks want them: ranges, layouts, the image encoder's own normalisation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

ENCODER_SIDE = 224
# Means and deviations of CLIP's training pictures, red, green, blue (Radford et al., 2021).
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def to_signed(picture: NDArray[np.uint8]) -> Tensor:
    """(1, 3, h, w) float32 -1..1 from (h, w, 3) uint8."""
    return _channels_first(picture) * 2 - 1


def to_unit(picture: NDArray[np.uint8]) -> Tensor:
    """(1, 3, h, w) float32 0..1 from (h, w, 3) uint8."""
    return _channels_first(picture)


def decoded_unit(decoded: Tensor) -> Tensor:
    """(n, 3, h, w) float32 0..1 from a decoder's output, -1..1 and a little beyond."""
    return (decoded.float() / 2 + 0.5).clamp(0, 1)


def to_pictures(unit: Tensor) -> NDArray[np.uint8]:
    """(n, h, w, 3) uint8 from (n, 3, h, w) 0..1."""
    return np.asarray((unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def portrait_pixels(portrait: NDArray[np.uint8]) -> Tensor:
    """(1, 3, 224, 224) float32 for the image encoder from (h, w, 3) uint8."""
    small = Image.fromarray(portrait).resize((ENCODER_SIDE, ENCODER_SIDE), Image.Resampling.BICUBIC)
    mean, deviation = torch.tensor(_CLIP_MEAN).view(1, 3, 1, 1), torch.tensor(_CLIP_DEVIATION).view(1, 3, 1, 1)
    return (_channels_first(np.asarray(small)) - mean) / deviation


def _channels_first(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
