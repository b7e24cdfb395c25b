# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/faults.md`` promises what is tried here: every row names a test that is there and that ``-m process`` runs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.process.backends import ROOT

pytestmark = pytest.mark.process

LEAST = 40
ROW = re.compile(r"^\| (?P<fault>[^|]+) \| (?P<state>[^|]+) \| (?P<test>test_\w+(\[[\w-]+\])?) \|$", re.MULTILINE)


def test_every_named_fault_has_its_test() -> None:
    rows = [row.groupdict() for row in ROW.finditer((ROOT / "docs" / "faults.md").read_text(encoding="utf-8"))]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "process", "-p", "no:cacheprovider", "tests/process"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    collected = {line.partition("::")[2] for line in listed if "::" in line}
    collected |= {name.partition("[")[0] for name in collected}
    missing = sorted({row["test"] for row in rows} - collected)
    assert not missing, f"named, but not run: {missing}"
    faults = [row["fault"] for row in rows]
    assert len(set(faults)) == len(faults) >= LEAST
