# SPDX-License-Identifier: GPL-3.0-or-later
"""Which build of torch fits this machine: CPU, CUDA, or Apple's."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from typing import List

CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def torch_kind() -> str:
    """``"cuda"`` where an NVIDIA driver answers, ``"plain"`` on macOS (its one build runs on CPU and Metal), else ``"cpu"``."""
    if platform.system() == "Darwin":
        return "plain"
    return "cuda" if has_nvidia_driver() else "cpu"


def has_nvidia_driver() -> bool:
    """Whether libcuda starts and sees a device; nvidia-smi is asked where libcuda has another name."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            cuda = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value > 0
    if not shutil.which("nvidia-smi"):
        return False
    done = subprocess.run(["nvidia-smi", "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.returncode == 0 and "GPU" in done.stdout


def torch_attempts(pinned: str, kind: str) -> List[List[str]]:
    """pip arguments to try one after another. ``pinned``: version from the lock, ``"2.13.0"``."""
    if kind != "cpu":
        return [["torch==" + pinned]]
    local = "torch=={}+cpu".format(pinned)
    # First where pip is configured to look, then the project's own index of CPU builds.
    return [[local], [local, "--extra-index-url", CPU_INDEX]]
