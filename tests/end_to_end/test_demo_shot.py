# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole path inside this Blender: zip, actor, voice, keys, prediction, render, strips, and the file opened again.

The shot is made by tools/demo_scene.py in a process of its own, on one second of the sample line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.blender

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 20
SMILE = ((0, 0.0), (10, 4.0), (19, 0.0))  # frame from 0, AU12
BLINK = ((0, 0.0), (5, 5.0), (10, 0.0), (19, 0.0))  # AU45


def one_second_of_sample(path: Path) -> Path:
    """The beginning of the sample line as a WAV file."""
    with wave.open(str(ROOT / "backend" / "sample" / "line.wav")) as whole, wave.open(str(path), "wb") as part:
        part.setparams(whole.getparams())
        part.writeframes(whole.readframes(whole.getframerate() * FRAMES // 24))
    return path


def au_table(path: Path) -> Path:
    """A row for every frame."""
    rows = ["timestamp,AU12_r,AU45_r"]
    for frame in range(FRAMES):
        smile, blink = (np.interp(frame, [key[0] for key in keys], [key[1] for key in keys]) for keys in (SMILE, BLINK))
        rows.append(f"{frame / 24:.4f},{smile:.3f},{blink:.3f}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def run_in_blender(script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A script in a fresh bpy."""
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300)


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A finished shot: its request, with ``answer`` added."""
    if "AUTTER_ZIP" not in os.environ:
        pytest.skip("needs the built zip: run build.py test")
    folder = tmp_path_factory.mktemp("shot ünïcode")
    request: dict[str, Any] = {
        "zip": os.environ["AUTTER_ZIP"],
        "portrait": str(next((ROOT / "backend" / "sample").glob("portrait.*"))),
        "audio": str(one_second_of_sample(folder / "voice.wav")),
        "frames": FRAMES,
        "aus": str(au_table(folder / "aus.csv")),
        "fps": [24, 1],
        "out": str(folder),
        "rig": str(folder / "rig.npz"),
        "result": str(folder / "result.json"),
    }
    (folder / "shot.json").write_text(json.dumps(request), encoding="utf-8")
    done = run_in_blender(ROOT / "tools" / "demo_scene.py", folder / "shot.json")
    assert (folder / "result.json").exists(), done.stdout[-3000:] + done.stderr[-3000:]
    request["answer"] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert "fault" not in request["answer"], request["answer"]
    return request


def test_the_movie_has_the_scenes_rate_and_the_voices_length(shot: dict[str, Any]) -> None:
    question = "import json, sys; from pathlib import Path; from tools.movie_check import read_movie;"
    question += "print(json.dumps(read_movie(Path(sys.argv[1]))[0].to_dict()))"
    command = [os.environ["AUTTER_BACKEND_PYTHON"], "-c", question, str(Path(shot["out"]) / "talk.mp4")]
    movie = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert (movie["video_codec"], movie["audio_codec"], movie["pixel_format"]) == ("h264", "aac", "yuv420p")
    assert movie["fps"] == "24" and movie["frames"] == FRAMES
    assert "synthetic" in movie["comment"].lower()


def test_the_rig_follows_the_keys(shot: dict[str, Any]) -> None:
    with np.load(shot["rig"]) as rig:
        landmarks, aus, keyed = rig["landmarks"], rig["aus"], rig["keyed"]
    assert landmarks.shape == (FRAMES, 162, 2) and np.isfinite(landmarks).all()
    assert keyed[:, 8].all() and keyed[:, 17].all() and keyed.any(0).sum() == 2
    assert aus[10, 8] == pytest.approx(4, abs=0.01) and aus[0, 8] == pytest.approx(0, abs=0.01)
    # Groups: 40 lip points, then the left and right eye with 16 each; upper lid 11..13, lower lid 3..5 of an eye.
    lids = np.linalg.norm(landmarks[:, [52, 68]] - landmarks[:, [44, 60]], axis=-1).mean(1)
    assert lids[5] < 0.6 * lids[0]
    mouth = np.linalg.norm(landmarks[:, 10] - landmarks[:, 0], axis=-1)
    assert mouth[10] > mouth[0]


REOPEN = """
import json, sys, bpy
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = bpy.context.scene
actor = next(item for item in scene.objects if item.type == "ARMATURE")
editor = scene.sequence_editor
strips = editor.strips if hasattr(editor, "strips") else editor.sequences
tracks = actor.animation_data.nla_tracks
print("ANSWER" + json.dumps({
    "bones": len(actor.data.bones),
    "keyed": [key for key in ("AU04", "AU12", "AU45") if actor.animation_data.action and actor[key] is not None],
    "predicted": [(track.name, track.lock, [strip.frame_end for strip in track.strips]) for track in tracks],
    "movies": [(strip.filepath, strip.frame_final_start, strip.frame_final_duration) for strip in strips if strip.type == "MOVIE"],
    "sounds": [strip.sound.filepath for strip in strips if strip.type == "SOUND"],
    "images": [image.filepath for image in bpy.data.images if image.source == "FILE"],
    "rate": scene.render.fps / scene.render.fps_base,
    "end": scene.frame_end,
}))
sys.stdout.flush()
import os
os._exit(0)
"""


def test_the_saved_file_holds_it_all_without_the_addon(shot: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "reopen.py"
    script.write_text(REOPEN, encoding="utf-8")
    done = run_in_blender(script, Path(shot["out"]) / "shot.blend")
    line = next((line for line in done.stdout.splitlines() if line.startswith("ANSWER")), None)
    assert line, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(line[len("ANSWER") :])
    assert found["bones"] >= 163 and found["rate"] == 24 and found["end"] == FRAMES
    assert ["Predicted", True] in [track[:2] for track in found["predicted"]]
    (movie,) = found["movies"]
    assert movie == ["//talk.mp4", 1, FRAMES]
    assert all(path.startswith("//") for path in found["images"] + found["sounds"]), found


def test_bad_input_is_one_sentence(shot: dict[str, Any], tmp_path: Path) -> None:
    no_image = tmp_path / "portrait.png"
    no_image.write_bytes(b"this is no picture")
    request = {**shot, "portrait": str(no_image), "out": str(tmp_path), "result": str(tmp_path / "result.json")}
    (tmp_path / "shot.json").write_text(json.dumps(request), encoding="utf-8")
    done = run_in_blender(ROOT / "tools" / "demo_scene.py", tmp_path / "shot.json")
    fault = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["fault"]
    assert done.returncode == 2 and "portrait.png" in fault and "Traceback" not in fault
    assert not (tmp_path / "talk.mp4").exists()
