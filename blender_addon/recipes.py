# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions as sets of Action Units, and combinations that fight each other. No bpy.

The sets are the prototypes of the Facial Action Coding System's investigator's guide for basic emotions, as far as they use
our eighteen AUs; the strengths are what reads well on a face, in intensities 0 to 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .bridge.facs import AU_KEYS, MAXIMUM_INTENSITY

PRESENT = 1.0  # intensity from which an AU counts as acting


@dataclass(frozen=True)
class Recipe:
    """``units``: intensity at full strength by AU. ``sides``: -1 (the subject's right half) to 1 (left), where an AU has one."""

    key: str
    name: str
    units: Mapping[str, float]
    sides: Mapping[str, float] = field(default_factory=dict)

    @property
    def formula(self) -> str:
        """As FACS writes it: 6+12."""
        marks = {-1.0: "R", 1.0: "L"}
        return "+".join(f"{marks.get(self.sides.get(key, 0.0), '')}{int(key[2:])}" for key in sorted(self.units))


def _units(**strengths: float) -> dict[str, float]:
    return {key: float(value) for key, value in strengths.items()}


RECIPES: tuple[Recipe, ...] = (
    Recipe("joy", "Joy", _units(AU06=3, AU12=4)),
    Recipe("surprise", "Surprise", _units(AU01=4, AU02=4, AU05=3, AU26=3)),
    Recipe("anger", "Anger", _units(AU04=4, AU05=2, AU07=3, AU23=3)),
    Recipe("sadness", "Sadness", _units(AU01=4, AU04=2, AU15=3)),
    Recipe("fear", "Fear", _units(AU01=4, AU02=3, AU04=3, AU05=4, AU07=2, AU20=3, AU26=2)),
    Recipe("disgust", "Disgust", _units(AU09=4, AU10=2, AU15=2, AU17=2)),
    Recipe("contempt", "Contempt", _units(AU12=2, AU14=4), {"AU12": 1.0, "AU14": 1.0}),
    Recipe("polite_smile", "Polite Smile", _units(AU12=2)),
    Recipe("doubt", "Doubt", _units(AU02=4, AU04=1, AU17=2), {"AU02": 1.0}),
    Recipe("pain", "Pain", _units(AU04=3, AU06=3, AU07=3, AU09=2, AU10=2, AU25=2)),
    Recipe("concentration", "Focus", _units(AU04=2, AU07=2, AU23=1)),
    Recipe("tired", "Tired", _units(AU07=1, AU15=1, AU45=2)),
)
BY_KEY: dict[str, Recipe] = {recipe.key: recipe for recipe in RECIPES}

# Pairs of which one undoes the other, and what they fight over.
_FIGHTS: tuple[tuple[str, str, str], ...] = (
    ("AU12", "AU15", "the mouth corners: one pulls them up, the other down"),
    ("AU20", "AU23", "the lips' width: one stretches, the other tightens"),
    ("AU25", "AU28", "the lips: one parts them, the other sucks them in"),
    ("AU25", "AU17", "the lips: one parts them, the other pushes them together"),
    ("AU26", "AU17", "the jaw: one lets it fall, the other pushes the chin up"),
    ("AU26", "AU28", "the mouth: one lets it fall open, the other sucks the lips in"),
    ("AU10", "AU28", "the upper lip: one lifts it, the other sucks it in"),
    ("AU05", "AU45", "the lids: one widens the eyes, the other closes them"),
)


@dataclass(frozen=True)
class Fight:
    """Two AUs that act against each other. ``least``: the weaker one's intensity."""

    first: str
    second: str
    over: str
    least: float

    @property
    def sentence(self) -> str:
        """For the panel."""
        return f"AU {int(self.first[2:])} and {int(self.second[2:])} fight over {self.over}."


def fights(values: Mapping[str, float]) -> tuple[Fight, ...]:
    """Pairs of AUs that both act and undo each other, the strongest first."""
    found = []
    for first, second, over in _FIGHTS:
        least = min(values.get(first, 0.0), values.get(second, 0.0))
        if least >= PRESENT:
            found.append(Fight(first, second, over, least))
    return tuple(sorted(found, key=lambda fight: -fight.least))


def blended(now: Mapping[str, float], recipe: Recipe, strength: float, add: bool = False) -> tuple[dict[str, float], dict[str, float]]:
    """New values and sides of the recipe's AUs.

    ``strength`` 0 leaves the face as it is; at 1 the recipe's AUs have the recipe's intensities. With ``add`` they come on
    top of what is there. Intensities stay within 0 to 5.
    """
    values = {}
    for key, target in recipe.units.items():
        was = now.get(key, 0.0)
        value = was + strength * target if add else was + strength * (target - was)
        values[key] = min(max(value, 0.0), MAXIMUM_INTENSITY)
    return values, {key: side * min(strength, 1.0) for key, side in recipe.sides.items()}


assert all(set(recipe.units) <= set(AU_KEYS) for recipe in RECIPES)
