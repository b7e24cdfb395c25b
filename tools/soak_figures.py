# SPDX-License-Identifier: GPL-3.0-or-later
"""What the soak measures of the client's and the backend's process, from Linux's /proc, and whether it grew."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np

WARM_UP_SHARE = 0.15  # of the samples: what is loaded once and kept
CLIENT_MEGABYTES, BACKEND_MEGABYTES = 24.0, 150.0  # by which the median of the last third may lie above that of the first
HANDLES = 3


@dataclass(frozen=True)
class Sample:
    """After a shot. Memory in MB, resident; ``backend``: the backend's process id, 0 while there is none."""

    shot: int
    seconds: float
    client_mb: float
    client_files: int
    client_threads: int
    backend: int
    backend_mb: float
    backend_files: int
    backend_threads: int
    home_mb: float

    def words(self) -> str:
        """One line."""
        return (
            f"client {self.client_mb:.0f} MB, {self.client_files} files, {self.client_threads} threads; "
            f"backend {self.backend_mb:.0f} MB, {self.backend_files} files, {self.backend_threads} threads; caches {self.home_mb:.1f} MB"
        )


def look(shot: int, seconds: float, backend: int, folder: Path) -> Sample:
    """Looks at both processes now."""
    own, other = _process(os.getpid()), _process(backend) if backend else (0.0, 0, 0)
    home = sum(path.stat().st_size for path in (folder / "home").rglob("*") if path.is_file()) / 1e6
    return Sample(shot, round(seconds, 1), *own, backend if other[1] else 0, *other, round(home, 2))


def summary(samples: Sequence[Sample]) -> Tuple[List[str], List[str]]:
    """Lines to print, and what grew."""
    lines, grown = [], []
    kept = samples[int(len(samples) * WARM_UP_SHARE) :]
    third = max(1, len(kept) // 3)
    first, last = kept[:third], kept[-third:]
    lines.append(f"{len(samples)} shots in {samples[-1].seconds / 60:.1f} min")
    rows = [("client_mb", CLIENT_MEGABYTES, "MB"), ("client_files", HANDLES, ""), ("client_threads", HANDLES, "")]
    rows += [("backend_mb", BACKEND_MEGABYTES, "MB"), ("backend_files", HANDLES, ""), ("backend_threads", HANDLES, "")]
    for name, most, unit in rows:
        early, late = ([getattr(item, name) for item in part if item.backend or name.startswith("client")] for part in (first, last))
        if not early or not late:
            continue
        before, after = float(np.median(early)), float(np.median(late))
        largest = max(getattr(item, name) for item in samples)
        lines.append(f"{name:16} median of the first third {before:7.1f} {unit}, of the last {after:7.1f} {unit}, largest {largest:.1f}")
        if after - before > most:
            grown.append(f"{name} grew from {before:.1f} to {after:.1f}")
    lines += _lives(samples)
    return lines, grown


def _lives(samples: Sequence[Sample]) -> List[str]:
    """The longest life of one backend: its memory against the number of its shots."""
    lives = {pid: [item for item in samples if item.backend == pid] for pid in {item.backend for item in samples if item.backend}}
    if not lives:
        return []
    longest = max(lives.values(), key=len)
    lines = [f"{len(lives)} backends; the longest lived for {len(longest)} shots: {longest[0].backend_mb:.0f} MB after its first, "]
    lines[0] += f"{longest[-1].backend_mb:.0f} MB after its last"
    if len(longest) >= 10:
        later = longest[len(longest) // 3 :]
        slope = float(np.polyfit(range(len(later)), [item.backend_mb for item in later], 1)[0])
        lines[0] += f", {slope:+.2f} MB a shot over its last two thirds"
    return lines


def _process(pid: int) -> Tuple[float, int, int]:
    """Resident MB, open files and threads of a process; zeros where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        files, threads = len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    except (OSError, IndexError):
        return 0.0, 0, 0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1), files, threads
