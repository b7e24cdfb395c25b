# SPDX-License-Identifier: GPL-3.0-or-later
"""Where AUtter keeps its environment, models and caches. Pure paths: nothing is created here.

The folders follow the conventions of the ``platformdirs`` package, do not depend on the version of Blender and lie
outside the add-on's own folder. ``AUTTER_HOME`` moves all of them under one folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME_VARIABLE = "AUTTER_HOME"
PYTHON_VARIABLE = "AUTTER_BACKEND_PYTHON"
NAME = "AUtter" if sys.platform in ("win32", "darwin") else "autter"


def user_data_dir() -> Path:
    """Folder for the backend's environment, models and logs."""
    home = _home()
    if home is not None:
        return home
    if sys.platform == "win32":
        return _local_app_data() / NAME
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / NAME
    return _xdg("XDG_DATA_HOME", Path.home() / ".local" / "share") / NAME


def cache_dir() -> Path:
    """Folder for what can be made again: speech features by audio hash, portrait landmarks by image hash."""
    home = _home()
    if home is not None:
        return home / "cache"
    if sys.platform == "win32":
        return _local_app_data() / NAME / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / NAME
    return _xdg("XDG_CACHE_HOME", Path.home() / ".cache") / NAME


def models_dir() -> Path:
    """Folder for downloaded model files."""
    return user_data_dir() / "models"


def logs_dir() -> Path:
    """Folder for the backend's log files."""
    return user_data_dir() / "logs"


def environments_dir() -> Path:
    """Folder for the backend's Python environments, one for each version, so that a new one is made beside a running old one."""
    return user_data_dir() / "environments"


def current_environment_file() -> Path:
    """The small file that names the environment in use."""
    return user_data_dir() / "environment.txt"


def default_environment() -> Path:
    """The backend's own Python environment: the one that the installer made last."""
    try:
        name = current_environment_file().read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        name = ""
    # Only a plain name: the file says which of our own folders, not where to look.
    return environments_dir() / name if name and name == Path(name).name else environments_dir() / "none"


def environment_python(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / "Scripts" / "python.exe" if sys.platform == "win32" else environment / "bin" / "python"


def backend_python(chosen: str = "") -> Path:
    """The backend's Python: the one ``chosen`` in the preferences, else ``AUTTER_BACKEND_PYTHON``, else the default environment's."""
    named = chosen.strip() or os.environ.get(PYTHON_VARIABLE, "").strip()
    return Path(named).expanduser() if named else environment_python(default_environment())


def _home() -> Path | None:
    value = os.environ.get(HOME_VARIABLE, "").strip()
    return Path(value).expanduser().absolute() if value else None


def _xdg(variable: str, default: Path) -> Path:
    value = os.environ.get(variable, "").strip()
    # The XDG specification: a relative path in these variables is to be ignored.
    return Path(value) if os.path.isabs(value) else default


def _local_app_data() -> Path:
    value = os.environ.get("LOCALAPPDATA", "").strip()
    return Path(value) if value else Path.home() / "AppData" / "Local"
