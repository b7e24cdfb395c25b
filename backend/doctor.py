# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks whether everything that the backend needs is in place, and says what to do where it is not."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge import VERSION, paths

_PACKAGES = ("numpy", "scipy", "soundfile", "av", "pillow", "mediapipe", "torch", "safetensors", "opencv", "onnx", "tqdm")
_MODULES = {"pillow": "PIL", "opencv": "cv2"}
_WEIGHTS = Path(__file__).resolve().parent / "weights"
_COMPANIONS = {"motion": ("motion_face.safetensors",)}  # files without which the weights are of no use
_WANTED_FREE_BYTES = 2 * 2**30
_OLDEST_PYTHON = (3, 11)
_REINSTALL = "Install the backend's requirements again."


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``needed``: without it nothing works. ``detail`` says what was found, ``hint`` what to do."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    needed: bool = True


def examine() -> list[Finding]:
    """All findings. Downloads nothing and changes nothing."""
    findings = [_python(), *map(_package, _PACKAGES), _onnxruntime(), _codecs(), _device(), _landmarker()]
    findings += [_weights(name) for name in ("motion", "small", "skin")]
    folders = (("data folder", paths.user_data_dir), ("models folder", paths.models_dir), ("cache folder", paths.cache_dir))
    findings += [_folder(name, folder) for name, folder in folders]
    return [*findings, _disk()]


def _python() -> Finding:
    good = sys.version_info[:2] >= _OLDEST_PYTHON
    detail = f"{platform.python_version()} on {platform.platform(terse=True)}, AUtter {VERSION}"
    return Finding("Python", good, detail, "" if good else "Use Python 3.11 or newer.")


def _package(name: str) -> Finding:
    if importlib.util.find_spec(_MODULES.get(name, name)) is None:
        return Finding(name, False, "not installed", _REINSTALL)
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, True, "installed")  # under one of several distribution names


def _onnxruntime() -> Finding:
    finding = _package("onnxruntime")
    hint = "Rendering falls back to torch, which is slower on processors. " + _REINSTALL
    return finding if finding.ok else Finding(finding.name, False, finding.detail, hint, needed=False)


def _codecs() -> Finding:
    """H.264 and AAC encoders of the FFmpeg libraries inside PyAV."""
    try:
        import av

        missing = [name for name in ("libx264", "aac") if name not in av.codecs_available]
        version = ".".join(map(str, av.library_versions["libavcodec"]))
    except (ImportError, KeyError) as error:
        return Finding("movie encoders", False, f"PyAV cannot be loaded ({error})", _REINSTALL)
    if missing:
        return Finding(
            "movie encoders",
            False,
            f"{', '.join(missing)} missing in libavcodec {version}",
            "Install PyAV from its own wheels (`pip install av`).",
        )
    return Finding("movie encoders", True, f"libx264 and aac, libavcodec {version}")


def _device() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("device", False, f"torch cannot be loaded ({error})", _REINSTALL)
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return Finding("device", True, f"{torch.cuda.get_device_name()}, {free / 2**30:.1f} of {total / 2**30:.1f} GB free")
    mps = getattr(torch.backends, "mps", None)
    if mps is not None and mps.is_available():
        return Finding("device", True, "Apple GPU")
    return Finding("device", True, f"CPU, {os.cpu_count()} cores (no GPU found: previews take longer)")


def _landmarker() -> Finding:
    from .portrait.landmarker import MODEL_ADDRESS, MODEL_NAME, MODEL_VARIABLE, find_landmarker_model

    found = find_landmarker_model()
    if found is not None:
        return Finding("face landmarker", True, f"{found}, sha256 as it should be")
    hint = f"It is fetched when it is first needed; without a network put {MODEL_ADDRESS} at {paths.models_dir() / MODEL_NAME}"
    return Finding("face landmarker", False, "no model file of the right sha256", f"{hint} or name it in {MODEL_VARIABLE}.")


def _weights(name: str) -> Finding:
    """A default weights file beside its model card, by sha256."""
    file, card = _WEIGHTS / f"{name}.safetensors", _WEIGHTS / f"{name}.json"
    label, hint = f"weights {name}", f"Install the backend again, or train them with `train {name}`."
    try:
        expected = json.loads(card.read_text(encoding="utf-8"))
        actual = hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        return Finding(label, False, f"{Path(error.filename).name} is missing", hint)
    except (OSError, ValueError) as error:
        return Finding(label, False, f"cannot be read ({error})", hint)
    if not isinstance(expected, dict) or expected.get("sha256") != actual:
        return Finding(label, False, f"{file.name} is not the file that its card describes", hint)
    missing = [companion for companion in _COMPANIONS.get(name, ()) if not (_WEIGHTS / companion).is_file()]
    if missing:
        return Finding(label, False, f"{missing[0]} is missing", hint)
    if expected.get("trained") is False:
        return Finding(label, False, "untrained", hint)
    return Finding(label, True, f"{file.stat().st_size / 2**20:.1f} MB, sha256 as in its card")


def _folder(name: str, folder: Callable[[], Path]) -> Finding:
    """Whether a folder can be written, or made where it is not there yet."""
    path = folder()
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    good = there.is_dir() and os.access(there, os.W_OK)
    return Finding(
        name, good, f"{path} {'can' if good else 'cannot'} be written", "" if good else f"Choose another with {paths.HOME_VARIABLE}."
    )


def _disk() -> Finding:
    there = paths.user_data_dir()
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    good = free > _WANTED_FREE_BYTES
    return Finding("disk", good, f"{free / 2**30:.1f} GB free", "" if good else "Make room: models and caches want 2 GB.", needed=False)
