# SPDX-License-Identifier: GPL-3.0-or-later
"""From drawings of landmarks to pictures, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bridge.faults import Fault

from . import windows
from .attention import Projected, Reference
from .config import LATENT_SCALE
from .drawing import DRAWINGS
from .images import decoded_unit, to_pictures, to_signed, to_unit
from .models import Models
from .noise import FrameNoise, frame_noise, window_noise
from .reference import TOKENS
from .schedulers import Sampling
from .settings import Sd15Settings

Picture = NDArray[np.uint8]
PoseSource = Callable[[int], Picture | Tensor]  # frame -> drawing, see pose_features
VoiceSource = Callable[[Sequence[int]], Tensor]  # frames -> what is heard round each of them, (frames, n, width)
Network = Callable[..., Tensor]
_POSE_BATCH = 8


@dataclass(frozen=True)
class Step:
    """What a callback is told after every evaluation of the network.

    ``step`` of ``steps`` in window ``place`` of ``places`` that this range needs; ``window``: which. ``x``: latents before the step,
    ``denoised``: the clean ones as predicted, (frames, 4, h, w); the names are those of k-diffusion's callbacks.
    """

    step: int
    steps: int
    place: int
    places: int
    window: windows.Window
    timestep: int
    x: Tensor
    denoised: Tensor
    decode: Callable[[Tensor], Picture]

    @property
    def done(self) -> float:
        """Share of all evaluations done, up to 1."""
        return (self.place * self.steps + self.step + 1) / (self.places * self.steps)

    def picture(self) -> Picture:
        """A look at the window's middle frame as predicted now, (size, size, 3) uint8."""
        return self.decode(self.denoised[len(self.denoised) // 2][None])[0]


Callback = Callable[[Step], None]


@dataclass(frozen=True)
class Film:
    """What is to be rendered: ``pose``, the drawing of each of ``count`` frames. ``noise``: in place of the seeded noise."""

    pose: PoseSource
    count: int
    noise: FrameNoise | None = None

    def drawing(self, frame: int) -> Picture | Tensor:
        """The drawing of a frame; beyond the shot, of its last one."""
        return self.pose(min(frame, self.count - 1))


@dataclass(frozen=True)
class _Done:
    """A finished window. ``velocities``: what it went by at every step, of its first and of its last frames, those that are shared."""

    latents: Tensor
    velocities: list[tuple[Tensor, Tensor]]


class Sd15Pipeline:
    """Renders frames with one set of models; keeps nothing of a shot but the bank and the windows that it still needs."""

    def __init__(self, models: Models, settings: Sd15Settings) -> None:
        """Raises Fault ``sd15-settings`` or ``sd15-window``."""
        self.models = models
        self.settings = settings.checked(models.config.motion_length)
        self.network: Network = models.denoising_unet  # may be replaced by a compiled form of itself
        self._reference: Projected | None = None
        self._tokens: Tensor | None = None
        self._voice: VoiceSource | None = None

    def use_bank(self, bank: Reference) -> None:
        """Takes the portrait's bank, as ``reference_bank`` made it; it is brought to the models' device and dtype."""
        placed = {name: tensor.to(self.models.device, self.models.dtype) for name, tensor in bank.items()}
        self._tokens = placed.pop(TOKENS, None)
        self._reference = self.models.denoising_unet.projected(placed)

    def use_voice(self, voice: VoiceSource | None) -> None:
        """Takes the voice of the whole shot for weights that listen to it (EchoMimic); a number beyond the shot means its last frame.

        None: nothing is heard, not even silence, as in the unconditional branch.
        """
        self._voice = voice

    def frames(self, film: Film, first: int = 0, end: int | None = None, callback: Callback | None = None) -> Iterator[Picture]:
        """Frames ``first`` to ``end`` (not included, all by default) of a film, (size, size, 3) uint8, as windows are done.

        A range gives what the whole would: it computes the windows of the whole that it needs. ``callback`` may raise to stop at once.
        ``use_bank`` comes first.
        """
        for latents in self.latents(film, first, end, callback):
            for start in range(0, len(latents), self.settings.decode_batch):
                yield from self.decode(latents[start : start + self.settings.decode_batch])

    def latents(self, film: Film, first: int = 0, end: int | None = None, callback: Callback | None = None) -> Iterator[Tensor]:
        """The same before decoding: (frames, 4, h, w) float32, every window's own frames in the range."""
        count = film.count
        end = count if end is None else end
        if not 0 <= first < end <= count:
            raise Fault("frame-invalid", f"The frames {first + 1} to {end} do not lie in a shot of {count}.", f"Choose from 1 to {count}.")
        plan = windows.plan(count, self.settings.window, self.settings.overlap)
        order = windows.needed(plan, first, end, self.settings.tied)
        kept: dict[int, _Done] = {}
        for window in windows.outputs(plan, first, end):
            near = windows.neighbours(plan, window, first, end, self.settings.tied)
            for number in (*near, window.number):
                if number not in kept:
                    around = {other: kept[other] for other in near} if number == window.number else {}
                    watch = _Watch(callback, order.index(number), len(order), plan[number], self.settings.steps, self.decode)
                    kept[number] = self._window(plan[number], film, around, watch)
            low, high = max(window.own_first, first), min(window.own_end, end)
            yield kept[window.number].latents[low - window.first : high - window.first]
            kept = {
                number: done for number, done in kept.items() if number > window.number or (number == window.number and number % 2 == 0)
            }

    def decode(self, latents: Tensor) -> Picture:
        """(n, size, size, 3) uint8 from clean latents (n, 4, h, w)."""
        return to_pictures(self.decode_unit(latents))

    @torch.inference_mode()
    def decode_unit(self, latents: Tensor) -> Tensor:
        """(n, 3, size, size) float32 0..1 from clean latents (n, 4, h, w)."""
        if self.settings.tiny_decoder and self.models.tiny_decoder is not None:
            # The small autoencoder was trained on latents as the denoiser sees them; the large one on unscaled ones.
            return decoded_unit(self.models.tiny_decoder.decode(latents.to(self.models.dtype)).sample)
        unscaled = latents / self.models.vae.config.scaling_factor
        return decoded_unit(self.models.vae.decode(unscaled.to(self.models.dtype)).sample)

    @torch.inference_mode()
    def pose_features(self, drawings: Sequence[Picture | Tensor]) -> list[Tensor]:
        """The pose network's maps of some drawings, (n, channels, h, w) each.

        Drawings are (size, size, 3) uint8, or (1, 3, size, size) tensors that are taken as they are.
        """
        convert = to_signed if DRAWINGS[self.models.family].signed else to_unit
        parts = []
        for start in range(0, len(drawings), _POSE_BATCH):
            some = drawings[start : start + _POSE_BATCH]
            pixels = torch.cat([drawing if isinstance(drawing, Tensor) else convert(drawing) for drawing in some])
            parts.append(self.models.pose_guider(pixels.to(self.models.device, self.models.dtype)))
        return [torch.cat(level) for level in zip(*parts)]

    @torch.inference_mode()
    def velocity(self, latents: Tensor, timestep: Tensor, frames: Sequence[int], pose: Sequence[Tensor]) -> tuple[Tensor | None, Tensor]:
        """(unconditional, conditional) prediction of the network for one window, (frames, 4, h, w) float32 each; None without guidance.

        ``latents``: (frames, 4, h, w) on the network's scale. ``frames``: their numbers, for the voice. ``pose``: see ``pose_features``.
        """
        if self._reference is None:
            raise RuntimeError("use_bank comes first")
        sample = latents.to(self.models.dtype).transpose(0, 1)[None]
        with_all = self._conditions(frames)
        if not self.settings.guided:
            return None, self._rows(self.network(sample, timestep, with_all, pose, self._reference))
        without = torch.zeros_like(with_all)
        # AniPortrait's unconditional branch still sees the landmarks, EchoMimic's does not.
        blank = list(pose) if self.models.family == "aniportrait" else [torch.zeros_like(level) for level in pose]
        if self.settings.split_guidance:
            unconditional = self.network(sample, timestep, without, blank, None)
            return self._rows(unconditional), self._rows(self.network(sample, timestep, with_all, pose, self._reference))
        both = [torch.cat(levels) for levels in zip(blank, pose)]
        rows = self.network(sample.repeat(2, 1, 1, 1, 1), timestep, torch.cat([without, with_all]), both, self._reference, 1)
        return self._rows(rows[:1]), self._rows(rows[1:])

    def _conditions(self, frames: Sequence[int]) -> Tensor:
        """Tokens of the denoiser's cross-attention: the portrait's embedding, or the voice around each frame."""
        if self._tokens is not None:
            return self._tokens
        if self._voice is None:
            width = self.models.config.cross_attention_dim
            return torch.zeros((1, 1, width), device=self.models.device, dtype=self.models.dtype)
        return self._voice(frames).to(self.models.device, self.models.dtype)

    @staticmethod
    def _rows(prediction: Tensor) -> Tensor:
        return prediction[0].transpose(0, 1).float()

    @torch.inference_mode()
    def _window(self, window: windows.Window, film: Film, around: dict[int, _Done], watch: _Watch) -> _Done:
        """Takes one window from noise to clean latents."""
        settings, frames = self.settings, list(range(window.first, window.end))
        pose = self.pose_features([film.drawing(frame) for frame in frames])
        sampling = Sampling(settings.scheduler, settings.steps, self.models.device, settings.seed)
        side = settings.size // LATENT_SCALE
        noise = film.noise or frame_noise(settings.seed)
        x = sampling.start(window_noise(noise, frames, side, side).to(self.models.device))
        velocities = []
        for step, timestep in enumerate(sampling.timesteps):
            unconditional, conditional = self.velocity(sampling.network_input(x, timestep), timestep, frames, pose)
            guided = conditional if unconditional is None else unconditional + settings.guidance * (conditional - unconditional)
            if settings.tied:
                _lean(guided, window, {number: done.velocities[step] for number, done in around.items()})
            later, denoised = sampling.step(guided, timestep, x, frames)
            watch(step, int(timestep), x, denoised)
            velocities.append(_ends(guided, settings.overlap))
            x = later
        if not settings.tied:
            _lean(x, window, {number: _ends(done.latents, settings.overlap) for number, done in around.items()})
        return _Done(x, velocities)


@dataclass(frozen=True)
class _Watch:
    """Tells a callback about the steps of one window."""

    callback: Callback | None
    place: int
    places: int
    window: windows.Window
    steps: int
    decode: Callable[[Tensor], Picture]

    def __call__(self, step: int, timestep: int, x: Tensor, denoised: Tensor) -> None:
        if self.callback is not None:
            self.callback(Step(step, self.steps, self.place, self.places, self.window, timestep, x, denoised, self.decode))


def _ends(tensor: Tensor, overlap: int) -> tuple[Tensor, Tensor]:
    """A window's first and last ``overlap`` frames."""
    return tensor[:overlap].clone(), tensor[len(tensor) - overlap :].clone()


def _lean(tensor: Tensor, window: windows.Window, around: dict[int, tuple[Tensor, Tensor]]) -> None:
    """Fades the frames that a window shares with its neighbours from one to the other, in place.

    ``tensor``: clean latents, or velocities at one step. Windows that share frames start from the same noise in them and every
    scheduler's step is linear in latents and velocity, so a fade of all the velocities is the same fade of the results.
    """
    for number, (first, last) in around.items():
        overlap = len(first)
        if not overlap:
            continue
        weights = torch.tensor(windows.fade(overlap), device=tensor.device, dtype=tensor.dtype).view(-1, 1, 1, 1)
        if number < window.number:
            tensor[:overlap] += weights * (last - tensor[:overlap])
        else:
            tensor[len(tensor) - overlap :] += weights.flip(0) * (first - tensor[len(tensor) - overlap :])
