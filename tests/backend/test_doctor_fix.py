# SPDX-License-Identifier: GPL-3.0-or-later
"""``doctor --fix`` in an environment of its own: a lost file and a lost package come back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backend import doctor_fix
from bridge.faults import Fault
from tests.bridge.wheels import make_wheel

pytestmark = pytest.mark.process


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small environment with one package of two files, which pip may look for in one folder only; its packages' folder."""
    wheels = tmp_path / "wheels"
    wheel = make_wheel(wheels, "tinypackage", "1.0", {"tinypackage/__init__.py": "", "tinypackage/part.py": ""})
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-index", str(wheel)], check=True)
    monkeypatch.setattr(doctor_fix.sys, "executable", str(python))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return next((tmp_path / "env").rglob("site-packages/tinypackage")).parent


def test_lost_files_and_lost_packages_come_back(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (environment / "tinypackage" / "part.py").unlink()
    said: list[str] = []
    monkeypatch.setattr(doctor_fix, "missing_packages", list)
    assert doctor_fix.fix(said.append) == ["tinypackage==1.0"]
    assert (environment / "tinypackage" / "part.py").is_file() and said == ["installing tinypackage==1.0 again"]
    assert doctor_fix.fix(said.append) == []
    monkeypatch.setattr(doctor_fix, "missing_packages", lambda: ["nowhere-to-be-had>=1"])
    with pytest.raises(Fault) as caught:
        doctor_fix.fix(said.append)
    assert caught.value.code == "setup-network" and caught.value.hint


def test_a_missing_package_comes_in_the_locked_version(environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(tmp_path / "wheels", "tinypackage", "2.0", {"tinypackage/__init__.py": ""})
    monkeypatch.setattr(doctor_fix.sys, "prefix", str(tmp_path))
    (tmp_path / "backend.txt").write_text("# a lock\ntinypackage-more==3.0\ntinypackage==1.0\n")
    monkeypatch.setattr(doctor_fix, "missing_packages", lambda: ["tinypackage>=0.5"])
    assert doctor_fix.fix(lambda _: None) == ["tinypackage==1.0"]
    assert doctor_fix.locked("nowhere>=1") == "nowhere>=1"


def test_packages_of_a_tier_are_added(environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(tmp_path / "wheels", "tinydiffusion", "3.0", {"tinydiffusion/__init__.py": ""})
    monkeypatch.setattr(doctor_fix.sys, "prefix", str(tmp_path))
    monkeypatch.setattr(doctor_fix, "missing_packages", list)
    (tmp_path / "sd15.txt").write_text("tinydiffusion==3.0\n")
    assert doctor_fix.fix(lambda _: None) == []
    assert doctor_fix.fix(lambda _: None, "sd15") == ["tinydiffusion==3.0"]
    assert (environment / "tinydiffusion" / "__init__.py").is_file()


def test_what_is_installed_is_not_called_missing() -> None:
    assert doctor_fix.missing_packages() == []
    assert not doctor_fix._installed("nowhere-to-be-had>=1") and doctor_fix._installed("numpy>=1.26")
