# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside bpy: installs the built zip and makes a shot with the add-on's operators, as an animator's script would.

    python demo_scene.py SHOT.json

SHOT.json holds zip, portrait, audio, aus (files), frames, fps, out (a folder), rig and result (files to write).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Iterator

import bpy
import numpy as np

MODULE = "bl_ext.user_default.autter"
REPOSITORY = "user_default"
FIRST_FRAME = 1


class Report:
    """Phases with their seconds, told as they begin."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self) -> None:
        """Tell from another thread how far the backend's job is; reads plain Python objects only."""
        while True:
            time.sleep(2.0)
            link = sys.modules.get(MODULE + ".backend_link")
            for job in list(link.book.open.values()) if link else ():
                if job.total:
                    print(f"AUTTER {job.title.lower()}: {job.phase or 'frames'} {job.done} of {job.total}", flush=True)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time one phase."""
        print(f"AUTTER {name}", flush=True)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 2)


def make_shot(shot: dict[str, Any]) -> dict[str, Any]:
    """The whole shot; what is to be told of it."""
    report = Report()
    threading.Thread(target=report.watch, daemon=True).start()
    out = Path(shot["out"])
    with report.phase("install"):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.extensions.package_install_files(filepath=shot["zip"], repo=REPOSITORY, enable_on_install=True, overwrite=True)
        scene = prepare_scene(shot["fps"], out / "shot.blend")
    with report.phase("actor"):
        bpy.ops.autter.new_actor(filepath=shot["portrait"], wait=True)
        actor = scene.autter.actor
    with report.phase("voice and keys"):
        scene.frame_start, scene.frame_end = FIRST_FRAME, FIRST_FRAME + shot["frames"] - 1
        bpy.ops.autter.add_voice(filepath=shot["audio"], frame_start=FIRST_FRAME)
        bpy.ops.autter.import_aus(filepath=shot["aus"], frame_start=FIRST_FRAME)
    with report.phase("predict"):
        bpy.ops.autter.predict(wait=True)
    with report.phase("render"):
        bpy.ops.autter.render(wait=True, filepath=str(out / "talk.mp4"))
    with report.phase("save"):
        write_rig(actor, scene, Path(shot["rig"]))
        bpy.ops.wm.save_mainfile(relative_remap=True)
    editor = scene.sequence_editor
    strips = [f"{strip.name} ({strip.type.lower()})" for strip in (editor.strips if hasattr(editor, "strips") else editor.sequences)]
    return {"actor": actor.name, "strips": strips, "seconds": report.seconds, "blender": bpy.app.version_string}


def prepare_scene(fps: list[int], path: Path) -> bpy.types.Scene:
    """An empty scene at the rate, saved, so that every path in it can be relative."""
    bpy.context.preferences.filepaths.save_version = 0  # no shot.blend1 beside the result
    scene = bpy.context.scene
    rate = fps[0] / fps[1]
    scene.render.fps = round(rate + 0.49) if fps[1] != 1 else fps[0]
    scene.render.fps_base = scene.render.fps / rate
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return scene


def write_rig(actor: bpy.types.Object, scene: bpy.types.Scene, path: Path) -> None:
    """The evaluated rig and AUs of every frame, for the contact sheet."""
    frames = range(scene.frame_start, scene.frame_end + 1)
    evaluation, curves = import_module(MODULE + ".evaluation"), import_module(MODULE + ".curves")
    _, keyed = curves.sample_aus(actor, frames)
    compat = import_module(MODULE + ".compat")
    fps = compat.frame_rate(scene)
    np.savez(
        path,
        landmarks=evaluation.sample_landmarks(actor, frames),
        aus=curves.sample_rendered_aus(actor, frames),
        keyed=keyed,
        fps=np.array([fps.numerator, fps.denominator]),
        frame_start=frames.start,
    )


def main() -> int:
    """Make the shot that the file describes and write the result or the fault."""
    shot = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    result = Path(shot["result"])
    try:
        answer, code = make_shot(shot), 0
    except RuntimeError as error:
        # An operator's report: "Error: sentence hint"
        traceback.print_exc()
        answer, code = {"fault": str(error).strip().removeprefix("Error: ")}, 2
    result.write_text(json.dumps(answer), encoding="utf-8")
    return code


if __name__ == "__main__":
    status = 1
    try:
        status = main()
    except Exception:
        traceback.print_exc()
    finally:
        try:
            bpy.ops.preferences.addon_disable(module=MODULE)  # ends the backend
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # Blender 4.5 may hang in its own teardown
