# SPDX-License-Identifier: GPL-3.0-or-later
"""From a voice and Action Units to canonical motion: the generator as the rest of the program sees it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.motion.blink import blink_curve
from backend.motion.config import AU_COUNT, LANDMARK_COUNT
from backend.motion.controls import apply_controls, crisp
from backend.motion.resample import into_motion_rate, mask_into_motion_rate, motion_frame_count, out_of_motion_rate
from backend.motion.weights import load_model
from backend.speech.features import BANDS, COLUMN_RATE, FEATURES, silent_rows, speech_features
from bridge.facs import AU_INDEX, MAXIMUM_INTENSITY
from bridge.shot import MotionSettings

if TYPE_CHECKING:
    from torch import Tensor

    from backend.motion.model import Decoded, MotionModel

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int, str], None]

_BLINK = AU_INDEX["AU45"]
_LEAD = 16  # frames of silence laid before and after the shot, so that it starts and ends at rest
_CHUNK = 1200  # frames per pass: bounds the memory of long shots
_REMEMBERED_VOICES = 4
_TEMPERATURE = 0.7  # of the prior at full variation: warmer takes fall out of step with the voice


class MotionGenerator:
    """A loaded motion generator. It remembers the last voices it heard, so that an edit of AUs costs only the decoder."""

    def __init__(self, model: MotionModel) -> None:
        self.model = model
        self._heard: OrderedDict[str, Tensor] = OrderedDict()

    @classmethod
    def load(cls, path: Path | None = None) -> MotionGenerator:
        """From a weights file (the default one where None). Raises Faults ``weights-missing``, ``weights-mismatch``."""
        return cls(load_model(path))

    def forget(self) -> None:
        """Drops the remembered voices and frees their memory."""
        self._heard.clear()

    def generate(
        self,
        samples: FloatArray,
        frames: int,
        fps: Fraction,
        au_values: FloatArray,
        au_keyed: NDArray[np.bool_],
        seed: int,
        settings: MotionSettings,
        progress: Progress | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Motion and AUs of a shot.

        ``samples``: (n,) float32 mono at 16 kHz from the shot's first frame on; silence follows where it is shorter.
        ``au_values`` (frames, 18) 0..5 and ``au_keyed`` (frames, 18): commands at the scene's frames. Returns motion
        (frames, 162, 2) float32 in the canonical frame, of the reference face, and AUs (frames, 18) float32 0..5: keyed ones as
        commanded, free ones as the model fills them in. The same arguments give the same bits on one machine.
        """
        return self.from_rows(speech_features(samples), frames, fps, au_values, au_keyed, seed, settings, progress)

    def from_rows(
        self,
        rows: FloatArray,
        frames: int,
        fps: Fraction,
        au_values: FloatArray,
        au_keyed: NDArray[np.bool_],
        seed: int,
        settings: MotionSettings,
        progress: Progress | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """``generate`` from feature rows (n, FEATURES) at 25 a second."""
        count = motion_frame_count(frames, fps)
        voice = self._voice_rows(rows, count, settings.time_shift)
        keyed = mask_into_motion_rate(np.asarray(au_keyed, bool), fps)
        values = into_motion_rate(np.where(au_keyed, au_values, 0).astype(np.float32), fps) * keyed
        values, commanded = self._with_blinks(values, keyed, seed, settings)
        noise = self._noise(count, seed) * np.float32(_TEMPERATURE * settings.variation)
        motion, aus = self._run(voice, values / MAXIMUM_INTENSITY, commanded, noise, settings.au_strength, progress)
        motion = apply_controls(crisp(motion), settings)
        aus = np.where(commanded, values, np.clip(aus, 0, 1) * MAXIMUM_INTENSITY)
        shown = out_of_motion_rate(aus, frames, fps)
        return out_of_motion_rate(motion, frames, fps), np.where(au_keyed, au_values, shown).astype(np.float32)

    def _voice_rows(self, rows: FloatArray, count: int, time_shift: float) -> FloatArray:
        """Feature rows (count, FEATURES), later by ``time_shift`` seconds, silence where nothing lies."""
        columns = rows.reshape(-1, BANDS + 1)
        shift = round(time_shift * COLUMN_RATE)
        placed = silent_rows(count).reshape(-1, BANDS + 1)
        start, end = max(0, shift), min(len(placed), len(columns) + shift)
        if end > start:
            placed[start:end] = columns[start - shift : end - shift]
        return placed.reshape(count, FEATURES)

    def _with_blinks(
        self, values: FloatArray, keyed: NDArray[np.bool_], seed: int, settings: MotionSettings
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """AU45 is always a command to the model: the animator's where keyed, seeded blinks or open lids elsewhere."""
        values, keyed = values.copy(), keyed.copy()
        free = ~keyed[:, _BLINK]
        if settings.blinks and free.any():
            values[free, _BLINK] = blink_curve(len(values), settings.blinks_per_minute, seed, keyed[:, _BLINK])[free]
        keyed[:, _BLINK] = True
        return values, keyed

    def _noise(self, count: int, seed: int) -> FloatArray:
        """Standard normal draws of the seed for every latent frame, silence before and after included."""
        config = self.model.config
        steps = -(-(count + 2 * _LEAD) // config.latent_stride)
        return np.random.default_rng([seed & 0xFFFFFFFF, 1]).standard_normal((steps, config.latent_width)).astype(np.float32)

    def _run(
        self, voice: FloatArray, aus: FloatArray, keyed: NDArray[np.bool_], noise: FloatArray, strength: float, progress: Progress | None
    ) -> tuple[FloatArray, FloatArray]:
        """The network over the whole shot, in overlapping pieces where it is long."""
        stride = self.model.config.latent_stride
        total = len(voice)
        padded = -(-(total + 2 * _LEAD) // stride) * stride
        rows = silent_rows(padded)
        rows[_LEAD : _LEAD + total] = voice
        place = np.clip(np.arange(padded) - _LEAD, 0, total - 1)
        held, mask = aus[place], keyed[place]
        margin = -(-self.model.config.receptive_frames // stride) * stride
        motion = np.empty((padded, LANDMARK_COUNT, 2), np.float32)
        filled = np.empty((padded, AU_COUNT), np.float32)
        for start in range(0, padded, _CHUNK):
            end = min(start + _CHUNK, padded)
            first, last = max(0, start - margin), min(padded, end + margin)
            piece = slice(first, last)
            piece_motion, piece_aus = self._pass(rows[piece], held[piece], mask[piece], noise[first // stride : last // stride], strength)
            motion[start:end] = piece_motion[start - first : end - first]
            filled[start:end] = piece_aus[start - first : end - first]
            if progress is not None:
                progress(min(end, total), total, "motion")
        return motion[_LEAD : _LEAD + total], filled[_LEAD : _LEAD + total]

    def _pass(
        self, rows: FloatArray, aus: FloatArray, keyed: NDArray[np.bool_], noise: FloatArray, strength: float
    ) -> tuple[FloatArray, FloatArray]:
        """One pass of the network over one piece; guidance runs the free condition beside the keyed one."""
        import torch

        with torch.inference_mode():
            heard = self._hear(rows)
            values = torch.from_numpy(np.ascontiguousarray(aus))[None]
            mask = torch.from_numpy(keyed.astype(np.float32))[None]
            drawn = torch.from_numpy(np.ascontiguousarray(noise.T))[None]
            result = self._decode(heard, values, mask, drawn)
            motion = result.motion
            if strength != 1.0 and keyed.any():
                free = mask.clone()
                free[..., [index for index in range(AU_COUNT) if index != _BLINK]] = 0
                plain = self._decode(heard, values, free, drawn).motion
                motion = plain + strength * (motion - plain)
            return motion[0].numpy().reshape(-1, LANDMARK_COUNT, 2), result.aus[0].numpy()

    def _decode(self, heard: Tensor, values: Tensor, mask: Tensor, noise: Tensor) -> Decoded:
        condition = self.model.with_aus(heard, values, mask)
        z = self.model.draw(condition, noise) if self.model.config.latent_width else None
        return self.model.decode(z, condition, values, mask)

    def _hear(self, rows: FloatArray) -> Tensor:
        """The voice half of the condition, remembered by content for the last few pieces."""
        import torch

        key = hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).hexdigest()
        if key not in self._heard:
            self._heard[key] = self.model.hear(torch.from_numpy(np.ascontiguousarray(rows))[None])
            while len(self._heard) > _REMEMBERED_VOICES:
                self._heard.popitem(last=False)
        self._heard.move_to_end(key)
        return self._heard[key]
