# SPDX-License-Identifier: GPL-3.0-or-later
"""How a shot is sampled."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.faults import Fault

from . import windows
from .config import LATENT_SCALE

SCHEDULERS = ("ddim", "euler", "lcm", "tcd")


@dataclass(frozen=True)
class Sd15Settings:
    """``steps``: network evaluations a window. ``guidance``: 1 or less means none, at half the cost. ``scheduler``: "ddim" is what
    all published weights were made for, EchoMimic's ``_acc`` (6 steps, no guidance) too; "lcm" and "tcd" are for consistency-distilled
    weights. ``size``: side of the picture in pixels, a multiple of 64. ``window``, ``overlap``: frames. ``tied``: neighbouring windows
    agree over their shared frames at every step, not only at the end. ``tiny_decoder``: decode with the small autoencoder where there
    is one. ``decode_batch``: frames decoded at once. ``split_guidance``: the two halves of guidance one after the other, for less memory.
    """

    steps: int = 20
    guidance: float = 3.5
    scheduler: str = "ddim"
    size: int = 512
    window: int = 16
    overlap: int = 4
    tied: bool = True
    tiny_decoder: bool = False
    decode_batch: int = 1
    split_guidance: bool = False
    seed: int = 0

    @property
    def guided(self) -> bool:
        """Whether the unconditional prediction is needed."""
        return self.guidance > 1

    def checked(self, longest_window: int = 32) -> Sd15Settings:
        """Itself. Raises Fault ``sd15-settings`` or ``sd15-window``. ``longest_window``: what the motion modules know places for."""
        windows.check(self.window, self.overlap)
        known = ", ".join(SCHEDULERS)
        troubles = [
            (not 1 <= self.steps <= 100, f"{self.steps} diffusion steps are not possible", "Use 4 to 50 steps."),
            (self.scheduler not in SCHEDULERS, f"there is no scheduler {self.scheduler!r}", f"Choose {known}."),
            (
                self.size < 64 or self.size % (8 * LATENT_SCALE) != 0,
                f"a picture of {self.size} pixels is not possible",
                "Use a multiple of 64; the published weights were trained at 512.",
            ),
            (self.window > longest_window, f"these weights know windows of {longest_window} frames at most, not {self.window}", "Use 16."),
            (self.decode_batch < 1, "at least one frame has to be decoded at a time", "Use 1 or more."),
        ]
        for wrong, sentence, hint in troubles:
            if wrong:
                raise Fault("sd15-settings", f"{sentence[0].upper()}{sentence[1:]}.", hint)
        return self
