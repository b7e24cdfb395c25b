# SPDX-License-Identifier: GPL-3.0-or-later
"""AU and head tables: OpenFace's columns in every shape, other rates, and every way to be wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from backend_samples import fault_of
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.tables import PRESENT_INTENSITY, read_au_csv, read_head_csv, write_au_csv
from bridge.facs import AU_INDEX, AU_KEYS
from bridge.faults import Fault

pytestmark = pytest.mark.unit
FPS = Fraction(25)


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_openface_columns_with_their_spaces(tmp_path: Path) -> None:
    text = "frame, face_id, timestamp, confidence, success, AU12_r, AU04_r, AU12_c, AU28_c, AU99_r\n"
    text += "1, 0, 0.000, 0.98, 1, 0.00, 2.50, 0, 1, 4\n2, 0, 0.080, 0.98, 1, 4.00, 2.50, 1, 0, 4\n"
    values, keyed = read_au_csv(table(tmp_path / "a.csv", text), 5, FPS)
    assert values.shape == keyed.shape == (5, 18) and values.dtype == np.float32 and keyed.dtype == bool
    assert sorted(AU_KEYS[index] for index in np.flatnonzero(keyed[0])) == ["AU04", "AU12", "AU28"]
    assert keyed.all(0)[AU_INDEX["AU12"]]
    assert values[:, AU_INDEX["AU12"]] == pytest.approx([0, 2, 4, 4, 4]), "resampled by timestamp, then held"
    assert values[0, AU_INDEX["AU28"]] == PRESENT_INTENSITY and values[3, AU_INDEX["AU28"]] == 0


def test_intensity_goes_before_presence(tmp_path: Path) -> None:
    values, _ = read_au_csv(table(tmp_path / "a.csv", "timestamp,AU28_c,AU28_r\n0,1,1.5\n1,1,1.5\n"), 2, FPS)
    assert values[0, AU_INDEX["AU28"]] == 1.5


def test_rows_that_openface_marks_as_failed_are_bridged(tmp_path: Path) -> None:
    text = "timestamp,success,AU01_r\n0,1,2\n0.04,0,0\n0.08,1,2\n"
    values, _ = read_au_csv(table(tmp_path / "a.csv", text), 3, FPS)
    assert values[:, AU_INDEX["AU01"]] == pytest.approx([2, 2, 2])


def test_without_timestamps_rows_are_frames(tmp_path: Path) -> None:
    values, _ = read_au_csv(table(tmp_path / "a.csv", "AU01_r\n0\n1\n2\n"), 4, Fraction(30000, 1001))
    assert values[:, 0] == pytest.approx([0, 1, 2, 2], abs=1e-5)
    values, _ = read_au_csv(table(tmp_path / "b.csv", "frame,AU01_r\n1,0\n3,2\n"), 3, FPS)
    assert values[:, 0] == pytest.approx([0, 1, 2], abs=1e-5)


def test_spreadsheets_of_other_countries(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufefftimestamp;AU12_r\r\n0,0;1,5\r\n1,0;1,5\r\n\r\n".encode())
    values, _ = read_au_csv(path, 3, FPS)
    assert values[:, AU_INDEX["AU12"]] == pytest.approx(1.5)


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    aus = np.random.default_rng(0).uniform(0, 5, (30, 18)).astype(np.float32)
    write_au_csv(tmp_path / "a.csv", aus, FPS)
    values, keyed = read_au_csv(tmp_path / "a.csv", 30, FPS)
    assert keyed.all() and np.abs(values - aus).max() < 1e-3


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("timestamp,AU12_r\n0,1\n0.04,nan\n", "au-not-finite", "row 2, column AU12_r"),
        ("timestamp,AU12_r\n0,1\n0.04,9.0\n", "au-range", "9 in row 2, column AU12_r"),
        ("timestamp,AU12_r\n0,-0.5\n", "au-range", "row 1"),
        ("timestamp,AU12_r\n0,\n", "au-not-finite", "nothing in row 1"),
        ("timestamp,AU12_r\n0,smile\n", "au-not-finite", "'smile'"),
        ("timestamp,AU12_r\n0,inf\n", "au-not-finite", "row 1"),
        ("time,smile,frown\n0,1,2\n", "au-csv-columns", "time, smile, frown"),
        ("timestamp,AU12_r\n0,1\n0,2\n", "au-csv-time", "row 2"),
        ("timestamp,AU12_r\n1,1\n0,2\n", "au-csv-time", "an earlier"),
        ("timestamp,AU12_r\nx,1\n", "au-csv-time", "timestamp"),
        ("timestamp,AU12_r\n", "au-csv-empty", "no rows"),
        ("", "au-csv-empty", "no rows"),
        ("AU12_r\0\n1\n", "au-csv-unreadable", "binary"),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, code: str, said: str) -> None:
    fault = fault_of(lambda: read_au_csv(table(tmp_path / "aus.csv", text), 10, FPS))
    assert fault.code == code and said in fault.sentence and "aus.csv" in fault.sentence


def test_missing_and_binary_files(tmp_path: Path) -> None:
    assert fault_of(lambda: read_au_csv(tmp_path / "gone.csv", 10, FPS)).code == "au-csv-missing"
    (tmp_path / "a.csv").write_bytes(bytes(range(128, 256)))
    assert fault_of(lambda: read_au_csv(tmp_path / "a.csv", 10, FPS)).code == "au-csv-unreadable"


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="AU0123456789_rc,;.\t\n\"' -eframtisp\ufeffnx", max_size=200))
def test_any_text_is_a_table_or_a_fault(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_text(text, encoding="utf-8")
    try:
        values, keyed = read_au_csv(path, 7, FPS)
    except Fault as fault:
        assert fault.sentence and fault.hint
    else:
        assert values.shape == (7, 18) and np.isfinite(values).all() and (values >= 0).all() and (values <= 5).all() and keyed.any()


def test_head_pose(tmp_path: Path) -> None:
    head, keyed = read_head_csv(table(tmp_path / "h.csv", "timestamp, Yaw, scale\n0,-10,1\n0.08,10,1.2\n"), 3, FPS)
    assert head.shape == keyed.shape == (3, 6)
    assert head[:, 0] == pytest.approx([-10, 0, 10]) and head[1, 5] == pytest.approx(1.1)
    assert keyed[0].tolist() == [True, False, False, False, False, True] and not head[:, 1:5].any()
    assert fault_of(lambda: read_head_csv(table(tmp_path / "h.csv", "time,a\n0,1\n"), 3, FPS)).code == "head-csv-columns"
    assert fault_of(lambda: read_head_csv(table(tmp_path / "h.csv", "yaw\nnan\n"), 3, FPS)).code == "head-not-finite"
    assert fault_of(lambda: read_head_csv(tmp_path / "gone.csv", 3, FPS)).code == "head-csv-missing"
