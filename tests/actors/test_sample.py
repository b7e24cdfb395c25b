# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample material that ships: a face that is found, a voice, and AUs that are keyed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bridge.facs import AU_INDEX

pytestmark = pytest.mark.unit

SAMPLE = Path(__file__).parents[2] / "backend" / "sample"


def test_the_portrait_shows_one_face_at_rest() -> None:
    from backend.portrait.detect import detect_face
    from backend.portrait.image import read_image

    face = detect_face(read_image(SAMPLE / "portrait.jpg"))
    assert face.size == (768, 960)
    assert max(face.blendshapes[name] for name in ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft")) < 0.35


def test_the_line_is_about_four_seconds_at_minus_three_decibels() -> None:
    import soundfile

    samples, rate = soundfile.read(SAMPLE / "line.wav")
    assert rate == 44100 and samples.ndim == 1
    assert 3.0 < len(samples) / rate < 5.0
    assert 20 * np.log10(np.abs(samples).max()) == pytest.approx(-3.0, abs=0.1)


def test_the_keyed_aus_rise_and_fall_within_the_line() -> None:
    import soundfile

    from backend.tables import read_au_csv

    seconds = soundfile.info(SAMPLE / "line.wav").duration
    values, keyed = read_au_csv(SAMPLE / "aus.csv", round(seconds * 24), Fraction(24))
    assert {key for key, column in AU_INDEX.items() if keyed[:, column].any()} == {"AU04", "AU12", "AU45"}
    for key, peak in (("AU04", 3.0), ("AU12", 4.0)):
        curve = values[:, AU_INDEX[key]]
        assert curve[0] == 0 and curve[-1] == 0 and curve.max() == pytest.approx(peak, abs=0.05)
    blinking = values[:, AU_INDEX["AU45"]] > 2
    assert (blinking[1:] & ~blinking[:-1]).sum() == 2
