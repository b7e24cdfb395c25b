# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory the computer has left, from the operating system alone."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress


def available_megabytes() -> float:
    """Memory that programs can still get without swapping, in MB; 0.0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        if sys.platform == "linux":
            with open("/proc/meminfo", encoding="ascii") as file:
                return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")) / 1e6
        if sys.platform == "win32":
            return _windows_available() / 1e6
    return 0.0


def _windows_available() -> int:
    class Status(ctypes.Structure):
        _fields_ = [("dwLength", ctypes.c_ulong), ("dwMemoryLoad", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("TotalPhys", "AvailPhys", "TotalPageFile", "AvailPageFile", "TotalVirtual", "AvailVirtual", "AvailExtendedVirtual")
        ]

    status = Status()
    status.dwLength = ctypes.sizeof(status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.AvailPhys)
