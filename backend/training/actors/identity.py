# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws people: face shape, skin, hair, brows, eyes, teeth and clothes, each from the person's own seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .dentition import Dentition, draw_dentition
from .expression import SHAPES
from .mesh_points import mouth_cavity, seal_lips
from .parts import Parts

Float = NDArray[np.float32]

_PEOPLES = ("african", "asian", "caucasian")
_DETAIL_GROUPS = {"eyes": 10, "nose": 8, "mouth": 10, "chin": 3, "cheek": 4, "head": 4, "forehead": 2, "ears": 4, "neck": 2, "eyebrows": 1}
_CALM_BROWS = ("001", "003", "009", "010")
_ICT_IDENTITY_MODES = 40
_CLEAR_HAIR_FEMALE = ("long01", "ponytail01", "braid01", "short02", "short04")
_CLEAR_HAIR_MALE = ("short02", "short04", "short01")
_MAY_COVER_AN_EYE = {True: "bob02", False: "short03"}
_LINING_RETREAT = 0.1  # decimetres
_TEETH = ("teeth_base", "teeth_shape01", "teeth_shape02", "teeth_shape03", "teeth_shape04", "teeth_shape05")


@dataclass(frozen=True)
class Person:
    """One synthetic person.

    ``shape``: morph target weights of the neutral face. ``own_share``: 0..1, see ``expression.au_matrix``. ``gain``:
    (shapes,) how strongly this person moves, about 1. The others name fitted meshes and textures; ``skin_tint`` and
    ``hair_tint`` multiply linear colour.
    """

    seed: int
    female: bool
    age: float  # 0 young .. 1 old
    shape: dict[str, float]
    own_share: float
    gain: Float
    skin: str
    skin_tint: tuple[float, float, float]
    iris: str
    brows: str
    lashes: str
    hair: str | None
    hair_tint: tuple[float, float, float]
    teeth: str
    clothes: str | None
    clothes_tint: tuple[float, float, float] = field(default=(1.0, 1.0, 1.0))
    dentition: Dentition = field(default_factory=Dentition)


def draw_person(parts: Parts, seed: int) -> Person:
    """The person that belongs to ``seed``: always the same one for the same parts."""
    random = np.random.default_rng([seed, 0xAC7])
    female = bool(random.random() < 0.5)
    age = float(np.clip(random.beta(1.3, 2.2), 0.0, 0.85))
    dark = random.random() < 0.35
    hair = _draw_hair(random, female)
    return Person(
        seed=seed,
        female=female,
        age=age,
        shape=_draw_macro(random, female, age, dark) | _draw_details(parts, random),
        own_share=float(random.choice([0.0, 0.0, 0.0, random.random(), 1.0])),
        gain=np.clip(random.normal(1.0, 0.07, len(SHAPES)), 0.8, 1.2).astype(np.float32),
        skin=_draw_skin(parts, random, female, age, dark),
        skin_tint=_tint(random, 0.06),
        iris=str(random.choice(parts.textures("eye_brown") if dark or random.random() < 0.4 else parts.textures("eye_"))),
        brows="eyebrow" + str(random.choice(_CALM_BROWS)),
        lashes="eyelashes0" + str(random.integers(1, 5)),
        hair=hair,
        hair_tint=_draw_hair_tint(random, age, dark),
        teeth=str(random.choice(_TEETH)),
        clothes=_draw_clothes(parts, random, female),
        clothes_tint=_tint(random, 0.25),
        dentition=draw_dentition(seed),
    )


def neutral_head(parts: Parts, person: Person) -> Float:
    """(19158, 3) the person's head at rest, decimetres."""
    head = parts.displaced(person.shape)
    # Receding chins and flat lips would let the lining of the mouth show through the skin: it is drawn in.
    lining, depth = mouth_cavity()
    inward = np.clip((depth - 1) / 5.0, 0.0, 1.0).astype(np.float32)
    head[lining, 2] -= _LINING_RETREAT * inward
    head[lining, 1] += 0.2 * inward * (head[parts.ibug[[62, 66]], 1].mean() - head[lining, 1])
    seal_lips(head, parts.vertices)
    return head


