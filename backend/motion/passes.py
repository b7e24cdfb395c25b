# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the network over a stretch of a shot, so that it gives there what one pass over the whole shot gives."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.motion.config import AU_COUNT, LANDMARK_COUNT
from backend.motion.noise import latent_noise
from bridge.facs import AU_INDEX

if TYPE_CHECKING:
    from torch import Tensor

    from backend.motion.model import Decoded, MotionModel

FloatArray = NDArray[np.float32]

LEAD = 16  # frames of silence laid before and after the shot, so that it starts and ends at rest
_REMEMBERED_BYTES = 48 * 2**20  # of heard voices: half an hour
_OTHERS = [index for index in range(AU_COUNT) if index != AU_INDEX["AU45"]]


@dataclass(frozen=True)
class Stretch:
    """Frames ``first`` to ``end`` at 25 a second, in the shot's own count, that go through the network together.

    It may begin up to ``LEAD`` frames before the shot and end as far after it; latent steps begin at its first frame.
    """

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


class Passes:
    """The network with its memory of the voices it heard, so that an edit of AUs costs only the decoder."""

    def __init__(self, model: MotionModel) -> None:
        self.model = model
        self._heard: OrderedDict[str, Tensor] = OrderedDict()

    def forget(self) -> None:
        """Drops the remembered voices and frees their memory."""
        self._heard.clear()

    @property
    def reach(self) -> int:
        """Frames on either side that can touch a frame, whole latent steps."""
        stride = self.model.config.latent_stride
        return -(-self.model.config.receptive_frames // stride) * stride

    def stretch(self, first: int, end: int, total: int) -> Stretch:
        """What must go through the network so that frames ``first`` to ``end`` of a shot of ``total`` come out as in the whole."""
        stride = self.model.config.latent_stride
        padded = -(-(total + 2 * LEAD) // stride) * stride
        low = max(0, (first + LEAD - self.reach) // stride * stride)
        high = min(padded, -(-(end + LEAD + self.reach) // stride) * stride)
        return Stretch(low - LEAD, high - LEAD)

    def noise(self, stretch: Stretch, seed: int) -> FloatArray:
        """The seed's draws for the latent steps of a stretch, (steps, latent width)."""
        config = self.model.config
        start = (stretch.first + LEAD) // config.latent_stride
        return latent_noise(start, start + len(stretch) // config.latent_stride, config.latent_width, seed)

    def run(
        self, rows: FloatArray, aus: FloatArray, keyed: NDArray[np.bool_], noise: FloatArray, strength: float
    ) -> tuple[FloatArray, FloatArray]:
        """One pass over a stretch: motion (frames, 162, 2) and the reading of all AUs (frames, 18), 0..1.

        ``rows`` (frames, features), ``aus`` (frames, 18) 0..1, ``keyed`` (frames, 18), ``noise`` (steps, latent width). Where
        ``strength`` is not 1, guidance runs the free condition beside the keyed one.
        """
        import torch

        with torch.inference_mode():
            heard = self._hear(rows)
            values = torch.from_numpy(np.ascontiguousarray(aus))[None]
            mask = torch.from_numpy(keyed.astype(np.float32))[None]
            drawn = torch.from_numpy(np.ascontiguousarray(noise.T))[None]
            result = self._decode(heard, values, mask, drawn)
            motion = result.motion
            if strength != 1.0 and keyed[:, _OTHERS].any():
                free = mask.clone()
                free[..., _OTHERS] = 0
                plain = self._decode(heard, values, free, drawn).motion
                motion = plain + strength * (motion - plain)
            return motion[0].numpy().reshape(-1, LANDMARK_COUNT, 2), result.aus[0].numpy()

    def _decode(self, heard: Tensor, values: Tensor, mask: Tensor, noise: Tensor) -> Decoded:
        condition = self.model.with_aus(heard, values, mask)
        z = self.model.draw(condition, noise) if self.model.config.latent_width else None
        return self.model.decode(z, condition, values, mask)

    def _hear(self, rows: FloatArray) -> Tensor:
        """The voice half of the condition, remembered by content."""
        import torch

        key = hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).hexdigest()
        if key not in self._heard:
            self._heard[key] = self.model.hear(torch.from_numpy(np.ascontiguousarray(rows))[None])
            while len(self._heard) > 1 and sum(heard.nbytes for heard in self._heard.values()) > _REMEMBERED_BYTES:
                self._heard.popitem(last=False)
        self._heard.move_to_end(key)
        return self._heard[key]
