# SPDX-License-Identifier: GPL-3.0-or-later
"""``evaluate --stage synthesis --tier sd15`` on a made-up clip with tiny weights."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers")

from backend.cli.main import main  # noqa: E402
from backend.portrait.cache import load_portrait  # noqa: E402
from backend.synthesis.sd15 import tier  # noqa: E402
from backend.synthesis.small.crop import Crop, resized  # noqa: E402
from backend.training.small.cache import FaceClip, write_clip  # noqa: E402

pytestmark = pytest.mark.unit
ROWS, SIDE = 5, 256
SAMPLE = next((Path(tier.__file__).resolve().parents[2] / "sample").glob("portrait.*"))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A held-out clip: the sample's face, which is moved sideways as its landmarks are."""
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    picture, face = load_portrait(str(SAMPLE))
    middle = np.rint(face.landmarks.mean(0)).astype(int)
    crops = [Crop(int(middle[0]) - 180 - 4 * row, int(middle[1]) - 180, 360) for row in range(ROWS)]
    points = np.stack([crop.to_unit(face.landmarks) for crop in crops]).astype(np.float32)
    frames = np.stack([resized(crop.cut(picture), SIDE) for crop in crops])
    write_clip(tmp_path / "cache", FaceClip("one", "actors", "one", frames, points, np.zeros((ROWS, 18), np.float32), True, True))
    return tmp_path


def test_the_tier_gets_the_tables_of_the_small_renderer(tiny_weights: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--stage", "synthesis", "--tier", "sd15", "--work", str(work), "--presets", "draft", "--no-detect", "--json"]
    before = os.environ.get("AUTTER_SD15")
    try:
        assert main([*words, "--weights", str(tiny_weights), "--frames", "2", "--sheet", str(work / "sheet.png")]) == 0
    finally:
        tier.free()
    assert os.environ.get("AUTTER_SD15") == before
    printed = capsys.readouterr().out
    report = json.loads(printed.strip().splitlines()[-1])
    report = report.get("synthesis", report)
    rows = report["groups"]["actors"]
    assert set(rows) == {"real clip", "portrait standing still", "warp only", "sd15, draft"} and report["weights"] == "echomimic_pose"
    assert rows["real clip"]["crop"] > 60 > rows["warp only"]["crop"] > rows["sd15, draft"]["crop"] > 0  # random weights paint noise
    assert rows["sd15, draft"]["crop_gain"] < 0 and rows["sd15, draft"]["fps"] > 0
    assert report["goals"]["actors"]["crop_gain"]["verdict"] == "missed" and (work / "sheet.png").stat().st_size > 1000
    assert "stay near silence" in printed and "floors and aims" in printed


def test_what_is_missing_is_a_sentence(tiny_weights: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--stage", "synthesis", "--tier", "sd15", "--work", str(work / "nothing")]
    assert main([*words, "--weights", str(tiny_weights)]) == 2 and "no held-out face crops" in capsys.readouterr().err
    assert main([*words, "--weights", str(work / "nowhere")]) == 2 and "which is no folder" in capsys.readouterr().err
