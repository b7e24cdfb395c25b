# SPDX-License-Identifier: GPL-3.0-or-later
"""One version everywhere; every lock pins everything, and names no server."""

from __future__ import annotations

import re
import tomllib

import pytest

from bridge import VERSION

from .sources import ROOT

pytestmark = pytest.mark.unit

PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!]+( ; [a-z_]+ [=!]= \"\w+\")?")


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~ \[;]", name)[0]).lower()


def locked(title: str) -> set[str]:
    lines = (ROOT / "requirements" / f"{title}.txt").read_text(encoding="utf-8").splitlines()
    return {canonical(line) for line in lines if "==" in line}


def test_bridge_package_and_manifest_have_one_version() -> None:
    manifest = tomllib.loads((ROOT / "blender_addon" / "blender_manifest.toml").read_text(encoding="utf-8"))
    assert project()["version"] == VERSION == manifest["version"]


def test_the_changelog_speaks_of_this_version() -> None:
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_lock_line_is_an_exact_pin() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert len(locks) >= 6
    for lock in locks:
        lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
        assert [line for line in lines if not PIN.fullmatch(line)] == [], lock.name


def test_the_locks_hold_what_the_package_declares() -> None:
    declared = {canonical(text) for text in project()["dependencies"]}  # type: ignore[attr-defined]
    assert declared - locked("backend") == set()
    for extra, names in project()["optional-dependencies"].items():  # type: ignore[attr-defined]
        assert {canonical(text) for text in names} - locked(extra) - locked("backend") == set(), extra
