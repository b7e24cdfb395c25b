# SPDX-License-Identifier: GPL-3.0-or-later
"""Where finished takes go and what they are called."""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

import bpy

from .bridge import paths, reservations
from .bridge.faults import Fault
from .preferences import preferences


def takes_folder(scene: bpy.types.Scene) -> Path:
    """``takes_place``, made if absent. Fault ``folder-read-only`` where nothing can be written."""
    return writable(takes_place(scene))


def takes_place(scene: bpy.types.Scene) -> Path:
    """The scene's output folder, else ``autter`` beside the .blend, else the preferences' folder, else the user's data folder."""
    chosen = preferences()
    if scene.autter.output_folder:
        return Path(bpy.path.abspath(scene.autter.output_folder))
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / "autter"
    if chosen is not None and chosen.output_folder:
        return Path(bpy.path.abspath(chosen.output_folder))
    return paths.user_data_dir() / "takes"


def writable(folder: Path, hint: str = "Choose another output folder in the Render panel.") -> Path:
    """The folder, made if absent; Fault ``folder-read-only``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".autter-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Fault(
            "folder-read-only",
            f"Nothing can be written to {folder}: {error.strerror or error}.",
            hint,
        ) from None
    return folder


def next_take(folder: Path, actor_name: str, spoken_for: Container[Path] = ()) -> Path:
    """A file name that is taken neither on disk nor by a job under way, here or in another Blender: ``<actor>_take001.mp4``.

    It is spoken for until ``reservations.release``. Fault ``takes-full``.
    """
    stem = bpy.path.clean_name(actor_name) or "actor"
    reservations.remove_forgotten(folder)
    for number in range(1, 10000):
        path = folder / f"{stem}_take{number:03d}.mp4"
        if path.exists() or path in spoken_for or path.with_suffix(".take").exists():
            continue
        with suppress(OSError):  # the backend will say why nothing can be written
            if not reservations.reserve(path):
                continue
        if not path.exists():  # another Blender's that was finished at this moment
            return path
        reservations.release(path)
    raise Fault("takes-full", f"{folder} holds 9999 takes of {actor_name}.", "Move some of them away or choose another output folder.")
