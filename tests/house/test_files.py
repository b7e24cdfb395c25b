# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file carries its licence, stays small, and speaks of the project alone."""

from __future__ import annotations

import re
import subprocess

import pytest

from .sources import ROOT, all_python_files, name_of

pytestmark = pytest.mark.unit

HEADER = "# SPDX-License-Identifier: GPL-3.0-or-later"
LONGEST_FILE = 450
# Written in pieces so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.~/-])/(" + "|".join(("w" + "ork", "ro" + "ot", "o" + "pt", "t" + "mp")) + r")/(?!homebrew)[\w.]")
OTHER_WORDS = re.compile("|".join(("an" + "thropic", "cla" + "ude", "chat" + "gpt", "arti" + "factory", r"issue\s+#?\d")), re.IGNORECASE)


def tracked_texts() -> list[tuple[str, str]]:
    """(name, text) of every text file that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    texts = []
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and name != "LICENSE":
            try:
                texts.append((name, (ROOT / name).read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
    return texts


def test_every_python_file_names_its_licence() -> None:
    def first_line(text: str) -> str:
        lines = [line for line in text.splitlines() if not line.startswith("#!")]
        return lines[0] if lines else ""

    assert [name_of(path) for path in all_python_files() if first_line(path.read_text(encoding="utf-8")) != HEADER] == []


def test_no_file_is_long() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in all_python_files()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_file_names_a_machine() -> None:
    assert [f"{name}: {found.group()}" for name, text in tracked_texts() for found in [MACHINE_PATHS.search(text)] if found] == []


def test_no_file_speaks_of_how_it_was_made() -> None:
    assert [f"{name}: {found.group()}" for name, text in tracked_texts() for found in [OTHER_WORDS.search(text)] if found] == []


def test_nothing_big_is_tracked_by_accident() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    big = {name: (ROOT / name).stat().st_size for name in names if (ROOT / name).stat().st_size > 2_000_000}
    assert [name for name in big if not name.startswith("backend/weights/")] == []


def test_no_two_test_files_share_a_name_outside_packages() -> None:
    """pytest cannot collect two modules of one name where their folders are no packages."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py") if not (path.parent / "__init__.py").exists()]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
