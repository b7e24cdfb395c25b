# SPDX-License-Identifier: GPL-3.0-or-later
"""Where finished takes go and what they are called."""

from __future__ import annotations

import os
from pathlib import Path

import bpy

from .bridge import paths
from .bridge.faults import Fault
from .preferences import preferences


def takes_folder(scene: bpy.types.Scene) -> Path:
    """The scene's output folder, else ``autter`` beside the .blend, else the preferences' folder, else the user's data folder.

    It is made if absent. Fault ``folder-read-only`` where nothing can be written.
    """
    chosen = preferences()
    if scene.autter.output_folder:
        folder = Path(bpy.path.abspath(scene.autter.output_folder))
    elif bpy.data.filepath:
        folder = Path(bpy.data.filepath).parent / "autter"
    elif chosen is not None and chosen.output_folder:
        folder = Path(bpy.path.abspath(chosen.output_folder))
    else:
        folder = paths.user_data_dir() / "takes"
    return writable(folder)


def writable(folder: Path) -> Path:
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
            "Choose another output folder in the Render panel.",
        ) from None
    return folder


def next_take(folder: Path, actor_name: str) -> Path:
    """A file name that is not taken: ``<actor>_take001.mp4``."""
    stem = bpy.path.clean_name(actor_name) or "actor"
    for number in range(1, 10000):
        path = folder / f"{stem}_take{number:03d}.mp4"
        if not path.exists():
            return path
    raise Fault("takes-full", f"{folder} holds 9999 takes of {actor_name}.", "Move some of them away or choose another output folder.")
