# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered actors: MediaPipe finds the face where the mesh says it is. Needs the parts and OpenGL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.faults import Fault
from bridge.landmarks import LANDMARK_COUNT

pytestmark = pytest.mark.unit


def test_a_pictured_person_is_tracked_where_the_mesh_says(data_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("moderngl")
    from backend.training.actors.parts import load_parts
    from backend.training.actors.pictures import write_people

    try:
        report = write_people(load_parts(data_folder), tmp_path, people=1, frames=4, progress=lambda *step: None, first=20)
    except Fault as fault:
        pytest.skip(fault.sentence)
    with np.load(tmp_path / "person-0020.npz") as stored:
        assert stored["images"].shape == (4, 256, 256, 3) and stored["images"].dtype == np.uint8
        assert stored["landmarks"].shape == (4, LANDMARK_COUNT, 2)
        assert stored["found"].all()
        assert not stored["aus"][0].any(), "the first picture is the resting face"
        assert 20 < stored["images"].mean() < 220 and stored["images"].std() > 20
    assert report["tracker_error_percent"] < 5.0


def test_missing_parts_are_said_in_a_sentence(tmp_path: Path) -> None:
    from backend.training.actors.parts import data_folder as find

    with pytest.raises(Fault) as raised:
        find(tmp_path)
    assert raised.value.code == "data-missing" and "AUTTER_DATA" in raised.value.hint
