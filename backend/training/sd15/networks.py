# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks as they are trained: all in one module, the trained weights switched on by step, and where they start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from backend.synthesis.sd15 import keys
from backend.synthesis.sd15.models import Models
from backend.synthesis.sd15.reference import write_bank
from bridge.faults import Fault

_LAST_LEVEL = "up_blocks.3"  # of the reference network: nothing reads what it puts out


class Trainee(nn.Module):
    """Denoiser, reference network and landmark network; the base parts stay outside, frozen."""

    def __init__(self, models: Models, step: int) -> None:
        super().__init__()
        assert models.reference_unet is not None
        self.denoiser, self.reference, self.pose = models.denoising_unet, models.reference_unet, models.pose_guider
        self.family, self.step = models.family, step
        for module in (self.denoiser, self.reference, self.pose):
            module.float().requires_grad_(False)
        for name, weight in self.named_parameters():
            weight.requires_grad_(is_trained(name, step))
        if step == 1:
            _skip_motion(self.denoiser)

    def train(self, mode: bool = True) -> Trainee:
        """Only what is trained is in training mode: frozen normalisations keep their statistics."""
        super().train(mode)
        for module in (self.denoiser, self.reference, self.pose):
            module.train(mode and any(weight.requires_grad for weight in module.parameters()))
        return self

    def forward(
        self, noisy: Tensor, timesteps: Tensor, drawings: Tensor, portrait_latents: Tensor, tokens: Tensor, conditional: bool
    ) -> Tensor:
        """The predicted velocity (b, 4, frames, h, w).

        ``noisy``: (b, 4, frames, h, w). ``timesteps``: (b,). ``drawings``: (b frames, 3, s, s) as the landmark network wants them.
        ``portrait_latents``: (b, 4, h, w). ``tokens``: (b, n, width). ``conditional``: False leaves the portrait out.
        """
        maps = self.pose(drawings)
        pose = list(maps) if isinstance(maps, (list, tuple)) else [maps]
        if not conditional:
            return self.denoiser(noisy, timesteps, torch.zeros_like(tokens), pose, None)
        bank = write_bank(self.reference, portrait_latents, tokens if self.family == "aniportrait" else None)
        return self.denoiser(noisy, timesteps, tokens, pose, bank)

    def trained(self) -> dict[str, nn.Parameter]:
        """The weights that change, by name."""
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}


def is_trained(name: str, step: int) -> bool:
    """Whether a weight of the trainee changes in a step of the recipe."""
    motion = ".motion_modules." in name
    if step == 2:
        return motion
    return not motion and not name.startswith(f"reference.{_LAST_LEVEL}")


def _skip_motion(denoiser: nn.Module) -> None:
    """Step 1 knows single pictures only: the motion modules hand on what they get."""
    for module in denoiser.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            module.forward = _handed_on  # type: ignore[method-assign]


def _handed_on(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    return hidden_states


def restore_motion(models: Models) -> None:
    """Undoes what step 1 did to the motion modules."""
    for module in models.denoising_unet.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            module.__dict__.pop("forward", None)


def start_from_stable_diffusion(models: Models, unet_folder: Path) -> None:
    """Gives both U-Nets the weights of Stable Diffusion 1.5's; motion modules start as doing nothing. Raises Fault ``weights-missing``."""
    from diffusers import UNet2DConditionModel

    try:
        base = UNet2DConditionModel.from_pretrained(str(unet_folder), local_files_only=True).state_dict()
    except (OSError, ValueError) as error:
        raise Fault(
            "weights-missing", f"{unet_folder} holds no Stable Diffusion 1.5 U-Net ({error}).", "Name its folder `unet`."
        ) from error
    assert models.reference_unet is not None
    models.denoising_unet.load_state_dict({f"{keys.DENOISER_PREFIX}{name}": value for name, value in base.items()}, strict=False)
    known = models.reference_unet.state_dict()
    models.reference_unet.load_state_dict({name: value for name, value in base.items() if name in known}, strict=False)
    for module in models.denoising_unet.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)
