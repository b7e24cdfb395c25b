# SPDX-License-Identifier: GPL-3.0-or-later
"""The real backend with tiny weights: over the socket as Blender asks for it, and from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

from bridge.client import Client  # noqa: E402
from bridge.shot import RenderSettings, Shot, Track  # noqa: E402
from tests.process.backends import ROOT, finished, gather, saw  # noqa: E402

pytestmark = pytest.mark.process
FRAMES, PATIENCE = 6, 400.0


@pytest.fixture(scope="module")
def environment(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tiny weights as the user's own, caches apart."""
    home = str(tmp_path_factory.mktemp("home"))
    return {"PYTHONPATH": str(ROOT), "AUTTER_SD15": str(tiny_weights), "AUTTER_HOME": home, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def track(environment: dict[str, str]) -> Track:
    """The sample portrait's landmarks, swaying."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTTER_HOME", environment["AUTTER_HOME"])
        from backend.portrait.cache import load_face

        face = load_face(str(portrait()))
    sway = np.sin(np.arange(FRAMES, dtype=np.float32))[:, None, None] * np.float32(3)
    landmarks = face.landmarks[None] + sway
    from fractions import Fraction

    return Track(landmarks, np.zeros_like(landmarks), Fraction(25), face.size, face.landmarks)


def portrait() -> Path:
    return next((ROOT / "backend" / "sample").glob("portrait.*"))


def shot(**choices: object) -> Shot:
    from fractions import Fraction

    empty, still = np.zeros((FRAMES, 18), np.float32), np.tile(np.asarray([0, 0, 0, 0, 0, 1], np.float32), (FRAMES, 1))
    settings = RenderSettings(tier="sd15", preset="draft", **choices)  # type: ignore[arg-type]
    mask = np.zeros((FRAMES, 6), bool)
    return Shot(1, Fraction(25), str(portrait()), (), empty, empty.astype(bool), still, mask, render=settings)


def test_renders_cancels_and_tells_of_the_tier_over_the_socket(environment: dict[str, str], track: Track, tmp_path: Path) -> None:
    client = Client(sys.executable, environment=environment, log_path=tmp_path / "backend.log")
    try:
        job = client.render(shot(sd15_steps=2), track, tmp_path / "a.mp4")
        events = gather(client, finished(job), PATIENCE)
        final = events[-1] if events[-1].kind in ("result", "failed") else next(e for e in events if e.kind in ("result", "failed"))
        assert final.kind == "result", final.header
        report = final.header["report"]
        assert (report["tier"], report["steps"], report["frames"]) == ("sd15", 2, FRAMES) and (tmp_path / "a.mp4").stat().st_size > 1000
        assert "EchoMimic" in report["notes"][0] and "GB" in report["notes"][0]
        told = [e.header["done"] for e in events if e.kind == "progress" and e.header["phase"] == "rendering"]
        assert told == sorted(told) and told[-1] == FRAMES
        job = client.render(shot(sd15_steps=50), track, tmp_path / "b.mp4")
        gather(client, saw("started", job), PATIENCE)
        client.cancel(job)
        ended = [event for event in gather(client, finished(job), PATIENCE) if event.kind == "failed"]
        assert ended and ended[0].header["code"] == "cancelled" and not (tmp_path / "b.mp4").exists()
        gather(client, lambda _: bool(client.tiers) or client.request_status() is not None, PATIENCE)
        assert client.tiers["sd15"]["ready"] and client.tiers["sd15"]["weights"] == "echomimic_pose"
        client.free_memory()
        gather(client, saw("status"), PATIENCE)
    finally:
        client.close()


def test_a_range_from_the_command_line(environment: dict[str, str], track: Track, tmp_path: Path) -> None:
    from backend.tracks import write_track

    write_track(tmp_path / "track.npz", track)
    words = ["render", "--tier", "sd15", "--preset", "draft", "--steps", "1", "--frames", "2-4", "--json"]
    words += ["--portrait", str(portrait()), "--track", str(tmp_path / "track.npz"), "--out", str(tmp_path / "part.mp4")]
    command = [sys.executable, "-m", "backend", *words]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.strip().splitlines()[-1])
    assert report["frames"] == 3 and report["tier"] == "sd15" and report["steps"] == 1


def test_without_weights_a_render_says_so_in_one_sentence(environment: dict[str, str], track: Track, tmp_path: Path) -> None:
    from backend.tracks import write_track

    write_track(tmp_path / "track.npz", track)
    words = ["--tier", "sd15", "--portrait", str(portrait()), "--track", str(tmp_path / "track.npz"), "--out", str(tmp_path / "no.mp4")]
    bare = {**os.environ, **environment, "AUTTER_SD15": "", "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-m", "backend", "render", *words]
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2 and "missing" in done.stderr and "doctor --tier sd15 --fetch" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "no.mp4").exists()
