# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a person's teeth and tongue sit and how bright they are.

As the parts come, the upper teeth hide behind the upper lip even in a wide-open mouth and the lower ones fill it; in people it
is the other way round. Arches and tongue are therefore moved, by amounts that differ from person to person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_COUNT, AU_INDEX

Float = NDArray[np.float32]
Colour = tuple[float, float, float]

_FOLLOWS_JAW = 0.065  # decimetres; where a full AU26 moves the teeth further, they belong to the lower arch
# Decimetres down (negative) and back (negative). Lower arches and tongues further down would pierce the chin.
_UPPER_DOWN, _LOWER_DOWN = (-0.13, -0.055), (-0.09, -0.02)
_UPPER_BACK, _LOWER_BACK = (-0.02, 0.015), (-0.04, 0.0)
_TONGUE_DOWN, _TONGUE_BACK = (-0.05, 0.0), (-0.16, 0.0)


@dataclass(frozen=True)
class Dentition:
    """Shifts (3,) in decimetres along the head's own axes (left, up, forward), and colours that multiply the textures."""

    upper: Colour = (0.0, 0.0, 0.0)
    lower: Colour = (0.0, 0.0, 0.0)
    tongue: Colour = (0.0, 0.0, 0.0)
    teeth_tint: Colour = (1.0, 1.0, 1.0)
    tongue_tint: Colour = (1.0, 1.0, 1.0)


def draw_dentition(seed: int) -> Dentition:
    """The dentition that belongs to ``seed``: upper incisors below the resting lip, lower ones about the lower lip's edge."""
    random = np.random.default_rng([seed, 0x7EE7])

    def shift(down: tuple[float, float], back: tuple[float, float]) -> Colour:
        return 0.0, float(random.uniform(*down)), float(random.uniform(*back))

    upper, lower, tongue = shift(_UPPER_DOWN, _UPPER_BACK), shift(_LOWER_DOWN, _LOWER_BACK), shift(_TONGUE_DOWN, _TONGUE_BACK)
    bright, yellow, deep = float(random.uniform(1.1, 2.0)), float(random.uniform(0.1, 0.45)), float(random.uniform(0.3, 1.0))
    teeth = (bright, bright * (1 - 0.35 * yellow), bright * (1 - yellow))
    return Dentition(upper, lower, tongue, teeth, (deep, deep * float(random.uniform(0.75, 1.0)), deep * float(random.uniform(0.75, 1.0))))


def fully_open() -> Float:
    """(18,) AUs of a dropped jaw."""
    aus = np.zeros(AU_COUNT, np.float32)
    aus[AU_INDEX["AU26"]] = 5.0
    return aus


def arch_shifts(shut: Float, dropped: Float, dentition: Dentition) -> Float:
    """(n, 3) shift of each tooth vertex, from the teeth with the jaw up and with it dropped (n, 3)."""
    lower = np.linalg.norm(dropped - shut, axis=1) > _FOLLOWS_JAW
    return np.where(lower[:, None], np.array(dentition.lower, np.float32), np.array(dentition.upper, np.float32))


def head_rotation(rest: Float, posed: Float) -> Float:
    """(3, 3) rotation that turns the rigid points ``rest`` (n, 3) onto ``posed`` (Kabsch 1976)."""
    first, second = rest - rest.mean(0), posed - posed.mean(0)
    left, _, right = np.linalg.svd(first.T @ second)
    turn = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(left @ right)))])
    return np.asarray((left @ turn @ right).T, np.float32)
