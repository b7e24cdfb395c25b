# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own files and what they import, read with ast."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("bridge", "backend", "blender_addon")


def python_files(*folders: str) -> list[Path]:
    """Every Python file under the folders; the link blender_addon/bridge is not followed."""
    link = ROOT / "blender_addon" / "bridge"
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "__pycache__" not in path.parts and link not in path.parents)


def all_python_files() -> list[Path]:
    """Every Python file of the project."""
    return [ROOT / "build.py", *python_files(*ROOMS, "tests", "tools")]


def name_of(path: Path) -> str:
    """Path inside the project, for messages."""
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """Dotted name of a file: ``bridge/shot.py`` -> ``bridge.shot``; a package's ``__init__`` is the package."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> list[tuple[str, int]]:
    """(absolute dotted name, relative level) of every import in a file, also those inside functions.

    ``from a import b`` gives ``a.b``: b may be a module.
    """
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found: list[tuple[str, int]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            found += [(f"{stem}.{alias.name}", node.level) for alias in node.names]
    return found
