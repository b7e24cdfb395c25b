# SPDX-License-Identifier: GPL-3.0-or-later
"""Stills as training data: portraits made of pictures, which alone are targets."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from drawn_faces import drawn_face, drawn_points  # noqa: E402
from PIL import Image  # noqa: E402

from backend.synthesis.small.warp import landmark_warp  # noqa: E402
from backend.training.small import perceptual  # noqa: E402
from backend.training.small.cache import FaceClip, load_clips  # noqa: E402
from backend.training.small.config import tiny_config  # noqa: E402
from backend.training.small.loop import Trainer  # noqa: E402
from backend.training.small.pack import load_pack, pack_cache  # noqa: E402
from backend.training.small.pairs import PairSampler, row_likelihoods  # noqa: E402
from backend.training.small.stills import WIDEST_LIPS, cache_stills, stills_of_clips  # noqa: E402
from bridge.faults import Fault  # noqa: E402

pytestmark = pytest.mark.unit
SAMPLE = Path(__file__).resolve().parents[2] / "backend" / "sample" / "portrait.jpg"


def clip(name: str, dataset: str, validation: bool = False) -> FaceClip:
    points = np.stack([drawn_points(opening=0.004 * row, lids=1 - 0.04 * row) for row in range(5)])
    pictures = np.stack([drawn_face(rows, 256) for rows in points])
    return FaceClip(name, dataset, name, pictures, points, np.ones((5, 18), np.float32), True, validation)


@pytest.fixture
def lenders() -> list[FaceClip]:
    return [clip("one", "grid"), clip("two", "actors"), clip("three", "grid", validation=True)]


def test_frames_of_clips_become_stills(lenders: list[FaceClip], tmp_path: Path) -> None:
    made = stills_of_clips(tmp_path, lenders, ("grid",), 2)
    assert [still.name for still in made] == ["stills_one-0000", "stills_one-0004"]  # not the held-out one
    for still, row in zip(made, (0, 4)):
        assert still.originals == 1 and len(still.points) > 1 and not still.consecutive and still.person == "one (stills)"
        assert np.array_equal(still.frames[0], lenders[0].frames[row])
        moved = np.abs(still.points[1:] - still.points[0]).max((1, 2))
        assert 0 < moved.min() and moved.max() < WIDEST_LIPS
        assert all((frame != still.frames[0]).any() for frame in still.frames[1:])
        back = landmark_warp(still.points[1], still.points[0], led=True)
        assert back.kept == 1.0
    assert stills_of_clips(tmp_path, lenders, ("grid",), 2) == []  # they are there
    assert [still.originals for still in load_clips(tmp_path)] == [1, 1]


def test_only_originals_are_targets_and_only_the_others_portraits(lenders: list[FaceClip], tmp_path: Path) -> None:
    for task in ("mouth", "eyes", "any", "still"):
        portrait, target = row_likelihoods(lenders[0].points, task, originals=2)
        assert not portrait[:2].any() and (portrait[2:] > 0).all() and (target[:2] > 0).all() and not target[2:].any()
        assert portrait.sum() == pytest.approx(1) and target.sum() == pytest.approx(1)
    made = stills_of_clips(tmp_path, lenders, ("grid",), 1)
    sampler = PairSampler(made, tiny_config(), seed=3)
    for _ in range(20):
        drawn = sampler.recipe(64)
        assert drawn.goal == 0 and drawn.start > 0 and not drawn.has_previous


def test_unknown_aus_are_not_told(lenders: list[FaceClip]) -> None:
    unknown = replace(lenders[0], aus=np.full((5, 18), np.nan, np.float32))
    sampler = PairSampler([unknown], replace(tiny_config(), no_aus=0.0), seed=1)
    assert sampler.recipe(64).aus() is None and np.isfinite(sampler.pair(64).aus).all()


def test_photographs_of_a_folder(
    lenders: list[FaceClip], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, cache = tmp_path / "pictures", tmp_path / "cache"
    pictures.mkdir()
    Image.open(SAMPLE).save(pictures / "someone.png")
    Image.new("RGB", (300, 300), "grey").save(pictures / "nobody.png")
    (pictures / "broken.jpg").write_bytes(b"no picture")
    (pictures / "notes.txt").write_text("no picture either")
    (made,) = cache_stills(pictures, cache, lenders)
    told = capsys.readouterr().out
    assert "nobody.png is passed over: No face" in told and "broken.jpg is passed over" in told and "notes" not in told
    assert made.person == "someone" and made.originals == 1 and len(made.points) > 1 and np.isnan(made.aus).all()
    again = load_clips(cache)[0]
    assert again.name == "stills_someone" and again.originals == 1 and np.array_equal(again.frames, made.frames)

    monkeypatch.setattr(perceptual, "imagenet_state", lambda: {"one": torch.zeros(1)})
    pack_cache([made], tmp_path / "pack")
    packed = load_pack(tmp_path / "pack")[0]
    assert packed.originals == 1 and np.isnan(packed.aus).all() and len(packed.frames) == len(made.frames)

    with pytest.raises(Fault, match="expressions the stills could borrow"):
        cache_stills(pictures, tmp_path / "other", lenders[2:])


def test_a_run_on_stills_beside_clips(lenders: list[FaceClip], tmp_path: Path) -> None:
    made = stills_of_clips(tmp_path / "cache", lenders, ("grid",), 2)
    trainer = Trainer(replace(tiny_config(), minutes=0.02), [*lenders, *made], tmp_path / "run", report=lambda line: None)
    result = trainer.run()
    assert trainer.steps > 1 and np.isfinite(result["grid"]["crop_gain"])