def _draw_macro(random: np.random.Generator, female: bool, age: float, dark: bool) -> dict[str, float]:
    """Weights of the ``macro/*`` targets; people, ages, muscle and weight are blended so that each set sums to 1."""
    people = random.dirichlet((2.0, 0.4, 0.4) if dark else (0.15, 0.6, 1.2))
    softness = float(np.clip(random.normal(0.25, 0.15), 0.0, 0.6))  # share of the other sex
    sexes = {"female": 1.0 - softness, "male": softness} if female else {"male": 1.0 - softness, "female": softness}
    ages = {"young": 1.0 - age, "old": age}
    muscle, weight = random.normal(0.0, 0.5, 2)
    builds = _blend("muscle", muscle), _blend("weight", weight)
    result: dict[str, float] = {}
    for sex, sex_share in sexes.items():
        for years, age_share in ages.items():
            for name, share in zip(_PEOPLES, people):
                result[f"macro/{name}-{sex}-{years}"] = float(share * sex_share * age_share)
            for muscle_name, muscle_share in builds[0].items():
                for weight_name, weight_share in builds[1].items():
                    name = f"macro/universal-{sex}-{years}-{muscle_name}-{weight_name}"
                    result[name] = float(sex_share * age_share * muscle_share * weight_share)
    return result


def _blend(quantity: str, value: float) -> dict[str, float]:
    """Shares of minimum, average and maximum for a value in -1..1."""
    value = float(np.clip(value, -0.8, 0.8))
    extreme = f"max{quantity}" if value > 0 else f"min{quantity}"
    return {f"average{quantity}": 1.0 - abs(value), extreme: abs(value)}


def _draw_details(parts: Parts, random: np.random.Generator) -> dict[str, float]:
    """A few face details, each on both sides alike but for a trace, and ICT-FaceKit identity modes."""
    result: dict[str, float] = {}
    for group, count in _DETAIL_GROUPS.items():
        names = [name for name in parts.group(group) if "/r-" not in name and "trans-in" not in name and "trans-out" not in name]
        for name in random.choice(names, size=min(count, len(names)), replace=False):
            weight = min(abs(float(random.normal(0.0, 0.28))), 0.7)
            result[name] = weight
            if "/l-" in name:
                result[name.replace("/l-", "/r-")] = float(weight * random.normal(1.0, 0.06))
    for mode in range(_ICT_IDENTITY_MODES):
        result[f"ict_identity/{mode}"] = float(np.clip(random.normal(0.0, 0.8), -1.6, 1.6))
    return result


def _draw_skin(parts: Parts, random: np.random.Generator, female: bool, age: float, dark: bool) -> str:
    years = ("young", "young", "middleage") if age < 0.3 else ("middleage",) if age < 0.6 else ("old",)
    wanted = str(random.choice(years))
    sex, tone = "female" if female else "male", "darkskinned" if dark else "lightskinned"
    skins = parts.textures("skin_")
    for pattern in ((wanted, tone, sex), ("middleage", tone, sex), ("", tone, sex)):
        fitting = [name for name in skins if f"_{pattern[1]}_{pattern[2]}_" in name and name.startswith(f"skin_{pattern[0]}")]
        if fitting:
            return str(random.choice(fitting))
    return skins[0]


def _draw_hair(random: np.random.Generator, female: bool) -> str | None:
    if random.random() < (0.02 if female else 0.14):
        return None
    if random.random() < 0.08:
        return _MAY_COVER_AN_EYE[female]
    return str(random.choice(_CLEAR_HAIR_FEMALE if female else _CLEAR_HAIR_MALE))


def _draw_hair_tint(random: np.random.Generator, age: float, dark: bool) -> tuple[float, float, float]:
    if dark:
        return (0.35, 0.33, 0.32)
    colours = ((1.0, 1.0, 1.0), (0.45, 0.40, 0.36), (1.6, 1.25, 0.8), (1.25, 0.7, 0.42), (0.7, 0.6, 0.5))
    colour = np.array(colours[random.integers(len(colours))])
    grey = np.array((1.7, 1.7, 1.7))
    share = float(np.clip((age - 0.4) * 2.0, 0.0, 1.0) * random.random())
    red, green, blue = colour * (1 - share) + grey * share
    return float(red), float(green), float(blue)


def _draw_clothes(parts: Parts, random: np.random.Generator, female: bool) -> str | None:
    sex = "female" if female else "male"
    textured = {name.removeprefix("clothes_").removesuffix("_diffuse") for name in parts.textures(f"clothes_{sex}")}
    return str(random.choice(sorted(textured & set(parts.fitted))))


def _tint(random: np.random.Generator, spread: float) -> tuple[float, float, float]:
    common = random.normal(0.0, spread)
    red, green, blue = np.exp(common + random.normal(0.0, spread / 2, 3))
    return float(red), float(green), float(blue)
