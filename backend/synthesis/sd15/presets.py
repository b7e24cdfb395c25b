# SPDX-License-Identifier: GPL-3.0-or-later
"""Draft, standard and best: what each of them means for each set of weights."""

from __future__ import annotations

from dataclasses import replace

from bridge.faults import Fault

from .settings import Sd15Settings

NAMES = ("draft", "standard", "best")
DEFAULT = "standard"
# The recipe that the weights were published with (25 steps, guidance 3.5, windows of 16 that overlap by 4, decoded one by one).
RELEASED = Sd15Settings(steps=25, guidance=3.5, window=16, overlap=4, tied=False)
_ANIPORTRAIT = {
    "draft": Sd15Settings(steps=5, guidance=1.0, window=24, overlap=4, tiny_decoder=True, decode_batch=8, tied=False),
    "standard": Sd15Settings(steps=12, guidance=3.5, window=24, overlap=4, decode_batch=4),
    "best": Sd15Settings(steps=25, guidance=3.5, window=16, overlap=4, decode_batch=4),
}
# EchoMimic's own recipes: 30 steps with guidance 2.5, or 6 steps without for the weights of few steps; windows of 12 that overlap by 3.
_ECHOMIMIC = {
    "draft": Sd15Settings(steps=5, guidance=1.0, window=24, overlap=4, tiny_decoder=True, decode_batch=8, tied=False),
    "standard": Sd15Settings(steps=15, guidance=2.5, window=24, overlap=4, decode_batch=4),
    "best": Sd15Settings(steps=30, guidance=2.5, window=12, overlap=3, decode_batch=4),
}
_FEW_STEPS = {
    "draft": Sd15Settings(steps=4, guidance=1.0, window=24, overlap=4, tiny_decoder=True, decode_batch=8, tied=False),
    "standard": Sd15Settings(steps=6, guidance=1.0, window=24, overlap=4, decode_batch=4),
    "best": Sd15Settings(steps=8, guidance=1.0, window=12, overlap=3, decode_batch=4),
}
PRESETS = {"aniportrait": _ANIPORTRAIT, "echomimic_pose": _ECHOMIMIC, "echomimic_pose_acc": _FEW_STEPS}
MOST_STEPS = 50


def settings_of(weights: str, preset: str, *, steps: int = 0, seed: int = 0) -> Sd15Settings:
    """The settings of a preset for a set of weights. ``steps``: more or fewer than the preset's, 0 for its own.

    Raises Fault ``preset-unknown`` or ``steps-range``.
    """
    check(preset, steps)
    chosen = PRESETS[weights][preset]
    return replace(chosen, steps=steps or chosen.steps, seed=seed)


def check(preset: str, steps: int = 0) -> None:
    """Raises Fault ``preset-unknown`` or ``steps-range``."""
    if preset not in NAMES:
        raise Fault("preset-unknown", f"There is no preset {preset!r}.", f"Choose {', '.join(NAMES)}.")
    if not 0 <= steps <= MOST_STEPS:
        sentence = f"{steps} diffusion steps are not possible with the tier sd15."
        raise Fault("steps-range", sentence, f"Leave it to the preset, or use 1 to {MOST_STEPS}.")
