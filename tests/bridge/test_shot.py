# SPDX-License-Identifier: GPL-3.0-or-later
"""Shots and tracks: they come back from a message unchanged, and a wrong one is refused in one sentence."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.faults import Fault
from bridge.knobs import KNOBS, check_settings
from bridge.shot import LONGEST_SHOT_SECONDS, MotionSettings, Shot, Track
from tests.bridge.shots import plain_shot, plain_track, same, shots, tracks

pytestmark = pytest.mark.unit

junk = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=3) | st.just({"a": 1})
)


def fault_code(call: Any) -> str:
    """The code of the fault that ``call`` raises."""
    with pytest.raises(Fault) as caught:
        call()
    assert caught.value.sentence and caught.value.hint
    return caught.value.code


@settings(max_examples=50)
@given(shots())
def test_a_shot_comes_back(shot: Shot) -> None:
    assert same(Shot.from_message(*shot.to_message()), shot)


@settings(max_examples=50)
@given(tracks())
def test_a_track_comes_back(track: Track) -> None:
    assert same(Track.from_message(*track.to_message()), track)


@settings(max_examples=300)
@given(st.data())
def test_junk_in_a_shot_raises_only_faults(data: st.DataObject) -> None:
    header, arrays = copy.deepcopy(plain_shot().to_message())
    place = data.draw(st.sampled_from([header, header["motion"], header["render"], arrays]))
    name = data.draw(st.sampled_from(sorted(place)))
    place[name] = data.draw(junk) if place is not arrays else np.asarray(data.draw(st.floats() | st.lists(st.floats(), max_size=3)))
    try:
        Shot.from_message(header, arrays)
    except Fault as fault:
        assert fault.sentence


@given(st.data())
def test_junk_in_a_track_raises_only_faults(data: st.DataObject) -> None:
    header, arrays = plain_track().to_message()
    place: dict[str, Any] = data.draw(st.sampled_from([header, arrays]))
    name = data.draw(st.sampled_from(sorted(place)))
    place[name] = data.draw(junk) if place is header else np.asarray(data.draw(st.floats() | st.lists(st.floats(), max_size=3)))
    try:
        Track.from_message(header, arrays)
    except Fault as fault:
        assert fault.sentence


def test_settings_of_a_later_version_are_left_out() -> None:
    header, arrays = plain_shot().to_message()
    header["motion"]["from_the_future"] = 1
    assert same(Shot.from_message(header, arrays), plain_shot())


@pytest.mark.parametrize("fps", [Fraction(0), Fraction(-25), Fraction(1, 2), Fraction(241)], ids=str)
def test_frame_rates_that_no_scene_has(fps: Fraction) -> None:
    assert fault_code(lambda: replace(plain_shot(), fps=fps).checked()) == "frame-rate"
    assert fault_code(lambda: replace(plain_track(), fps=fps).checked()) == "frame-rate"


def test_a_frame_rate_of_nothing_over_nothing() -> None:
    header, arrays = plain_shot().to_message()
    assert fault_code(lambda: Shot.from_message({**header, "fps": [25, 0]}, arrays)) == "frame-rate"


def test_no_frames_and_too_many() -> None:
    assert fault_code(lambda: plain_shot(frames=0).checked()) == "no-frames"
    assert fault_code(lambda: plain_shot(frames=int(LONGEST_SHOT_SECONDS * 25) + 1).checked()) == "shot-too-long"
    plain_shot(frames=int(LONGEST_SHOT_SECONDS * 25)).checked()


@pytest.mark.parametrize(("value", "code"), [(np.nan, "au-not-finite"), (np.inf, "au-not-finite"), (9.0, "au-range"), (-0.1, "au-range")])
def test_impossible_intensities_are_named(value: float, code: str) -> None:
    shot = plain_shot()
    shot.au_values[3, 8] = value
    shot.checked()  # free: nobody looks at it
    shot.au_keyed[3, 8] = True
    with pytest.raises(Fault) as caught:
        shot.checked()
    assert caught.value.code == code and "AU12" in caught.value.sentence and "3" in caught.value.sentence


def test_a_head_pose_that_is_no_number() -> None:
    shot = plain_shot()
    shot.head[2, 1] = np.nan
    assert fault_code(shot.checked) == "head-not-finite"


def test_damaged_landmarks() -> None:
    assert (
        fault_code(lambda: replace(plain_shot(), portrait_landmarks=np.zeros((68, 2), np.float32)).checked())
        == "portrait-landmarks-invalid"
    )
    track = plain_track()
    for damaged in (
        replace(track, landmarks=track.landmarks[:, :68]),
        replace(track, landmarks=np.full_like(track.landmarks, np.nan)),
        replace(track, motion=np.full_like(track.motion, np.inf)),
        replace(track, motion=track.motion[:5]),
        replace(track, landmarks=track.landmarks[:0], motion=track.motion[:0]),
        replace(track, aus=np.zeros((10, 17), np.float32)),
        replace(track, portrait_size=(0, 480)),
    ):
        assert fault_code(damaged.checked) == "track-invalid"


@pytest.mark.parametrize(("name", "value"), [("au_strength", 2.5), ("lip_offset", -0.3), ("blinks_per_minute", 90.0), ("idle_head", -0.1)])
def test_a_knob_outside_its_range_is_named(name, value):
    check_settings(MotionSettings())
    assert set(KNOBS) == {item.name for item in fields(MotionSettings) if item.type == "float"}
    with pytest.raises(Fault) as fault:
        check_settings(replace(MotionSettings(), **{name: value}))
    assert fault.value.code == "setting-range" and name.split("_")[-1] in fault.value.sentence.lower()


def test_asymmetry_is_checked():
    shot = plain_shot("x")
    sides = np.zeros_like(shot.au_values)
    assert replace(shot, au_asymmetry=sides).checked()
    for wrong, code in ((sides[:-1], "shot-invalid"), (sides + 1.5, "asymmetry-range"), (sides * np.nan, "asymmetry-range")):
        with pytest.raises(Fault) as fault:
            replace(shot, au_asymmetry=wrong).checked()
        assert fault.value.code == code
