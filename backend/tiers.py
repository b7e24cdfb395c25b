# SPDX-License-Identifier: GPL-3.0-or-later
"""The renderers behind one door: which tiers there are, whether their settings are possible, and a shot's frames from any of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.shot import RenderSettings, Shot, Track

from .portrait.cache import load_portrait
from .tracks import check_portrait

TIERS = ("small", "sd15")
_MOST_STEPS = 16
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Synthesis:
    """The portrait (height, width, 3) uint8, its frames as they are made, and what is worth telling, which may grow meanwhile."""

    portrait: Picture
    frames: Iterator[Picture]
    notes: list[str] = field(default_factory=list)


def check_render_settings(settings: RenderSettings) -> None:
    """Raises Fault ``tier-unknown``, ``steps-range`` or ``crop-size``; for the tier sd15, those of its presets and weights."""
    if settings.tier not in TIERS:
        raise Fault("tier-unknown", f"There is no tier {settings.tier!r}.", f"Choose {' or '.join(TIERS)}.")
    if settings.tier == "sd15":
        from .synthesis.sd15 import tier

        tier.check(settings)
        return
    if not 1 <= settings.steps <= _MOST_STEPS:
        raise Fault(
            "steps-range",
            f"{settings.steps} diffusion steps are not possible.",
            f"Use 1 (draft), 2 (standard), 4 (best), at most {_MOST_STEPS}.",
        )
    if settings.crop_size not in (256, 512):
        raise Fault("crop-size", f"A face crop of {settings.crop_size} pixels is not possible.", "Use 256 or 512.")


def start_synthesis(
    shot: Shot,
    track: Track,
    first: int,
    end: int,
    fraction: Callable[[float], None] | None = None,
    look: Callable[[Picture], None] | None = None,
) -> Synthesis:
    """The rows ``first`` to ``end`` of the track, made as they are asked for.

    ``fraction`` is told the share of the work done between frames, by tiers that take long for one, and may raise to stop;
    ``look`` gets their unfinished pictures. Raises the faults of the settings, the portrait and the weights.
    """
    settings = shot.render
    check_render_settings(settings)
    image, face = load_portrait(shot.portrait)
    # A rig that was fitted by hand may rightly stand elsewhere than the face that was found.
    check_portrait(track, face.size, face.landmarks if shot.portrait_landmarks is None else shot.portrait_landmarks)
    if settings.tier == "sd15":
        from .synthesis.sd15 import tier

        rendering = tier.Rendering(tier.outlook(settings, shot.seed))
        rendering.notes.extend([rendering.outlook.sentence, *rendering.outlook.remarks])
        frames = tier.render_rows(
            image,
            track.portrait_landmarks,
            track.landmarks,
            rendering,
            first_frame=first,
            frame_count=end - first,
            fraction=fraction,
            look=look,
            hearing=tier.Hearing(shot.voice, track.fps),
        )
        return Synthesis(image, frames, rendering.notes)
    from .synthesis.small.held_back import HeldBack
    from .synthesis.small.render import render_frames

    held_back, notes = HeldBack(), list[str]()
    choices: dict[str, Any] = {"steps": settings.steps, "size": settings.crop_size, "seed": shot.seed, "held_back": held_back}
    images = render_frames(
        image, track.portrait_landmarks, track.landmarks, track.aus, first_frame=first, frame_count=end - first, **choices
    )
    return Synthesis(image, held_back.telling(iter(images), notes), notes)


def steps_of(settings: RenderSettings) -> int:
    """Diffusion steps that a render takes."""
    if settings.tier == "sd15":
        from .synthesis.sd15 import tier

        return tier.outlook(settings).settings.steps
    return settings.steps


def free() -> None:
    """Lets go of all tiers' networks; imports nothing for it."""
    runtime = sys.modules.get("backend.synthesis.small.runtime")
    if runtime is not None:
        runtime.default_runtime.cache_clear()
    sd15 = sys.modules.get("backend.synthesis.sd15.tier")
    if sd15 is not None:
        sd15.free()
