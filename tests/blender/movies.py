# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies for tests, written by Blender itself, and a backend's double that renders them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy

SIZE = (64, 80)


def write(path: Path, frames: int, fps: int = 24) -> Path:
    """A silent movie of so many frames."""
    scene = bpy.data.scenes.new("movie")
    try:
        scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *SIZE, 100
        scene.render.fps, scene.frame_start, scene.frame_end = fps, 1, frames
        editor = scene.sequence_editor_create()
        strips = editor.strips if hasattr(editor, "strips") else editor.sequences
        length = {"length": frames} if bpy.app.version >= (5, 0, 0) else {"frame_end": frames + 1}
        strips.new_effect(name="colour", type="COLOR", channel=1, frame_start=1, **length)
        settings = scene.render.image_settings
        if hasattr(settings, "media_type"):
            settings.media_type = "VIDEO"
        settings.file_format = "FFMPEG"
        scene.render.ffmpeg.format, scene.render.ffmpeg.codec = "MPEG4", "H264"
        scene.render.filepath, scene.render.use_file_extension = str(path), False
        path.parent.mkdir(parents=True, exist_ok=True)
        with bpy.context.temp_override(scene=scene):
            bpy.ops.render.render(animation=True, scene=scene.name)
    finally:
        bpy.data.scenes.remove(scene)
    assert path.is_file(), path
    return path


def rendering(addon) -> Callable:
    """An answer to ``render`` as the backend gives it: a movie, and the folder that remembers it."""

    def answer(request):
        client = addon.backend_link.current_client()
        cut = request.job in client.cancelled
        frames = getattr(client, "partial", 1) if cut else request.shot.frame_count
        write(Path(request.out_path), frames)
        made = None if request.reuse is None else frames - request.reuse.frame_count
        report = {"frames": frames, "frames_per_second": 12.0, "cancelled": cut, "made": made, "notes": []}
        folders, memory = addon.bridge.shot_folder, request.memory
        content = folders.ShotFolder(request.shot, request.track, {**memory.record, "movie": Path(request.out_path).name, "report": report})
        folders.write_shot_folder(memory.folder, content, project=memory.project)
        return {"path": str(request.out_path), "seconds": 1.0, "report": report}, {}

    return answer
