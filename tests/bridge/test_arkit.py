# SPDX-License-Identifier: GPL-3.0-or-later
"""ARKit's shapes: the table to Action Units and back, recordings of Live Link Face, what speech does to jaw and lips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import arkit
from bridge import landmarks as points
from bridge.facs import AU_INDEX, AU_KEYS
from bridge.faults import Fault

pytestmark = pytest.mark.unit
FPS = Fraction(25)


def test_every_shape_has_its_place() -> None:
    assert len(arkit.SHAPES) == len(set(arkit.SHAPES)) == 52
    for stems in arkit.AU_SHAPES.values():
        assert all(name in arkit.SHAPE_INDEX for stem in stems for name in arkit.sided(stem))


@given(st.lists(st.floats(0, 5), min_size=18, max_size=18))
def test_aus_come_back_from_shapes(values: list[float]) -> None:
    aus = np.array([values], np.float32)
    back = arkit.aus_of_shapes(arkit.shapes_of_aus(aus).astype(np.float64))
    assert all(abs(back[key][0] - aus[0, AU_INDEX[key]]) < 1e-3 for key in AU_KEYS)


def test_a_table_comes_back(tmp_path: Path) -> None:
    weights = np.random.default_rng(1).random((40, 52)).astype(np.float32)
    head = np.array([[10.0, -5.0, 2.0]] * 40)
    path = tmp_path / "take.csv"
    path.write_text(arkit.shape_table_text(weights, FPS, head))
    read = arkit.read_shape_table(path, FPS)
    assert np.allclose(read.weights, weights, atol=1e-4) and np.allclose(read.times, np.arange(40) / 25, atol=1e-4)
    assert read.head["yaw"][0] == pytest.approx(10, abs=0.01) and read.head["pitch"][0] == pytest.approx(-5, abs=0.01)


def live_link(path: Path, codes: list[str], columns: str = "EyeBlinkLeft,JawOpen,MouthSmileLeft,MouthSmileRight,HeadYaw") -> Path:
    rows = [f"{code},61,0.5,0.25,1.0,0.0,0.1" for code in codes]
    path.write_text(f"Timecode,BlendShapeCount,{columns}\n" + "\n".join(rows) + "\n")
    return path


def test_a_recording_of_live_link_face(tmp_path: Path) -> None:
    codes = [f"10:59:{58 + frame // 60:02d}:{frame % 60:02d}.{250:03d}" for frame in range(120)]
    read = arkit.read_shape_table(live_link(tmp_path / "a.csv", codes), FPS)
    assert np.allclose(read.times, np.arange(120) / 60, atol=1e-6)
    aus = arkit.aus_of_shapes(read.weights)
    assert set(aus) == {"AU45", "AU26", "AU12", "AU25"}
    assert aus["AU12"][0] == pytest.approx(2.5) and aus["AU45"][0] == pytest.approx(2.5) and aus["AU26"][0] == pytest.approx(1.25)
    assert read.head["yaw"][0] == pytest.approx(np.degrees(0.1))


def test_a_recording_at_thirty_and_over_midnight(tmp_path: Path) -> None:
    codes = [f"23:59:{57 + frame // 30:02d}:{frame % 30:02d}" for frame in range(90)] + [f"00:00:00:{frame:02d}" for frame in range(30)]
    read = arkit.read_shape_table(live_link(tmp_path / "a.csv", codes), FPS)
    assert np.allclose(np.diff(read.times), 1 / 30, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a,b\n1,2\n", "arkit-csv-columns"),
        ("Timecode,JawOpen\n1.5,0\n", "arkit-csv-time"),
        ("timestamp,jawOpen\n0,x\n", "shape-not-finite"),
        ("timestamp,jawOpen\n", "arkit-csv-empty"),
    ],
)
def test_bad_tables_are_a_sentence(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(Fault) as caught:
        arkit.read_shape_table(path, FPS)
    assert caught.value.code == code


@given(st.text(max_size=300))
def test_any_text_is_a_table_or_a_fault(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("t") / "any.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        arkit.read_shape_table(path, FPS)
    except Fault:
        pass


def motion(**moved: tuple[float, float]) -> np.ndarray:
    made = np.zeros((1, points.LANDMARK_COUNT, 2), np.float32)
    for name, by in moved.items():
        made[0, getattr(points, name)] = by
    return made


def weight(weights: np.ndarray, name: str) -> float:
    return float(weights[0, arkit.SHAPE_INDEX[name]])


def test_speech_moves_jaw_and_lips() -> None:
    still = np.zeros((1, 18), np.float32)
    open_mouth = arkit.shapes_of_aus(still, motion(CHIN=(0, 0.2), LIP_INNER_LOWER=(0, 0.18), LIP_INNER_UPPER=(0, -0.01)))
    assert weight(open_mouth, "jawOpen") > 0.5 and weight(open_mouth, "mouthClose") < 0.1
    closed = arkit.shapes_of_aus(still, motion(CHIN=(0, 0.2)))
    assert weight(closed, "jawOpen") > 0.5 and weight(closed, "mouthClose") > 0.5
    rounded = arkit.shapes_of_aus(still, motion(MOUTH_CORNER_LEFT=(-0.06, 0), MOUTH_CORNER_RIGHT=(0.06, 0)))
    assert weight(rounded, "mouthPucker") > 0.5 and weight(rounded, "mouthFunnel") == 0


def test_gaze_has_sides() -> None:
    still = np.zeros((1, 18), np.float32)
    looking = motion()
    looking[0, points.OF_MEDIAPIPE[473]] = looking[0, points.OF_MEDIAPIPE[468]] = (0.05, 0)  # both to the image's right
    weights = arkit.shapes_of_aus(still, looking, looking[0])
    assert weight(weights, "eyeLookOutLeft") > 0.5 and weight(weights, "eyeLookInRight") > 0.5
    assert weight(weights, "eyeLookInLeft") == weight(weights, "eyeLookOutRight") == 0


def test_names_of_characters() -> None:
    assert "mouthsmilel" in arkit.spellings("mouthSmileLeft") and arkit.plain_name("Mouth_Smile.L") == "mouthsmilel"
    assert arkit.spellings("mouthLeft") == ("mouthleft",) and arkit.spellings("jawOpen") == ("jawopen",)
