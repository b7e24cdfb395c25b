# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory this process holds, from the operating system alone."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress


def resident_megabytes() -> float:
    """Resident memory in MB; the peak instead on systems that do not tell the present value, 0.0 if none is told."""
    with suppress(OSError, ValueError, IndexError, AttributeError, ImportError):
        if sys.platform == "linux":
            with open("/proc/self/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        if sys.platform == "win32":
            return _windows_working_set() / 1e6
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return 0.0


def give_back_heap() -> None:
    """Returns freed memory to the system where the C library keeps it otherwise (glibc)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _windows_working_set() -> int:
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = [("cb", wintypes.DWORD), ("PageFaultCount", wintypes.DWORD)] + [
            (name, ctypes.c_size_t)
            for name in (
                "PeakWorkingSetSize",
                "WorkingSetSize",
                "PeakPaged",
                "Paged",
                "PeakNonPaged",
                "NonPaged",
                "Pagefile",
                "PeakPagefile",
            )
        ]

    counters = Counters(ctypes.sizeof(Counters))
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD)
    kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), ctypes.sizeof(counters))
    return int(counters.WorkingSetSize)
