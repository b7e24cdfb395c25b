# SPDX-License-Identifier: GPL-3.0-or-later
"""AU estimates from blendshapes."""

from __future__ import annotations

import numpy as np
import pytest

from backend.portrait.action_units import BLENDSHAPE_NAMES, estimate_aus, resting_face
from bridge.facs import AU_INDEX, AU_KEYS

pytestmark = pytest.mark.unit


def reading(**scores: float) -> np.ndarray:
    """(1, 52) with both sides of the named shapes set."""
    row = np.zeros((1, 52), np.float32)
    for name, score in scores.items():
        for index, shape in enumerate(BLENDSHAPE_NAMES):
            if shape in (name, name + "Left", name + "Right"):
                row[0, index] = score
    return row


@pytest.mark.parametrize(
    ("shape", "unit"),
    [
        ("browInnerUp", "AU01"),
        ("browOuterUp", "AU02"),
        ("browDown", "AU04"),
        ("eyeWide", "AU05"),
        ("eyeSquint", "AU07"),
        ("noseSneer", "AU09"),
        ("mouthUpperUp", "AU10"),
        ("mouthSmile", "AU12"),
        ("mouthDimple", "AU14"),
        ("mouthFrown", "AU15"),
        ("mouthShrugLower", "AU17"),
        ("mouthStretch", "AU20"),
        ("mouthPress", "AU23"),
        ("jawOpen", "AU26"),
        ("mouthRollLower", "AU28"),
        ("eyeBlink", "AU45"),
    ],
)
def test_each_shape_drives_its_own_unit_most(shape: str, unit: str) -> None:
    steps = [estimate_aus(reading(**{shape: score}))[0] for score in (0.0, 0.2, 0.5, 1.0)]
    own = [step[AU_INDEX[unit]] for step in steps]
    assert own[0] == 0 and own == sorted(own) and own[-1] > 2
    companions = {"jawOpen": {"AU25"}, "mouthUpperUp": {"AU25"}}.get(shape, set())
    others = [steps[1][index] for index, key in enumerate(AU_KEYS) if key != unit and key not in companions]
    assert max(others) <= own[1]


def test_a_squint_beside_a_smile_is_a_raised_cheek() -> None:
    index = AU_INDEX["AU06"]
    assert estimate_aus(reading(eyeSquint=0.6))[0, index] == estimate_aus(reading(mouthSmile=0.8))[0, index] == 0
    assert estimate_aus(reading(eyeSquint=0.6, mouthSmile=0.8))[0, index] > 3


def test_a_downward_look_is_no_blink() -> None:
    assert estimate_aus(reading(eyeBlink=0.3, eyeLookDown=0.75))[0, AU_INDEX["AU45"]] < 0.1


def test_the_clips_resting_face_counts_as_nothing() -> None:
    clip = np.repeat(reading(browDown=0.3, mouthSmile=0.05), 50, 0)
    clip[40:] = reading(browDown=0.3, mouthSmile=0.9)
    aus = estimate_aus(clip)
    assert aus.shape == (50, 18) and aus.dtype == np.float32
    assert not aus[:40].any() and aus[45, AU_INDEX["AU12"]] > 4.5 and aus[45, AU_INDEX["AU04"]] == 0
    assert not resting_face(clip[:5]).any(), "too short to tell"
    assert estimate_aus(clip, neutral=np.zeros(52))[0, AU_INDEX["AU04"]] > 1


def test_intensities_stay_in_range() -> None:
    aus = estimate_aus(np.random.default_rng(0).uniform(0, 1, (200, 52)).astype(np.float32))
    assert np.isfinite(aus).all() and aus.min() >= 0 and aus.max() <= 5
