# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared libraries that bpy, MediaPipe and OpenCV load from the system on Linux: find what is missing, install it if we may."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import List

from tools.say import BuildFault, run_quietly, say

# Library name -> Debian and Ubuntu package.
NEEDED = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
    "libgomp.so.1": "libgomp1",
    "libglib-2.0.so.0": "libglib2.0-0",
}
SOFTWARE_DRIVER = "libgl1-mesa-dri"  # draws where there is no graphics card; has no library of its own to look for


def missing_packages() -> List[str]:
    """Debian names of the packages whose libraries cannot be loaded; empty on other systems than Linux."""
    if platform.system() != "Linux":
        return []
    missing = [package for library, package in NEEDED.items() if not loads(library)]
    if not has_software_driver():
        missing.append(SOFTWARE_DRIVER)
    return missing


def loads(library: str) -> bool:
    """Whether the dynamic loader finds ``library``."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_software_driver() -> bool:
    """Whether any OpenGL driver (Mesa's or a vendor's) is installed where loaders look."""
    patterns = ("*/dri/*_dri.so", "dri/*_dri.so", "*/libgallium-*.so", "libgallium-*.so", "*/libEGL_nvidia.so*", "libEGL_nvidia.so*")
    return any(next(folder.glob(pattern), None) for folder in (Path("/usr/lib"), Path("/usr/lib64")) for pattern in patterns)


def ensure_system_libraries() -> None:
    """Install what is missing with apt where we are root; otherwise a BuildFault with the one line to run."""
    packages = missing_packages()
    if not packages:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends"] + packages
    if not shutil.which("apt-get"):
        raise BuildFault(
            "System libraries are missing: {}.".format(", ".join(packages)),
            "These are their Debian names; install your distribution's packages of the same libraries.",
        )
    if os.geteuid() != 0:
        raise BuildFault("System libraries are missing.", "Run: sudo " + " ".join(install))
    say("    installing system libraries: " + " ".join(packages))
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # A stale or partly unreachable package list still serves if the packages can be had.
    subprocess.run(["apt-get", "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run_quietly(install, "apt-get install", quiet)
