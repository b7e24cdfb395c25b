# SPDX-License-Identifier: GPL-3.0-or-later
"""The ranges of the prediction's settings, one place for panel, command line and backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .faults import Fault
from .shot import MotionSettings


class Knob(NamedTuple):
    """Lowest and highest value of a number in ``MotionSettings``, and what it does."""

    lowest: float
    highest: float
    meaning: str


KNOBS: dict[str, Knob] = {
    "au_strength": Knob(0.0, 2.0, "how strongly keyed Action Units act"),
    "lip_strength": Knob(0.0, 2.0, "scale of what the voice does to lips and jaw; keyed Action Units keep their own size"),
    "upper_smoothing": Knob(0.0, 1.0, "smoothing of brows and lids"),
    "lower_smoothing": Knob(0.0, 1.0, "smoothing of lips and jaw"),
    "lip_offset": Knob(-0.2, 0.2, "opens the lips at all times, in eye-corner distances"),
    "lid_offset": Knob(-0.1, 0.1, "opens the eyes at all times, in eye-corner distances"),
    "idle_head": Knob(0.0, 1.0, "amount of quiet head motion where the head pose is free"),
    "blinks_per_minute": Knob(0.0, 60.0, "rate of the blinks that are filled in"),
    "variation": Knob(0.0, 1.0, "how much seeds differ"),
    "time_shift": Knob(-1.0, 1.0, "seconds by which the lips come later"),
}


def _plain(name: str) -> str:
    return name.replace("_", " ").capitalize()


def check_settings(settings: MotionSettings, called: Callable[[str], str] = _plain) -> None:
    """Raises Fault ``setting-range`` for the first setting outside its range. ``called``: how a setting is named to the user."""
    for name, knob in KNOBS.items():
        value = getattr(settings, name)
        if not knob.lowest - 1e-6 <= value <= knob.highest + 1e-6:  # a slider's float32 may lie a hair outside
            raise Fault(
                "setting-range",
                f"{called(name)} is {value:g}; it runs from {knob.lowest:g} to {knob.highest:g}.",
                "Choose a value in that range.",
            )
