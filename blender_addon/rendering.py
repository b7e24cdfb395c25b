# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for a render: a new take, a take once more, or a take's edited range."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from . import backend_link, compat, consent, outputs, shots, takes
from .bridge.client import TakeMemory
from .bridge.faults import Fault
from .bridge.reuse import Reuse, reuse_of
from .bridge.shot import Shot, Track
from .bridge.shot_folder import ShotFolder
from .jobs import Job
from .voices import check_same_rate


def request_render(context: bpy.types.Context, actor: bpy.types.Object, frames: range, out: Path | None) -> Job:
    """A render of the actor as it moves now, under way."""
    check_same_rate(compat.sequencer_scene(context), context.scene)
    out = movie_path(context, actor.name, out)
    shot = shots.make_shot(context, actor, frames)
    shot = replace(shot, render=replace(shot.render, consent=actor.autter.consent))  # goes into the movie's credentials too
    track = shots.make_track(context, actor, frames)
    return _send(context, actor.name, actor, shot, track, out, {"consent": consent.of(actor)})


def request_again(context: bpy.types.Context, name: str, content: ShotFolder) -> Job:
    """The same take once more, from what its folder remembers."""
    check_rate(content.shot, compat.sequencer_scene(context))
    out = movie_path(context, str(content.record.get("actor") or name), None)
    record = {"consent": content.record.get("consent"), "redo_of": name}
    actor_name = str(content.record.get("actor", ""))
    return _send(context, actor_name, bpy.data.objects.get(actor_name), content.shot, _track_of(content, name), out, record)


def request_edited(context: bpy.types.Context, actor: bpy.types.Object, take: takes.Take, content: ShotFolder) -> tuple[Job, Reuse]:
    """The take with what has been edited since: only the frames that changed are rendered.

    Raises Fault ``take-unchanged``, ``take-differs``.
    """
    scene = compat.sequencer_scene(context)
    check_rate(content.shot, scene)
    check_same_rate(scene, context.scene)
    first = content.shot.frame_start
    frames = range(first, first + content.shot.frame_count)
    shot = shots.make_shot(context, actor, frames)
    track = shots.make_track(context, actor, frames)
    shot = replace(shot, seed=content.shot.seed, render=content.shot.render)  # of the pictures; the motion is in the track
    former = (replace(content.shot, portrait=takes.found_again(content.shot.portrait, shot.portrait)), _track_of(content, take.name))
    reuse = reuse_of(str(take.movie), take.frames, former, (shot, track))
    if reuse.frame_count == len(track.landmarks) and content.shot.voice == shot.voice:
        raise Fault("take-unchanged", f"Nothing has changed since {take.name} was rendered.", "Edit the rig first, or use Redo Take.")
    out = movie_path(context, actor.name, None)
    record = {"consent": consent.of(actor), "edit_of": take.name, "made_frames": len(track.landmarks) - reuse.frame_count}
    return _send(context, actor.name, actor, shot, track, out, record, reuse), reuse


def movie_path(context: bpy.types.Context, actor_name: str, out: Path | None) -> Path:
    """Where the movie goes: ``out``, else the next take. Fault ``movie-type`` or ``folder-read-only``."""
    if out is None:
        book = backend_link.book
        taken = {Path(job.details["path"]) for job in [*book.open.values(), *book.finished, *book.lost] if "path" in job.details}
        return outputs.next_take(outputs.takes_folder(context.scene), actor_name, taken)
    outputs.writable(out.parent)
    if out.suffix.lower() != ".mp4":
        raise Fault("movie-type", f"A take is an .mp4 file, not {out.suffix or 'a file without ending'}.", "Give a name that ends in .mp4.")
    return out


def check_rate(shot: Shot, scene: bpy.types.Scene) -> None:
    """A movie strip is never conformed: Fault ``frame-rates-differ`` where the take would drift in this scene."""
    if shot.fps != compat.frame_rate(scene):
        raise Fault(
            "frame-rates-differ",
            f"The take runs at {float(shot.fps):g} frames a second, the scene at {float(compat.frame_rate(scene)):g}.",
            "Render it anew with Render to Sequencer.",
        )


def _track_of(content: ShotFolder, name: str) -> Track:
    if content.track is None:
        raise Fault("take-damaged", f"{name} remembers no motion.", "Render it anew with Render to Sequencer.")
    return content.track


def _send(
    context: bpy.types.Context,
    actor_name: str,
    actor: bpy.types.Object | None,
    shot: Shot,
    track: Track,
    out: Path,
    record: dict[str, Any],
    reuse: Reuse | None = None,
) -> Job:
    memory = TakeMemory(takes.folder_of_movie(out), takes.project_folder(), {**facts(context, actor_name), **record})
    details = {"shot": shot, "path": str(out), "sequencer_scene": compat.sequencer_scene(context).name, "actor": actor_name}

    def send(client: Any) -> int:
        return client.render(shot, track, out, keep_partial=True, reuse=reuse, memory=memory)

    return backend_link.start_job("render", send, backend_link.origin(context.scene, actor), details)


def facts(context: bpy.types.Context, actor_name: str) -> dict[str, Any]:
    """What every take and job notes of where it comes from."""
    return {
        "actor": actor_name,
        "scene": context.scene.name,
        "blend": bpy.path.basename(bpy.data.filepath),
        "blender": bpy.app.version_string,
        "asked": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
