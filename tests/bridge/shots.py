# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies for shots and tracks, and a plain shot for tests that need any."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.facs import AU_COUNT
from bridge.landmarks import LANDMARK_COUNT
from bridge.shot import HEAD_NEUTRAL, MotionSettings, RenderSettings, Shot, Track, Voice

# Surrogates too: that is how Python spells a file name that is not UTF-8.
file_names = st.text(min_size=1, max_size=20)
small = st.floats(-1e6, 1e6, width=32)
frame_rates = st.sampled_from([Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60)])


def values(shape: tuple[int, ...], low: float = -1000.0, high: float = 1000.0) -> st.SearchStrategy[Any]:
    """Finite float32 arrays; few different numbers, so that drawing them is quick."""
    return hnp.arrays(np.float32, shape, elements=st.floats(low, high, width=32), fill=st.floats(low, high, width=32))


voices = st.builds(Voice, path=file_names, offset=small, trim_start=small, duration=st.none() | small)
motion_settings = st.builds(MotionSettings, au_strength=small, lip_strength=small, blinks=st.booleans(), variation=small)
render_settings = st.builds(RenderSettings, tier=st.sampled_from(["small", "sd15"]), steps=st.integers(1, 4), label=st.booleans())


@st.composite
def shots(draw: st.DrawFn) -> Shot:
    """Valid shots of up to 40 frames."""
    frames = draw(st.integers(1, 40))
    masks = hnp.arrays(np.bool_, (frames, AU_COUNT))
    return Shot(
        frame_start=draw(st.integers(-(10**6), 10**6)),
        fps=draw(frame_rates),
        portrait=draw(file_names),
        voice=tuple(draw(st.lists(voices, max_size=3))),
        au_values=draw(values((frames, AU_COUNT), 0.0, 5.0)),
        au_keyed=draw(masks),
        head=draw(values((frames, 6))),
        head_keyed=draw(hnp.arrays(np.bool_, (frames, 6))),
        seed=draw(st.integers(0, 2**31 - 1)),
        portrait_landmarks=draw(st.none() | values((LANDMARK_COUNT, 2))),
        motion=draw(motion_settings),
        render=draw(render_settings),
    )


@st.composite
def tracks(draw: st.DrawFn) -> Track:
    """Valid tracks of up to 20 frames."""
    frames = draw(st.integers(1, 20))
    return Track(
        landmarks=draw(values((frames, LANDMARK_COUNT, 2))),
        motion=draw(values((frames, LANDMARK_COUNT, 2))),
        fps=draw(frame_rates),
        portrait_size=(draw(st.integers(1, 20000)), draw(st.integers(1, 20000))),
        portrait_landmarks=draw(values((LANDMARK_COUNT, 2))),
        aus=draw(st.none() | values((frames, AU_COUNT), 0.0, 5.0)),
    )


def plain_shot(portrait: str = "portrait.png", frames: int = 10) -> Shot:
    """A shot in which nothing is keyed."""
    return Shot(
        frame_start=1,
        fps=Fraction(25),
        portrait=portrait,
        voice=(),
        au_values=np.zeros((frames, AU_COUNT), np.float32),
        au_keyed=np.zeros((frames, AU_COUNT), bool),
        head=np.tile(np.array(HEAD_NEUTRAL, np.float32), (frames, 1)),
        head_keyed=np.zeros((frames, 6), bool),
    )


def plain_track(frames: int = 10) -> Track:
    """A track in which nothing moves."""
    landmarks = np.ones((frames, LANDMARK_COUNT, 2), np.float32)
    return Track(landmarks, np.zeros_like(landmarks), Fraction(25), (640, 480), landmarks[0])


def same(first: Any, second: Any) -> bool:
    """Whether two shots, two tracks or two of their fields are equal, arrays included."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, (Shot, Track)):
        return type(first) is type(second) and all(same(value, getattr(second, name)) for name, value in vars(first).items())
    return bool(first == second)
