# SPDX-License-Identifier: GPL-3.0-or-later
"""Files behind Blender's image and sound datablocks, on disk where the backend can read them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import bpy

from .bridge import paths
from .bridge.faults import Fault


def file_of(datablock: bpy.types.ID, code: str, what: str) -> Path:
    """Absolute path of an image's or sound's file. What is packed into the .blend and no longer on disk is written to
    the cache. ``code`` and ``what`` name the Fault and the thing where there is neither.
    """
    path = Path(bpy.path.abspath(datablock.filepath, library=datablock.library))
    if path.is_file():
        return path
    packed = getattr(datablock, "packed_file", None)
    if packed is not None and packed.size:
        return _unpacked(bytes(packed.data), path.suffix)
    raise Fault(code, f"The {what} {path} is not there.", "Put the file back, or find it with File > External Data > Find Missing Files.")


def _unpacked(content: bytes, suffix: str) -> Path:
    """A file of the cache with the content, named by it."""
    folder = paths.cache_dir() / "packed"
    kept = folder / f"{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not kept.is_file() or kept.stat().st_size != len(content):
            kept.write_bytes(content)
    except OSError as error:
        sentence = f"The packed file cannot be written to {folder}: {error.strerror or error}."
        raise Fault("folder-read-only", sentence, "Free some space, or unpack it with File > External Data.") from None
    return kept
