# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing real clips, where the data folder is at hand."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from backend.motion.measures import lip_gap
from backend.training.motion.clips import clip_video, clip_voice, load_tracked
from backend.training.motion.dataset import Shares, WindowSource
from backend.training.prepare.grid import clips_of, is_prepared, prepare_grid
from bridge.faults import Fault

pytestmark = pytest.mark.unit


def test_a_clip_becomes_motion_and_a_second_call_keeps_it(data_folder, tmp_path):
    from backend.motion.face import reference_face

    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("bbaf2n.mp4", "bbaf2n.flac"):
        shutil.copy(data_folder / "grid" / "clips" / name, clips / name)
    out = tmp_path / "out"
    assert prepare_grid(clips, out) == {"written": 1, "kept": 0, "without_face": 0}
    assert prepare_grid(clips, out)["kept"] == 1
    with np.load(out / "bbaf2n.npz") as data:
        assert data["landmarks"].shape == (75, 162, 2) and data["mesh"].shape == (75, 478, 3) and data["aus"].shape == (75, 18)
    clip = load_tracked(out, None)[0]
    gap = lip_gap(clip.neutral + clip.motion * clip.scale)
    assert gap.max() > 0.08 and np.percentile(gap, 10) < 0.02 and clip.closed.any() and not clip.closed.all()
    assert np.abs(clip.motion).max() < 0.4
    assert clip_video(clip.path).name == "bbaf2n.mp4" and abs(len(clip_voice(clip.path)) - 48000) < 2000
    window = next(WindowSource([clip], [], reference_face(), 72, 0).batches(4, Shares(0.0, 0.5, 0.25)))[0]
    assert window.voice.shape == (72, 324) and window.motion.shape == (72, 324) and 0 <= window.aus.min() and window.aus.max() <= 1


def test_folders_without_clips_are_named(tmp_path):
    for call in (lambda: clips_of(tmp_path), lambda: load_tracked(tmp_path, True)):
        with pytest.raises(Fault) as fault:
            call()
        assert fault.value.code == "data-missing"
    (tmp_path / "half.npz").write_bytes(b"broken")
    assert not is_prepared(tmp_path / "half.npz")
