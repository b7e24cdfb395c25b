# SPDX-License-Identifier: GPL-3.0-or-later
"""The eighteen FACS Action Units that AUtter keys, predicts and renders.

The set is OpenFace's (seventeen intensities and AU28). Intensities run from 0 (absent) to 5 (maximum), FACS letters
A to E. Arrays of AUs are always ``(frames, 18)`` in the order of ``ACTION_UNITS``.
"""

from __future__ import annotations

from dataclasses import dataclass

MINIMUM_INTENSITY = 0.0
MAXIMUM_INTENSITY = 5.0


@dataclass(frozen=True)
class ActionUnit:
    """One FACS Action Unit."""

    number: int
    name: str
    muscle: str
    effect: str
    region: str  # "upper" or "lower" face
    two_sided: bool  # whether the left and right halves can act alone

    @property
    def key(self) -> str:
        """Name of the custom property and of the CSV column stem, e.g. ``AU04``."""
        return f"AU{self.number:02d}"


ACTION_UNITS: tuple[ActionUnit, ...] = (
    ActionUnit(1, "Inner Brow Raiser", "frontalis, pars medialis", "lifts the inner ends of the brows", "upper", True),
    ActionUnit(2, "Outer Brow Raiser", "frontalis, pars lateralis", "lifts the outer ends of the brows", "upper", True),
    ActionUnit(4, "Brow Lowerer", "corrugator supercilii, depressor supercilii", "draws the brows down and together", "upper", True),
    ActionUnit(5, "Upper Lid Raiser", "levator palpebrae superioris", "widens the eyes", "upper", True),
    ActionUnit(6, "Cheek Raiser", "orbicularis oculi, pars orbitalis", "lifts the cheeks and gathers skin round the eyes", "upper", True),
    ActionUnit(7, "Lid Tightener", "orbicularis oculi, pars palpebralis", "narrows the eyes", "upper", True),
    ActionUnit(9, "Nose Wrinkler", "levator labii superioris alaeque nasi", "wrinkles the nose", "lower", True),
    ActionUnit(10, "Upper Lip Raiser", "levator labii superioris", "lifts the upper lip", "lower", True),
    ActionUnit(12, "Lip Corner Puller", "zygomaticus major", "pulls the mouth corners up: a smile", "lower", True),
    ActionUnit(14, "Dimpler", "buccinator", "tightens the mouth corners into dimples", "lower", True),
    ActionUnit(15, "Lip Corner Depressor", "depressor anguli oris", "pulls the mouth corners down", "lower", True),
    ActionUnit(17, "Chin Raiser", "mentalis", "pushes the chin and lower lip up", "lower", False),
    ActionUnit(20, "Lip Stretcher", "risorius, platysma", "stretches the mouth sideways", "lower", True),
    ActionUnit(23, "Lip Tightener", "orbicularis oris", "tightens and narrows the lips", "lower", False),
    ActionUnit(25, "Lips Part", "depressor labii inferioris, relaxed mentalis", "parts the lips", "lower", False),
    ActionUnit(26, "Jaw Drop", "masseter relaxed, temporalis, internal pterygoid", "lets the jaw fall", "lower", False),
    ActionUnit(28, "Lip Suck", "orbicularis oris", "sucks the lips over the teeth", "lower", False),
    ActionUnit(45, "Blink", "levator palpebrae relaxed, orbicularis oculi", "closes the eyes", "upper", True),
)

AU_COUNT = len(ACTION_UNITS)
AU_KEYS: tuple[str, ...] = tuple(unit.key for unit in ACTION_UNITS)
AU_INDEX: dict[str, int] = {key: index for index, key in enumerate(AU_KEYS)}


def intensity_letter(value: float) -> str:
    """FACS letter of an intensity in 0..5: "-" below a trace, then A to E."""
    if value < 0.5:
        return "-"
    return "ABCDE"[min(int(value + 0.5), 5) - 1]
