# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped sample: a synthetic actor's portrait, a line of speech, and a short performance keyed in AUs."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

import bpy

from . import actors, au_keys, backend_link, build_actor, compat, curves, outputs, sequencer
from .bridge import paths
from .bridge.faults import Fault
from .build_actor import relative_path
from .jobs import Job

SCENE_NAME = "AUtter Sample"
FPS = 25
PORTRAITS = (".png", ".jpg", ".jpeg", ".webp")
RECORDINGS = (".wav", ".flac", ".ogg")
TABLES = (".csv",)


def sample_folder() -> Path:
    """Where the zip keeps the sample; Fault ``sample-missing``."""
    folder = Path(__file__).parent / "data" / "sample"
    if not folder.is_dir():
        raise Fault(
            "sample-missing",
            "This copy of AUtter holds no sample material.",
            "Install the released zip, or use your own portrait and recording.",
        )
    return folder


def sample_file(kinds: tuple[str, ...]) -> Path:
    """A copy of the sample's portrait or recording in the user's data folder: the add-on's own folder comes and goes."""
    found = sorted(path for path in sample_folder().iterdir() if path.suffix.lower() in kinds)
    if not found:
        raise Fault("sample-missing", "The sample material is incomplete.", "Install the released zip again.")
    kept = (
        outputs.writable(paths.user_data_dir() / "sample", f"Choose another folder with the variable {paths.HOME_VARIABLE}.")
        / found[0].name
    )
    if not kept.is_file() or kept.stat().st_size != found[0].stat().st_size:
        shutil.copyfile(found[0], kept)
    return kept


def new_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """An empty scene at 25 frames a second, shown in the window and in the sequencer."""
    scene = bpy.data.scenes.new(SCENE_NAME)
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    scene.frame_start = 1
    if context.window is not None:
        context.window.scene = scene
    compat.show_sequencer_scene(context, scene)
    return scene


def furnish(context: bpy.types.Context, actor: bpy.types.Object) -> None:
    """Voice and keys for the sample's actor, and the frame range to hold them."""
    scene, recording = context.scene, sample_file(RECORDINGS)
    actor.autter.consent = "A made-up face that comes with AUtter"
    seconds = _seconds(recording)
    if compat.can_make_sound_strips():
        strip = sequencer.add_voice_strip(scene, recording, scene.frame_start)
        left, right = compat.strip_handles(strip)
        seconds = (right - left) / FPS
    else:
        scene.autter.voice_file, scene.autter.voice_frame = relative_path(recording), scene.frame_start
    scene.frame_end = scene.frame_start + max(1, round(seconds * FPS)) - 1
    curves.set_keys(actor, au_keys.read_keys(sample_file(TABLES), compat.frame_rate(scene)), scene.frame_start, compat.frame_rate(scene))
    scene.frame_set(scene.frame_start)
    build_actor.add_camera(context, actor)


def _seconds(recording: Path) -> float:
    """Length of a WAV; four seconds for anything else, where Blender has no sound to ask."""
    try:
        with wave.open(str(recording), "rb") as file:
            return file.getnframes() / file.getframerate()
    except (wave.Error, EOFError):
        return 4.0


def next_job(context: bpy.types.Context, job: Job) -> Job | None:
    """What follows a finished job of the sample: after the portrait the prediction, after that the render."""
    from . import predicting
    from .rendering import request_render

    steps = job.details.get("steps", ())
    if not steps:
        return None
    actor = actors.require_actor(context, context.scene.autter.actor.name if context.scene.autter.actor else "")
    frames = range(context.scene.frame_start, context.scene.frame_end + 1)
    if steps[0] == "predict":
        following = predicting.request(context, actor, frames, 0)
    else:
        following = request_render(context, actor, frames, None)
    following.details["steps"] = tuple(steps[1:])
    backend_link.touch()
    return following
