# SPDX-License-Identifier: GPL-3.0-or-later
"""What this computer has, found out before anything is installed, and which build of torch fits it.

NVIDIA's driver is asked through its own library: no tool of the toolkit need be installed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass, field

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_INDEX = "https://download.pytorch.org/whl/{}"
ROCM_INDEX = "https://download.pytorch.org/whl/rocm{}"
ROCM_VERSIONS = ("7.2", "7.1", "7.0", "6.4")  # which of them a version of torch is built for changes: the newest that is there is taken
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h
# (build, oldest driver's CUDA version, oldest compute capability): newest first. torch's wheels for CUDA 13 begin with Turing.
CUDA_BUILDS = (("cu130", 13000, (7, 5)), ("cu126", 12000, (5, 0)))
PYPI_BUILD = "cu130"  # what PyPI's torch is on Linux; it runs on the processor too, but is several times as large
# With room for what is unpacked meanwhile. Measured on Linux: 1650 for the processor, 5700 for CUDA 13.
DISK_MEGABYTES = {"cpu": 2300, "mps": 2600, "rocm": 14000, "cu126": 7500, "cu130": 6500}
DOWNLOAD_MEGABYTES = {"cpu": 700, "mps": 600, "rocm": 5200, "cu126": 3300, "cu130": 2700}


@dataclass(frozen=True)
class Card:
    """One NVIDIA card: its name and compute capability, (8, 9) for Ada."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True)
class Hardware:
    """``driver``: the CUDA version that the driver knows, 13000 for 13.0, 0 without one. ``rocm``: an AMD card with its driver."""

    system: str
    machine: str
    driver: int = 0
    cards: tuple[Card, ...] = ()
    rocm: bool = False
    notes: tuple[str, ...] = field(default=())


def find_hardware() -> Hardware:
    """What this computer has. Never raises."""
    system, machine = platform.system(), platform.machine().lower()
    driver = 0
    cards: tuple[Card, ...] = ()
    with suppress(OSError, AttributeError):
        driver, cards = _nvidia()
    rocm = system == "Linux" and os.path.exists("/dev/kfd") and not cards
    return Hardware(system, machine, driver, cards, rocm)


def torch_build(hardware: Hardware) -> tuple[str, str]:
    """The build of torch ("cpu", "mps", "rocm", "cu126", "cu130") and why, in a sentence."""
    if hardware.system == "Darwin":
        if hardware.machine in ("arm64", "aarch64"):
            return "mps", "Apple's GPU is used through Metal."
        return "cpu", "This Mac has no GPU that torch can use: everything runs on the processor."
    if hardware.cards:
        return _cuda_build(hardware)
    if hardware.rocm:
        return "rocm", "An AMD card with its driver was found."
    return "cpu", "No GPU that torch can use was found: everything runs on the processor."


def torch_sources(build: str, version: str) -> list[list[str]]:
    """pip arguments that install torch, one attempt after another. ``version``: from the lock, "2.13.0".

    First where pip is configured to look (a mirror, a folder), then the project's own index, at last the build that PyPI has.
    """
    plain = f"torch=={version}"
    if build == "mps" or sys.platform == "darwin":
        return [[plain]]
    if build == "rocm":
        builds = [(f"rocm{number}", ROCM_INDEX.format(number)) for number in ROCM_VERSIONS]
    else:
        builds = [(build, CPU_INDEX if build == "cpu" else CUDA_INDEX.format(build))]
    attempts = [[f"{plain}+{name}"] for name, _ in builds] + [[f"{plain}+{name}", "--extra-index-url", index] for name, index in builds]
    return [*attempts, [plain]] if build in ("cpu", PYPI_BUILD) else attempts


def needs_more(build: str, words: list[str]) -> bool:
    """Whether torch, asked for with these words of ``torch_sources``, needs packages that no lock names: the card's own libraries."""
    return build not in ("cpu", "mps") or (build == "cpu" and sys.platform == "linux" and "+" not in words[0])


def _cuda_build(hardware: Hardware) -> tuple[str, str]:
    best = max(hardware.cards, key=lambda card: card.capability)
    number = f"compute capability {best.capability[0]}.{best.capability[1]}"
    for build, driver, capability in CUDA_BUILDS:
        if hardware.driver >= driver and best.capability >= capability:
            return build, f"{best.name} ({number}) with a driver for CUDA {hardware.driver // 1000}.{hardware.driver % 1000 // 10}."
    if best.capability < CUDA_BUILDS[-1][2]:
        return "cpu", f"{best.name} ({number}) is too old for torch: everything runs on the processor."
    return "cpu", f"The driver of {best.name} is too old for torch: update it and set the backend up again to use the card."


def _nvidia() -> tuple[int, tuple[Card, ...]]:
    cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    if cuda.cuInit(0) != 0:
        return 0, ()
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    cuda.cuDeviceGetCount(ctypes.byref(count))
    return version.value, tuple(_card(cuda, index) for index in range(count.value))


def _card(cuda: ctypes.CDLL, index: int) -> Card:
    device, major, minor = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
    name = ctypes.create_string_buffer(128)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return Card(name.value.decode("utf-8", "replace"), (major.value, minor.value))
